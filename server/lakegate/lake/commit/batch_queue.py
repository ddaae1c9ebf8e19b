"""The queue of batches that wait for the next commit to a table."""

import asyncio
from collections import deque

from lakegate.lake.commit.queued_batch import QueuedBatch

# With this much queued, the next group is prepared during a commit. With less, it is better to
# wait for the end of the commit, since more requests can join the group until then.
LARGE_GROUP_BYTES = 1024 * 1024


class BatchQueue:
    """Queued batches in the order of arrival.

    `large`: set while the queue holds enough to be prepared during a commit.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.large = asyncio.Event()
        self._batches: deque[QueuedBatch] = deque()
        self._bytes = 0

    def __bool__(self) -> bool:
        """Whether any batch is queued."""
        return bool(self._batches)

    def append(self, queued: QueuedBatch) -> None:
        """Add a batch at the end."""
        self._batches.append(queued)
        self._bytes += queued.size
        if self._bytes >= LARGE_GROUP_BYTES:
            self.large.set()

    def take_group(self, max_bytes: int) -> list[QueuedBatch]:
        """Remove and return the first batches, up to `max_bytes` but at least one.

        Batches whose sender has left are abandoned, so there may be none.
        """
        group: list[QueuedBatch] = []
        size = 0
        while self._batches:
            queued = self._batches[0]
            if group and queued.unanswered and size + queued.size > max_bytes:
                break
            self._batches.popleft()
            self._bytes -= queued.size
            if queued.unanswered:
                group.append(queued)
                size += queued.size
            else:
                queued.abandon()
        if self._bytes < LARGE_GROUP_BYTES:
            self.large.clear()
        return group
