"""The field names of a table definition in JSON: the transcoder drops unknown ones."""

import json
from typing import Any

from google.protobuf.message import Message

from lakegate.errors import ErrorCode, LakegateError, Violation
from lakegate.v1.tables_pb2 import Column, EnsureTableRequest

# Reading one takes milliseconds, and several times its size in memory.
MAX_DEFINITION_BYTES = 1024 * 1024


def check_fields(body: bytes) -> None:
    """Raise `LakegateError` (invalid_argument) where a definition has an unknown field.

    What is no JSON is left to the transcoder, which says where. Blocks.
    """
    if len(body) > MAX_DEFINITION_BYTES:
        raise LakegateError(
            ErrorCode.BODY_TOO_LARGE,
            f"a table definition has at most {MAX_DEFINITION_BYTES} bytes",
        )
    try:
        definition: Any = json.loads(body)
    except (ValueError, RecursionError):
        return
    if not isinstance(definition, dict):
        return
    _check(definition, "", EnsureTableRequest)
    columns = definition.get("columns")
    for number, column in enumerate(columns if isinstance(columns, list) else ()):
        if isinstance(column, dict):
            _check(column, f"columns[{number}].", Column)


def _check(fields: dict[str, Any], path: str, message: type[Message]) -> None:
    declared = message.DESCRIPTOR.fields
    known = {name for field in declared for name in (field.name, field.json_name)}
    for name in fields.keys() - known:
        words = f"unknown field; known are {', '.join(field.name for field in declared)}"
        where = f"{path}{name[:100]}"
        raise LakegateError(
            ErrorCode.INVALID_ARGUMENT,
            f"{where}: {words}",
            violations=(Violation(where, words),),
        )
