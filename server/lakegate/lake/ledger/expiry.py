"""Periodic deletion of expired ledger entries, in small transactions."""

import logging
from dataclasses import dataclass

from lakegate.concurrency.periodic import Periodic
from lakegate.concurrency.workers import Workers
from lakegate.lake.failures import LedgerUnavailableError
from lakegate.lake.ledger.ledger import Ledger

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 60.0
# How many entries one transaction deletes: claims wait for it.
ENTRIES_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class TimeToLive:
    """How long entries are kept, and the last entry of each stream, in milliseconds."""

    key_ms: int
    stream_ms: int


class LedgerExpiry:
    """Deletes expired entries; all servers of a ledger may do so at the same time."""

    def __init__(self, ledger: Ledger, workers: Workers, time_to_live: TimeToLive) -> None:
        """Delete entries of `ledger` in a thread of `workers`."""
        self._ledger = ledger
        self._workers = workers
        self._time_to_live = time_to_live
        self.periodic = Periodic(INTERVAL_SECONDS, self._run_or_log)

    async def run(self) -> int:
        """Delete all entries that are expired now; return how many."""
        deleted = 0
        while True:
            some = await self._workers.run(
                self._ledger.delete_expired,
                self._time_to_live.key_ms,
                self._time_to_live.stream_ms,
                ENTRIES_AT_ONCE,
            )
            deleted += some
            if some < ENTRIES_AT_ONCE:
                return deleted

    async def _run_or_log(self) -> None:
        try:
            deleted = await self.run()
        except LedgerUnavailableError as error:
            log.warning("Expired ledger entries are not deleted now: %s", error)
        else:
            log.debug("%d expired ledger entries were deleted", deleted)
