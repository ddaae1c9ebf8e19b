"""A lake without tables, for tests of what is in front of it."""

from lakegate.errors import ErrorCode, LakegateError
from lakegate.model import Acknowledgement, Batch, TableName

ACKNOWLEDGED = Acknowledgement("42", extent_count=1, rows_ingested=3, bytes_written=5183)


class CountingLake:
    """Keep the batches that are appended, and refuse those for the table `missing`."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    async def append(self, batch: Batch) -> Acknowledgement:
        if batch.table.table == "missing":
            raise LakegateError(ErrorCode.TABLE_NOT_FOUND, "no table default.missing")
        self.batches.append(batch)
        return ACKNOWLEDGED

    async def next_offset(self, name: TableName, stream_id: str) -> int:
        return len(f"{name}/{stream_id}")
