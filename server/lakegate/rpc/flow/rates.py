"""Limits the requests and bytes of a token per second, each by a token bucket."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from cachetools import LRUCache

from lakegate.errors import ErrorCode, LakegateError

# How many tokens have buckets; one that was dropped begins with full ones.
_MAX_TOKENS = 10_000


@dataclass(slots=True)
class _Bucket:
    """Fills with `rate` a second, up to a second's worth."""

    rate: float
    level: float
    at: float

    def spend(self, amount: float, now: float) -> None:
        self.level = min(self.rate, self.level + (now - self.at) * self.rate) - amount
        self.at = now


class Rates:
    """Limits by token. A rate of 0 is no limit."""

    def __init__(
        self,
        requests_per_second: float,
        bytes_per_second: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Limit the requests and bytes per second of each token."""
        self._rates = (requests_per_second, bytes_per_second)
        self._clock = clock
        self._buckets: LRUCache[str, tuple[_Bucket, _Bucket]] = LRUCache(_MAX_TOKENS)

    def begin(self, token_id: str) -> None:
        """Count a request. Raises as `check` does."""
        self.check(token_id)
        if any(self._rates):
            self._count(token_id, 1, 0)

    def check(self, token_id: str) -> None:
        """Raise `LakegateError` (overloaded) with the time to retry after, if it is too early.

        The bytes of a request are known only as they arrive: after more than the rate allows,
        the next request has to wait until the rate has caught up.
        """
        if not any(self._rates):
            return
        requests, sent = self._count(token_id, 0, 0)
        for what, bucket, needed in (("requests", requests, 1), ("bytes", sent, 0)):
            if bucket.rate and bucket.level < needed:
                raise LakegateError(
                    ErrorCode.OVERLOADED,
                    f"the token sends more than its {bucket.rate:g} {what} a second",
                    retry_after_seconds=(needed - bucket.level) / bucket.rate,
                )

    def sent(self, token_id: str, size: int) -> None:
        """Count the bytes of a request."""
        if any(self._rates):
            self._count(token_id, 0, size)

    def _count(self, token_id: str, requests: int, sent: int) -> tuple[_Bucket, _Bucket]:
        now = self._clock()
        buckets = self._buckets.get(token_id)
        if buckets is None:
            buckets = self._buckets[token_id] = (
                _Bucket(self._rates[0], self._rates[0], now),
                _Bucket(self._rates[1], self._rates[1], now),
            )
        for bucket, amount in zip(buckets, (requests, sent), strict=True):
            bucket.spend(amount, now)
        return buckets
