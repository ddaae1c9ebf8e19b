"""Readiness: whether the catalog, the ledger and the storage work, by small probes of each."""

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping
from functools import partial

from pyiceberg.catalog import WAREHOUSE_LOCATION, Catalog
from pyiceberg.catalog.sql import SqlCatalog

from lakegate import clock
from lakegate.concurrency.workers import Workers
from lakegate.lake.catalog.pyiceberg_private import file_io
from lakegate.lake.failures import described
from lakegate.lake.files.names import own_name
from lakegate.lake.ledger.ledger import Ledger

log = logging.getLogger(__name__)

# A probe that takes longer counts as failed, and is not repeated before it ends.
PROBE_SECONDS = 3.0
CACHE_SECONDS = 3.0
# More than the file systems that keep small files in their inodes can keep without a block.
_PROBE_BYTES = bytes(8192)

Probe = Callable[[], object]


class Readiness:
    """Runs the probes in threads, all at the same time. Used from one event loop."""

    def __init__(self, probes: Mapping[str, Probe], workers: Workers) -> None:
        """Run `probes`, by the names of what they probe; each raises if it does not work."""
        self._probes = probes
        self._workers = workers
        self._running: dict[str, asyncio.Future[object]] = {}
        self._check: asyncio.Task[tuple[str, ...]] | None = None
        self._checked_at = float("-inf")
        self._failing: tuple[str, ...] = ()

    async def failing(self) -> tuple[str, ...]:
        """Return the names of what does not work now, or did not within `CACHE_SECONDS`."""
        if self._check is None and clock.monotonic() - self._checked_at < CACHE_SECONDS:
            return self._failing
        if self._check is None:
            self._check = asyncio.create_task(self._run_probes())
        return await asyncio.shield(self._check)

    async def _run_probes(self) -> tuple[str, ...]:
        try:
            for name, probe in self._probes.items():
                if name not in self._running:
                    self._running[name] = asyncio.ensure_future(self._workers.run(probe))
            await asyncio.wait(self._running.values(), timeout=PROBE_SECONDS)
            reasons = {name: reason for name in self._probes if (reason := self._result(name))}
            failing = tuple(reasons)
            if failing != self._failing:
                _log_change(reasons)
            self._failing = failing
            self._checked_at = clock.monotonic()
            return failing
        finally:
            self._check = None

    def _result(self, name: str) -> str | None:
        """Return why a probe failed, for the log; None if it did not."""
        probe = self._running[name]
        if not probe.done():
            return f"no answer for {PROBE_SECONDS} seconds"
        del self._running[name]
        error = probe.exception()
        return described(error) if error else None


def probes_of(catalog: Catalog, ledger: Ledger) -> dict[str, Probe]:
    """Return the probes of a catalog, of the storage of its warehouse, and of a ledger.

    Of a catalog that chooses locations itself (REST, Glue, Hive) no storage is probed.
    """
    probes: dict[str, Probe] = {"catalog": catalog.list_namespaces, "ledger": ledger.probe}
    warehouse = catalog.properties.get(WAREHOUSE_LOCATION)
    if isinstance(catalog, SqlCatalog) and warehouse:
        probes["storage"] = partial(_probe_storage, catalog, warehouse.rstrip("/"))
    return probes


def _probe_storage(catalog: SqlCatalog, warehouse: str) -> None:
    """Write a file and delete it."""
    location = f"{warehouse}/{own_name('probe')}-{uuid.uuid4()}"
    io = file_io(catalog)
    try:
        with io.new_output(location).create() as stream:
            stream.write(_PROBE_BYTES)
    finally:
        io.delete(location)


def _log_change(reasons: Mapping[str, str]) -> None:
    if reasons:
        log.warning("Not ready: %s", "; ".join(f"{name}: {why}" for name, why in reasons.items()))
    else:
        log.info("Ready again")
