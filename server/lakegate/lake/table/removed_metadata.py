"""Previous metadata files of a table, deleted after they left its metadata log."""

from collections import deque

from pyiceberg.catalog import MetastoreCatalog
from pyiceberg.table import TableProperties

from lakegate import clock
from lakegate.lake.table.state import TableState

# A reader that got a location from the catalog opens the metadata file within this time.
GRACE_SECONDS = 60.0
BATCH = 20


class RemovedMetadata:
    """The metadata files of one table that are to be deleted.

    Files that a process leaves behind when it ends are deleted by the sweep for orphan files.
    """

    def __init__(self) -> None:
        """Start without files."""
        self._waiting: deque[tuple[float, str]] = deque()

    def record(self, before: TableState, after: TableState) -> None:
        """Add the files that are in the metadata log of `before` and not in that of `after`.

        Only for tables with `write.metadata.delete-after-commit.enabled`, which applies to every
        client that commits, so tables that Lakegate does not maintain are included. A REST
        catalog deletes these files itself.
        """
        enabled = after.metadata.properties.get(
            TableProperties.METADATA_DELETE_AFTER_COMMIT_ENABLED
        )
        if enabled != "true" or not isinstance(after.table.catalog, MetastoreCatalog):
            return
        referenced = {entry.metadata_file for entry in after.metadata.metadata_log}
        now = clock.monotonic()
        for entry in before.metadata.metadata_log:
            if entry.metadata_file not in referenced:
                self._waiting.append((now, entry.metadata_file))

    def due(self) -> list[str]:
        """Remove and return the files past their grace period, once there are enough of them."""
        newest = clock.monotonic() - GRACE_SECONDS
        if len(self._waiting) < BATCH or self._waiting[BATCH - 1][0] > newest:
            return []
        due = []
        while self._waiting and self._waiting[0][0] <= newest:
            due.append(self._waiting.popleft()[1])
        return due
