"""JSON schemas of messages."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto

from lakegate.errors import ErrorCode
from lakegate.openapi.descriptors import Descriptors, short_name

_SCALARS: Mapping[int, dict[str, Any]] = {
    FieldDescriptorProto.TYPE_STRING: {"type": "string"},
    FieldDescriptorProto.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptorProto.TYPE_DOUBLE: {"type": "number"},
    FieldDescriptorProto.TYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptorProto.TYPE_UINT32: {"type": "integer", "format": "int64", "minimum": 0},
    # The JSON form of 64 bits is a string (proto3, "ProtoJSON Format").
    FieldDescriptorProto.TYPE_INT64: {"type": "string", "pattern": "^-?[0-9]+$"},
}
# Fields that may be one object instead of an array, as in Ryft's document.
_ONE_OR_MANY = {"PushQueriesRequest.queries", "QueryEvent.failure_info"}


def message_schema(
    descriptors: Descriptors, type_name: str, without: frozenset[str] | set[str] = frozenset()
) -> dict[str, Any]:
    """Return the schema of a message, except the fields `without`."""
    fields = {
        name: each for name, each in descriptors.fields(type_name).items() if name not in without
    }
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            name: field_schema(descriptors, type_name, field) | {"description": comment}
            for name, (field, comment) in fields.items()
        },
    }
    if required := [name for name, (_, comment) in fields.items() if "Required" in comment]:
        schema["required"] = required
    return schema


def field_schema(
    descriptors: Descriptors, type_name: str, field: FieldDescriptorProto
) -> dict[str, Any]:
    """Return the schema of a field, which may be repeated or a map."""
    value = value_schema(descriptors, field)
    if field.label != FieldDescriptorProto.LABEL_REPEATED:
        return value
    if entry := _map_entry(descriptors, type_name, field):
        return {"type": "object", "additionalProperties": value_schema(descriptors, entry.field[1])}
    many = {"type": "array", "items": value}
    if f"{short_name(type_name)}.{field.name}" in _ONE_OR_MANY:
        return {"oneOf": [value, many]}
    return many


def _map_entry(
    descriptors: Descriptors, type_name: str, field: FieldDescriptorProto
) -> DescriptorProto | None:
    _, message = descriptors.messages[type_name]
    return next(
        (
            nested
            for nested in message.nested_type
            if nested.options.map_entry and field.type_name.endswith(f".{nested.name}")
        ),
        None,
    )


def value_schema(descriptors: Descriptors, field: FieldDescriptorProto) -> dict[str, Any]:
    """Return the schema of one value of a field."""
    if field.type == FieldDescriptorProto.TYPE_MESSAGE:
        return {"$ref": f"#/components/schemas/{short_name(field.type_name)}"}
    if field.type == FieldDescriptorProto.TYPE_ENUM:
        enum = next(
            enum
            for name, (_, message) in descriptors.messages.items()
            for enum in message.enum_type
            if field.type_name == f"{name}.{enum.name}"
        )
        return {"type": "string", "enum": [each.name for each in enum.value if each.number]}
    return dict(_SCALARS.get(field.type, {"type": "string"}))


def error_schema() -> dict[str, Any]:
    """Return the schema of the body of a refusal."""
    text = {"type": "string"}
    codes = sorted({code.value.name for code in ErrorCode})
    properties = {
        "code": {"type": "string", "enum": codes},
        "message": text,
        "request_id": {
            "type": "string",
            "description": "In the header X-Request-ID and in the log too.",
        },
    }
    error = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "object", "properties": {"error": error}, "required": ["error"]}
