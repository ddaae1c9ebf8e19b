"""A token has limits per second, and its refusals say when to retry."""

import pytest

from lakegate.errors import ErrorCode, LakegateError
from lakegate.rpc.flow.rates import Rates


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def retry_after(rates: Rates, token: str) -> float | None:
    with pytest.raises(LakegateError) as refusal:
        rates.begin(token)
    assert refusal.value.code is ErrorCode.OVERLOADED
    return refusal.value.retry_after_seconds


def test_without_limits_everything_goes() -> None:
    rates = Rates(0, 0)
    for _ in range(1000):
        rates.begin("t")
        rates.sent("t", 10**12)


def test_a_token_makes_its_requests_a_second_and_no_more() -> None:
    clock = Clock()
    rates = Rates(2, 0, clock)
    for _ in range(2):
        rates.begin("t")
    assert retry_after(rates, "t") == 0.5
    rates.begin("another")
    clock.now = 0.5
    rates.begin("t")
    assert retry_after(rates, "t") == 0.5


def test_whoever_sends_too_much_waits_until_the_rate_has_caught_up() -> None:
    clock = Clock()
    rates = Rates(0, 100, clock)
    rates.begin("t")
    rates.sent("t", 350)
    assert retry_after(rates, "t") == 2.5
    clock.now = 2.5
    rates.begin("t")


def test_a_refused_request_does_not_count() -> None:
    clock = Clock()
    rates = Rates(1, 0, clock)
    rates.begin("t")
    for _ in range(100):
        retry_after(rates, "t")
    clock.now = 1
    rates.begin("t")
