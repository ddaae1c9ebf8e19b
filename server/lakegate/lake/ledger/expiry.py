"""What the ledger forgets, a little at a time, beside everything else."""

import logging
from dataclasses import dataclass

from lakegate.concurrency.periodic import Periodic
from lakegate.concurrency.workers import Workers
from lakegate.lake.failures import LedgerUnavailableError
from lakegate.lake.ledger.ledger import Ledger

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 60.0
# How many entries one transaction deletes: claims wait no longer than for that.
BATCH = 1000


@dataclass(frozen=True, slots=True)
class TimeToLive:
    """How long the ledger knows a batch, and a stream after its last batch, in milliseconds."""

    key_ms: int
    stream_ms: int


class LedgerExpiry:
    """Forgets what is older than its time; every server does, and none minds the others."""

    def __init__(self, ledger: Ledger, workers: Workers, time_to_live: TimeToLive) -> None:
        """Sweep `ledger` in a thread of `workers`."""
        self._ledger = ledger
        self._workers = workers
        self._time_to_live = time_to_live
        self.periodic = Periodic(INTERVAL_SECONDS, self._run_or_log)

    async def run(self) -> int:
        """Forget all whose time is over now; return how many entries that were."""
        forgotten = 0
        while True:
            some = await self._workers.run(
                self._ledger.delete_expired,
                self._time_to_live.key_ms,
                self._time_to_live.stream_ms,
                BATCH,
            )
            forgotten += some
            if some < BATCH:
                return forgotten

    async def _run_or_log(self) -> None:
        try:
            forgotten = await self.run()
        except LedgerUnavailableError as error:
            log.warning("The ledger is not swept now: %s", error)
        else:
            log.debug("The ledger has forgotten %d entries", forgotten)
