"""A process that appends batches of one row until it ends or is killed.

It writes its answers to a file.
"""

import asyncio
import dataclasses
import functools
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from tests.testing.lines import LinesDecoder, batch

from lakegate.errors import LakegateError
from lakegate.lake.catalog import sql
from lakegate.lake.catalog.metadata_file import MetadataWriter
from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.commit import group_commit, preparation, prepared_group, snapshot
from lakegate.lake.lake import Lake
from lakegate.lake.ledger.ledger import Ledger
from lakegate.lake.maintenance import compaction, rewrite, sweep
from lakegate.lake.maintenance.maintain import Maintenance
from lakegate.lake.maintenance.policy import MaintenancePolicy
from lakegate.settings import Settings

# The steps of a commit, in order: the owner of each function, and its name.
STEPS: dict[str, tuple[Any, str]] = {
    "decode": (LinesDecoder, "decode"),
    "data files": (preparation, "write_data_files"),
    "manifest": (group_commit, "new_append"),
    "manifest list": (snapshot, "new_snapshot"),
    "metadata": (MetadataWriter, "write"),
    "catalog": (sql.LeanSqlCatalog, "_swap"),
    "answer": (prepared_group.PreparedGroup, "acknowledge"),
}
# Additional steps for keyed batches.
LEDGER_STEPS: dict[str, tuple[Any, str]] = {
    "look up": (Ledger, "look_up"),
    "claim": (Ledger, "claim"),
    "settle": (Ledger, "settle"),
}
# The steps of a compaction and of the sweep after it.
MAINTENANCE_STEPS: dict[str, tuple[Any, str]] = {
    "read": (compaction, "read_data_files"),
    "merged file": (compaction, "write_data_files"),
    "added manifest": (compaction, "new_rewrite"),
    "rewritten manifests": (rewrite.Rewrite, "prepare"),
    "replacement's manifest list": (rewrite, "new_snapshot"),
    "replacement's commit": (rewrite, "commit_snapshot"),
    "fence": (sweep, "commit_fence"),
    "orphans": (sweep, "delete_files"),
    "marks": (sweep, "write_marks"),
}


@dataclass(frozen=True)
class Fault:
    """Kill the process before or after the `nth` call of a step, or stop it `by` another signal."""

    step: str
    after: bool
    nth: int
    by: signal.Signals = signal.SIGKILL

    def install(self) -> None:
        owner, name = {**STEPS, **LEDGER_STEPS, **MAINTENANCE_STEPS}[self.step]
        original = getattr(owner, name)
        times = itertools.count(1)

        @functools.wraps(original)
        def fatal(*args: Any, **kwargs: Any) -> Any:
            # To this thread, so that it makes no further step: see pthread_kill(3).
            last = next(times) == self.nth
            if last and not self.after:
                signal.pthread_kill(threading.get_ident(), self.by)
            result = original(*args, **kwargs)
            if last and self.after:
                signal.pthread_kill(threading.get_ident(), self.by)
            return result

        setattr(owner, name, fatal)


@dataclass(frozen=True)
class Work:
    """What a writer does: `senders` concurrent senders send `batches` each, labelled with `prefix`.

    `keyed`: whether each batch has its label as its idempotency key.
    """

    settings: Settings
    log: Path
    prefix: str
    senders: int = 1
    batches: int = 10
    keyed: bool = False
    fault: Fault | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def start_maintenance(settings: Settings, fault: Fault) -> ForkServerProcess:
    """Start maintenance with `fault` in a separate process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=_maintain, args=(settings, fault))
    process.start()
    return process


def _maintain(settings: Settings, fault: Fault) -> None:
    fault.install()
    catalog = open_catalog(settings.catalog, settings.home)
    Maintenance(catalog, MaintenancePolicy.of(settings)).run()


def start(work: Work) -> ForkServerProcess:
    """Start a writer in a separate process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=_main, args=(work,))
    process.start()
    return process


def acknowledged(work: Work) -> list[str]:
    """Return the labels of the batches that were acknowledged."""
    return [line for line in _lines(work) if not line.startswith("!")]


def refused(work: Work) -> list[str]:
    """Return the errors that the writer got."""
    return [line for line in _lines(work) if line.startswith("!")]


def _lines(work: Work) -> list[str]:
    return work.log.read_text().splitlines() if work.log.exists() else []


def _main(work: Work) -> None:
    os.environ.update(work.environment)
    if work.fault is not None:
        work.fault.install()
    asyncio.run(_write(work))


async def _write(work: Work) -> None:
    settings = work.settings
    lake = Lake(open_catalog(settings.catalog, settings.home), settings)
    decoder = LinesDecoder()
    log = os.open(work.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def send(sender: int) -> None:
        for number in range(work.batches):
            label = f"{work.prefix}-{sender}-{number}"
            try:
                key = label if work.keyed else None
                plain = batch(decoder, {"label": label})
                await lake.append(dataclasses.replace(plain, idempotency_key=key))
            except LakegateError as error:
                os.write(log, f"!{label}: {error}\n".encode())
            else:
                os.write(log, f"{label}\n".encode())

    await asyncio.gather(*map(send, range(work.senders)))
    await lake.close()
