"""How the commits of all tables are made."""

from dataclasses import dataclass

from lakegate.concurrency.retry import RetryPolicy
from lakegate.lake.table.retention import Retention


@dataclass(frozen=True, slots=True)
class CommitPolicy:
    """Taken from the settings.

    `group_max_bytes`: the size of the bodies of one group, unless a single body is larger.
    `interval_seconds`: the shortest time between two shared commits to a table.
    `retry`: the attempts at one commit.
    """

    group_max_bytes: int
    interval_seconds: float
    retry: RetryPolicy
    retention: Retention
