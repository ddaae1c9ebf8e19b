"""Metadata files that fell off a table's log, deleted when no reader can want them any more."""

from collections import deque

from pyiceberg.catalog import MetastoreCatalog
from pyiceberg.table import TableProperties

from lakegate import clock
from lakegate.lake.table.state import TableState

# A reader that has just asked the catalog opens the metadata file within this time.
GRACE_SECONDS = 60.0
BATCH = 20


class OldMetadata:
    """The metadata files of one table that wait to be deleted.

    What a process leaves behind when it ends, the sweep for orphans finds.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._waiting: deque[tuple[float, str]] = deque()

    def superseded(self, before: TableState, after: TableState) -> None:
        """Note the files that the log of `after` names no more.

        Only where the table says so (`write.metadata.delete-after-commit.enabled`),
        and only where it is the client's work: a REST catalog does it itself.
        By that property the owner of any table asks it of every client that
        commits, so it does not matter whether Lakegate maintains the table.
        """
        enabled = after.metadata.properties.get(
            TableProperties.METADATA_DELETE_AFTER_COMMIT_ENABLED
        )
        if enabled != "true" or not isinstance(after.table.catalog, MetastoreCatalog):
            return
        named = {entry.metadata_file for entry in after.metadata.metadata_log}
        now = clock.monotonic()
        for entry in before.metadata.metadata_log:
            if entry.metadata_file not in named:
                self._waiting.append((now, entry.metadata_file))

    def due(self) -> list[str]:
        """Take the files whose time has come, once there are enough to be worth it."""
        newest = clock.monotonic() - GRACE_SECONDS
        if len(self._waiting) < BATCH or self._waiting[BATCH - 1][0] > newest:
            return []
        due = []
        while self._waiting and self._waiting[0][0] <= newest:
            due.append(self._waiting.popleft()[1])
        return due
