"""What is wrong with the JSON of a query event: the first value of a wrong type, by its path."""

import json
from collections.abc import Iterator

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from lakegate.errors import Violation

_MAX_QUOTED = 100  # a longer value is not quoted in a message
# Fields that may be one object instead of an array of them.
ONE_OR_MANY = {"lakegate.v1.QueryEvent.failure_info"}


def value_of(text: bytes) -> object:
    """Return a JSON value, for messages: of a long number the digits that show its length.

    Python refuses to read long whole numbers: the time would be quadratic.
    """
    return json.loads(text, parse_int=lambda digits: int(digits[: _MAX_QUOTED + 1]))


def fault_of(value: object, message: Descriptor, path: str) -> Violation | None:
    """Return the first fault of a JSON value that has to be a message of this type."""
    if not isinstance(value, dict):
        return _fault(path, "an object", value)
    faults = (
        fault
        for field in message.fields
        if (found := value.get(field.json_name)) is not None
        for fault in _faults(found, field, f"{path}.{field.json_name}")
    )
    return next(faults, None)


def _faults(value: object, field: FieldDescriptor, path: str) -> Iterator[Violation]:
    if not field.is_repeated:
        yield from _element_faults(value, field, path)
    elif isinstance(value, list):
        for i, element in enumerate(value):
            yield from _element_faults(element, field, f"{path}[{i}]")
    elif field.full_name not in ONE_OR_MANY:
        yield _fault(path, "an array", value)
    elif not isinstance(value, dict):
        yield _fault(path, "an object or an array", value)
    else:
        yield from _element_faults(value, field, f"{path}[0]")


def _element_faults(value: object, field: FieldDescriptor, path: str) -> Iterator[Violation]:
    if field.message_type:
        if fault := fault_of(value, field.message_type, path):
            yield fault
    elif field.enum_type:
        words = [word.name for word in field.enum_type.values if word.number]
        if value not in words:
            yield _fault(path, f"one of {', '.join(words)}", value)
    elif field.type == FieldDescriptor.TYPE_DOUBLE:
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield _fault(path, "a number", value)
    elif not isinstance(value, str):
        yield _fault(path, "a string", value)


def _fault(path: str, expected: str, value: object) -> Violation:
    sent = json.dumps(value, ensure_ascii=False)
    found = f", not {sent}" if len(sent) <= _MAX_QUOTED else ""
    return Violation(path, f"must be {expected}{found}")
