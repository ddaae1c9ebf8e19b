"""The rules of a query event's payload, checked a column at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc
from google.protobuf.descriptor import EnumDescriptor

from lakegate.columns.timestamps import FORMS
from lakegate.errors import ErrorCode, LakegateError, Violation
from lakegate.v1 import query_events_pb2 as pb

_LISTED_VIOLATIONS = 10


@dataclass(frozen=True)
class Flattened:
    """The items of a list array, one after the other, and the way back to their lists."""

    lists: pa.ListArray

    @cached_property
    def items(self) -> pa.Array:
        """Every item of every list."""
        return self.lists.flatten()

    @cached_property
    def parent(self) -> pa.Array:
        """Return for each item the index of its list."""
        return pc.list_parent_indices(self.lists)

    @cached_property
    def position(self) -> pa.Array:
        """Return for each item its index within its list."""
        indices = pc.subtract(pc.cumulative_sum(pa.repeat(1, len(self.items))), 1)
        starts = pc.subtract(self.lists.offsets, self.lists.offsets[0])
        return pc.subtract(indices, pc.take(starts, self.parent))


class EnumNames:
    """The names of a proto enum by number; 0 and numbers not listed have none."""

    def __init__(self, enum: EnumDescriptor) -> None:
        """Take the names from the descriptor."""
        names = {value.number: value.name for value in enum.values if value.number != 0}
        self._names = pa.array([names.get(i) for i in range(max(names) + 1)])
        self.expected = f"must be one of {', '.join(names.values())}"

    def of(self, numbers: pa.Array) -> pa.Array:
        """Return the name of each number, or null."""
        listed = pc.and_(pc.greater(numbers, 0), pc.less(numbers, len(self._names)))
        return pc.take(self._names, pc.if_else(listed, numbers, None))

    def unlisted(self, numbers: pa.Array) -> pa.Array:
        """Return which numbers are given and have no name."""
        return pc.and_(pc.not_equal(numbers, 0), pc.is_null(self.of(numbers)))


QUERY_STATES = EnumNames(pb.QueryEvent.QueryState.DESCRIPTOR)
QUERY_TYPES = EnumNames(pb.QueryContext.QueryType.DESCRIPTOR)
ERROR_TYPES = EnumNames(pb.ErrorCode.Type.DESCRIPTOR)


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule of the payload: `broken` marks the items that break it (null: not)."""

    path: str
    broken: pa.Array
    expected: str


def check(events: Flattened, timestamps: pa.Array) -> dict[int, LakegateError]:
    """Return the requests that have an event which breaks a rule, and why.

    `timestamps`: those of the events, parsed; null where they could not be.
    """
    breaches: dict[int, list[tuple[int, Violation]]] = {}

    def note(event: int, path: str, expected: str) -> None:
        position = events.position[event].as_py()
        violation = Violation(f"queries[{position}].{path}", expected)
        breaches.setdefault(events.parent[event].as_py(), []).append((position, violation))

    for rule in _event_rules(events.items, timestamps):
        for event in _marked(rule.broken, events.parent):
            note(event, rule.path, rule.expected)
    failures = Flattened(_field(events.items, "failure_info"))
    for rule in _failure_rules(failures.items):
        for failure in _marked(rule.broken, pc.take(events.parent, failures.parent)):
            path = f"failureInfo[{failures.position[failure]}].{rule.path}"
            note(failures.parent[failure].as_py(), path, rule.expected)
    return {request: _refusal(found) for request, found in breaches.items()}


def _event_rules(event: pa.StructArray, timestamps: pa.Array) -> Iterator[_Rule]:
    required = "is required"
    state = _field(event, "query_state")
    no_timestamp = pc.equal(_field(event, "timestamp"), "")
    duration = _field(event, "duration_ms")
    yield _Rule("context", pc.is_null(_field(event, "context")), required)
    yield _Rule(
        "context.queryType",
        QUERY_TYPES.unlisted(_field(event, "context", "query_type")),
        QUERY_TYPES.expected,
    )
    yield _Rule("query", pc.is_null(_field(event, "query")), required)
    yield _Rule("queryId", pc.equal(_field(event, "query_id"), ""), required)
    yield _Rule("queryState", pc.equal(state, 0), required)
    yield _Rule("queryState", QUERY_STATES.unlisted(state), QUERY_STATES.expected)
    yield _Rule("timestamp", no_timestamp, required)
    yield _Rule(
        "timestamp",
        pc.and_not(pc.is_null(timestamps), no_timestamp),
        f"must be {FORMS}",
    )
    yield _Rule("duration_ms", pc.is_null(duration), required)
    yield _Rule(
        "duration_ms",
        pc.or_(pc.less(duration, 0), pc.invert(pc.is_finite(duration))),
        "must be a number, not negative",
    )


def _failure_rules(failure: pa.StructArray) -> Iterator[_Rule]:
    error_type = pc.fill_null(_field(failure, "error_code", "type"), 0)
    yield _Rule("errorCode.type", pc.equal(error_type, 0), "is required")
    yield _Rule("errorCode.type", ERROR_TYPES.unlisted(error_type), ERROR_TYPES.expected)


def _refusal(breaches: list[tuple[int, Violation]]) -> LakegateError:
    in_order = [violation for _, violation in sorted(breaches, key=lambda breach: breach[0])]
    first = in_order[0]
    return LakegateError(
        ErrorCode.INVALID_QUERY_EVENT,
        f"{first.field} {first.description}",
        violations=tuple(in_order[:_LISTED_VIOLATIONS]),
    )


def _marked(mask: pa.Array, requests: pa.Array) -> list[int]:
    """Return the indices of marked items, no more of a request than are listed.

    `requests`: for each item its request, ascending.
    """
    indices = pc.indices_nonzero(mask)
    of = pc.take(requests, indices)
    place = pc.subtract(pc.cumulative_sum(pa.repeat(1, len(of))), 1)
    rank = pc.subtract(place, pc.index_in(of, of))  # index_in finds the first of equal values
    marked: list[int] = indices.filter(pc.less(rank, _LISTED_VIOLATIONS)).to_pylist()
    return marked


def _field(struct: pa.Array, *path: str) -> pa.Array:
    return pc.struct_field(struct, list(path))
