"""JSON bodies to Arrow: an array of objects, or objects one a line."""

import re
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pyarrow as pa

from lakegate.decode import limits
from lakegate.decode import standard_columns as types
from lakegate.decode.ndjson.decoder import NdjsonDecoder
from lakegate.decode.text import BYTE_ORDER_MARK, WHITESPACE, count
from lakegate.errors import ErrorCode, LakegateError, Violation
from lakegate.model import Body, DecodedGroup, MemoryEstimate, TooLargeError

_BYTE = re.compile(r"(?:JSON is malformed: )?(.*) \(byte ([0-9]+)\)")


class _Object(msgspec.Struct, gc=False):
    """Any JSON object."""


class JsonDecoder:
    """Decodes bodies of JSON arrays, each item a row; others are NDJSON."""

    media_types = ("application/json",)
    field = None
    default_schema = types.DEFAULT_SCHEMA

    def __init__(
        self,
        *,
        max_new_columns: int = 32,
        max_table_columns: int = 1000,
        max_body_bytes: int = 0,
        ndjson: NdjsonDecoder | None = None,
    ) -> None:
        """Limit the columns that a body adds, and those that a table has."""
        del max_body_bytes  # an item takes no more than was sent
        self._ndjson = ndjson or NdjsonDecoder(
            max_new_columns=max_new_columns, max_table_columns=max_table_columns
        )
        self._items = msgspec.json.Decoder(list[msgspec.Raw])
        self._objects = msgspec.json.Decoder(list[_Object])

    def estimate(self, bodies: Sequence[Body], columns: int) -> MemoryEstimate:
        """Take items of arrays for lines."""
        size, cells = self._ndjson.estimate(bodies, columns)
        for body in bodies:
            if _is_array(body.data):
                rows = count(body.data, b"{")
                cells += rows * (columns + 1)
        return MemoryEstimate(size, cells)

    def decode(self, bodies: Sequence[Body], schema: pa.Schema) -> DecodedGroup:
        """Decode a group of bodies, as `NdjsonDecoder` does; errors name items instead of lines."""
        refused: dict[int, LakegateError] = {}
        readable: dict[int, Body] = {}
        for index, body in enumerate(bodies):
            try:
                readable[index] = self._as_lines(body) if _is_array(body.data) else body
            except TooLargeError as error:
                refused[index] = error.refusal()
            except LakegateError as error:
                refused[index] = error
        decoded = self._ndjson.decode(list(readable.values()), schema)
        outcomes = dict(zip(readable, decoded.outcomes, strict=True)) | refused
        return DecodedGroup(
            decoded.rows,
            [
                _of_items(outcome)
                if isinstance(outcome, LakegateError)
                and index not in refused
                and _is_array(bodies[index].data)
                else outcome
                for index, outcome in sorted(outcomes.items())
            ],
        )

    def _as_lines(self, body: Body) -> Body:
        """Return the items of an array as lines. What is said of them stays as it was sent."""
        data = body.data.removeprefix(BYTE_ORDER_MARK)
        try:
            self._check_items(data)
            # A carriage return is what a line feed is: space between tokens, and else an error.
            items = self._items.decode(data.replace(b"\n", b"\r"))
        except msgspec.DecodeError as error:
            raise _refusal(str(error), data) from None
        except RecursionError:
            raise _refusal("it nests too deep", data) from None
        return replace(body, data=b"\n".join(items).replace(b"\r", b" "))

    def _check_items(self, data: bytes) -> None:
        """Raise `TooLargeError` where items are too many to be Python objects."""
        commas = count(data, b",")
        if commas < limits.MAX_LINES:
            return
        limits.check_lines(count(data, b"{"))
        try:
            self._objects.decode(data)  # then those braces are the items, and commas in them
        except msgspec.ValidationError:
            limits.check_lines(commas + 1)


def _is_array(data: bytes) -> bool:
    start = data.removeprefix(BYTE_ORDER_MARK)[:_LONGEST_MARGIN]
    return start.lstrip(WHITESPACE.encode()).startswith(b"[")


_LONGEST_MARGIN = 1024  # the whitespace that is looked through for the start of an array


def _refusal(message: str, data: bytes) -> LakegateError:
    """Return what is wrong with an array, with the line where that is."""
    match = _BYTE.fullmatch(message)
    if match is None:
        return LakegateError(ErrorCode.BAD_REQUEST_BODY, f"The body is not a JSON array: {message}")
    line, reason = data.count(b"\n", 0, int(match[2])) + 1, match[1]
    return LakegateError(
        ErrorCode.BAD_REQUEST_BODY,
        f"line {line}: {reason} at byte {match[2]} of the array",
        violations=(Violation(f"line {line}", reason),),
    )


def _of_items(error: LakegateError) -> LakegateError:
    """Return the error of lines as one of items."""
    if not error.violations:
        return error
    violations = tuple(
        Violation(f"item {violation.field.removeprefix('line ')}", violation.description)
        for violation in error.violations
    )
    first = violations[0]
    return LakegateError(error.code, f"{first.field}: {first.description}", violations=violations)
