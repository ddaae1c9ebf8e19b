"""Retry policies: how many attempts a retry loop makes, and how long it waits between them.

Each loop has a named policy here; `commit_attempts` of the settings is part of that of commits.
"""

import asyncio
import math
import random
from dataclasses import dataclass
from typing import Self

from lakegate import clock

FIRST_BACKOFF_SECONDS = 0.01
LONGEST_BACKOFF_SECONDS = 1.0
# Enough to reach the longest; more would overflow a float.
_MOST_DOUBLINGS = 16


def backoff_seconds(failures: int) -> float:
    """Return the wait after `failures` failed attempts: exponential, with equal jitter.

    Half of it is fixed and half random, so that writers that failed together do not retry together.
    """
    doublings = min(failures - 1, _MOST_DOUBLINGS)
    ceiling = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2**doublings)
    return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - no secret


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The limits of a retry loop.

    `most_attempts`: how many attempts are made at most; the first is always made.
    `deadline_seconds`: after this time no further backoff and attempt begin.
    `backoff`: whether to wait between attempts.
    """

    most_attempts: int
    deadline_seconds: float = math.inf
    backoff: bool = True

    def attempts(self) -> "Attempts":
        """Return an iterator of the attempts; the deadline counts from now."""
        return Attempts(self)


class Attempts:
    """The attempts of one retry loop, numbered from 1, each after its backoff.

    `for` blocks the thread during the backoff, `async for` does not. The body of the loop leaves it
    on success; the loop ends after the last attempt.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        """Start the deadline of `policy`."""
        self._policy = policy
        self._made = 0
        self._deadline = clock.monotonic() + policy.deadline_seconds

    def __iter__(self) -> Self:
        """Return the iterator."""
        return self

    def __next__(self) -> int:
        """Wait for the backoff, and return the number of the next attempt."""
        if self._exhausted:
            raise StopIteration
        if self._waits:
            clock.sleep(backoff_seconds(self._made))
        self._made += 1
        return self._made

    def __aiter__(self) -> Self:
        """Return the iterator."""
        return self

    async def __anext__(self) -> int:
        """Wait for the backoff, and return the number of the next attempt."""
        if self._exhausted:
            raise StopAsyncIteration
        if self._waits:
            await asyncio.sleep(backoff_seconds(self._made))
        self._made += 1
        return self._made

    @property
    def _exhausted(self) -> bool:
        late = clock.monotonic() > self._deadline
        return self._made > 0 and (late or self._made >= self._policy.most_attempts)

    @property
    def _waits(self) -> bool:
        return self._made > 0 and self._policy.backoff


# Each attempt may wait for a lock, or for a catalog that does not answer.
_DEADLINE_SECONDS = 60.0


def commit_policy(most_attempts: int) -> RetryPolicy:
    """Return the policy for the commit of a group: other writers may commit first."""
    return RetryPolicy(most_attempts, _DEADLINE_SECONDS)


# The same after an error that is neither a conflict nor of the catalog: retries rarely help.
COMMIT_OTHER_ERRORS = RetryPolicy(most_attempts=3)
# A group is decoded again if another writer has changed the schema since.
DECODING = RetryPolicy(most_attempts=20, backoff=False)
# New columns, and wider types.
SCHEMA_CHANGE = RetryPolicy(most_attempts=20, deadline_seconds=_DEADLINE_SECONDS)
# The properties that give a new table a location of its own.
TABLE_LOCATION = RetryPolicy(most_attempts=10)
# Compactions and fences: ingest may commit first each time.
MAINTENANCE_COMMIT = RetryPolicy(most_attempts=10)
# Another process may be creating the catalog's tables.
CATALOG_OPEN = RetryPolicy(most_attempts=10, backoff=False)
