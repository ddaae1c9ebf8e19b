"""How long to wait before the next attempt, and when none begins any more."""

import random

FIRST_SECONDS = 0.01
LONGEST_SECONDS = 1.0
# Where each attempt waits for a lock or for a catalog that does not answer, this is soon enough.
GIVE_UP_SECONDS = 60.0


def backoff_seconds(attempt: int) -> float:
    """Wait exponentially longer, with full jitter, so that writers do not march in step.

    `attempt` counts the failed attempts from 0.
    """
    ceiling = min(LONGEST_SECONDS, FIRST_SECONDS * 2**attempt)
    return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - no secret
