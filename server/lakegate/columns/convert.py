"""A JSON text to the value that a column holds."""

import json
from typing import Any

import pyarrow as pa

from lakegate.columns.json_values import Members, MisfitError, Number
from lakegate.columns.registry import is_text, type_of


def convert_json(text: str, column: pa.Field) -> Any:  # noqa: ANN401  # what pa.array takes
    """Return the value of a JSON text for a column. Raises `MisfitError` if it has none."""
    value = json.loads(text, parse_int=Number, parse_float=Number, object_pairs_hook=Members)
    return _convert(value, column)


def _convert(value: Any, column: pa.Field) -> Any:  # noqa: ANN401  # any JSON value
    if value is None:
        return None
    type_ = type_of(column)
    if type_ is not None and type_.from_json is not None:
        return type_.from_json(value, column)
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return _to_list(value, column.type)
    if pa.types.is_struct(column.type):
        return _to_struct(value, column.type)
    if pa.types.is_map(column.type):
        return _to_map(value, column.type)
    raise MisfitError


def _to_list(value: object, type_: pa.DataType) -> list[Any]:
    if not isinstance(value, list) or isinstance(value, Members):
        raise MisfitError
    return [_convert_item(item, type_.value_field) for item in value]


def _to_struct(value: object, type_: pa.DataType) -> dict[str, Any]:
    if not isinstance(value, Members):
        raise MisfitError
    members = dict(value)
    fields = {field.name: field for field in type_}
    if len(members) < len(value) or not members.keys() <= fields.keys():
        raise MisfitError  # nothing is dropped
    return {name: _convert_item(members.get(name), field) for name, field in fields.items()}


def _to_map(value: object, type_: pa.DataType) -> list[tuple[str, Any]]:
    if not isinstance(value, Members) or not is_text(type_.key_type):
        raise MisfitError
    if len(dict(value)) < len(value):
        raise MisfitError
    return [(key, _convert_item(item, type_.item_field)) for key, item in value]


def _convert_item(value: object, field: pa.Field) -> Any:  # noqa: ANN401  # what pa.array takes
    if value is None and not field.nullable:
        raise MisfitError
    return _convert(value, field)
