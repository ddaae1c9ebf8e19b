"""The protocol is correct in every order of its steps, crashes included, and needs every rule."""

from dataclasses import fields, replace

import pytest
from tests.testing.protocol_model import Bounds, Rules, violation
from tests.testing.protocol_steps import explore

ONE_KEY = Bounds(claims=3, crashes=1, sends=3, retentions=1)
TWO_KEYS = Bounds(groups=(frozenset("a"), frozenset("ab")), claims=2, sends=2, retentions=0)
THREE_SERVERS = Bounds(servers=3, claims=3, crashes=0, sends=2, retentions=0)


@pytest.mark.parametrize(
    "bounds",
    [
        pytest.param(ONE_KEY, id="one key"),
        pytest.param(TWO_KEYS, id="two keys in one group"),
        pytest.param(THREE_SERVERS, id="three servers"),
    ],
)
def test_no_order_of_steps_doubles_or_loses_a_batch(bounds: Bounds) -> None:
    states, path = explore(Rules(), bounds)
    assert path is None, "\n".join(map(str, path))
    assert states > 10_000


@pytest.mark.parametrize("rule", [field.name for field in fields(Rules)])
def test_without_one_of_its_rules_the_protocol_fails(rule: str) -> None:
    bounds = replace(ONE_KEY, claims=3, crashes=2, sends=4)
    _, path = explore(replace(Rules(), **{rule: False}), bounds)
    assert path is not None
    assert violation(path[-1])
