"""The REST side of the contract as an OpenAPI document, made from the protos.

    python -m lakegate.openapi DESCRIPTOR_SET > envoy/openapi.json

The descriptor set must have source information: descriptions are the comments of
the protos; what they call `Required` is required.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)

from lakegate.contract import permission_of
from lakegate.decode.registry import FORMATS
from lakegate.errors import ErrorCode
from lakegate.rpc.request.headers import BOOLEANS
from lakegate.wire import MAX_REQUEST_ID_CHARACTERS, REQUEST_ID_CHARACTER

_PACKAGE = "lakegate.v1"
_HTTP_BODY = ".google.api.HttpBody"
# What the bodies of methods that take bytes have to be: a message as JSON, or one of its fields.
_JSON_BODIES = {
    "PushQueriesBody": (f".{_PACKAGE}.PushQueriesRequest", "queries"),
    "EnsureTableBody": (f".{_PACKAGE}.EnsureTableRequest", None),
}
_SCALARS: Mapping[int, dict[str, Any]] = {
    FieldDescriptorProto.TYPE_STRING: {"type": "string"},
    FieldDescriptorProto.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptorProto.TYPE_DOUBLE: {"type": "number"},
    FieldDescriptorProto.TYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptorProto.TYPE_UINT32: {"type": "integer", "format": "int64", "minimum": 0},
    # The JSON form of 64 bits is a string (proto3, "ProtoJSON Format").
    FieldDescriptorProto.TYPE_INT64: {"type": "string", "pattern": "^-?[0-9]+$"},
}
_NAME = "^[a-z_][a-z0-9_]{0,62}$"
_BOOLEAN = {"type": "string", "enum": [*BOOLEANS], "default": "true"}
_NAMES = {"database", "table"}
# What a header says, and its schema, by its name.
_Headers: TypeAlias = Mapping[str, tuple[str, dict[str, Any]]]
_ENCODING_HEADER: _Headers = {
    "Content-Encoding": (
        "How the body is compressed.",
        {"type": "string", "enum": ["gzip", "zstd", "identity"], "default": "identity"},
    ),
}
# The options of any body that brings rows.
_BODY_HEADERS: _Headers = {
    "Idempotency-Key": (
        "Identifies the batch over retries, with this body: a string of RFC 8941, or its text.",
        {"type": "string", "pattern": '^([!#-~][!-~]{0,254}|"[!#-\\[\\]-~]{0,255}")?$'},
    ),
    "X-Idempotency-Key": (
        "The same, whatever the body of a retry. Not beside another Idempotency-Key.",
        {"type": "string", "maxLength": 255, "pattern": "^[!-~]*$"},
    ),
    **_ENCODING_HEADER,
}
_REQUEST_ID = {
    "type": "string",
    "pattern": f"^{REQUEST_ID_CHARACTER}{{1,{MAX_REQUEST_ID_CHARACTERS}}}$",
}
_EVERY_HEADER: _Headers = {
    "X-Request-ID": (
        "In the answer, and on the log lines of the request; one is made where there is none.",
        _REQUEST_ID,
    ),
}
# What an answer says beside its body, by its status.
_ANSWER_HEADERS: Mapping[int, _Headers] = {
    401: {"WWW-Authenticate": ("How to send a token.", {"type": "string"})},
    405: {"Allow": ("The methods that the path takes.", {"type": "string"})},
    429: {"Retry-After": ("When to come again, in seconds.", {"type": "integer", "minimum": 1})},
}
# What Envoy refuses by itself, in the code `invalid_argument`.
_ENVOYS_OWN = {431: "The headers are too large."}
# The options of IngestBody: its comment has them, but no field.
_INGEST_HEADERS: _Headers = {
    "X-Table": ("The table. Required.", {"type": "string", "pattern": _NAME}),
    "X-Database": ("The database.", {"type": "string", "pattern": _NAME, "default": "default"}),
    "X-Auto-Create": ("Whether a missing table is made.", _BOOLEAN),
    "X-Schema-Evolve": ("Whether unknown fields become columns.", _BOOLEAN),
}
# What may be one object as well as an array, as its document says.
_ONE_OR_MANY = {"PushQueriesRequest.queries", "QueryEvent.failure_info"}


class _Contract:
    """The descriptors, by name, with their comments."""

    def __init__(self, descriptors: FileDescriptorSet) -> None:
        self.files = [file for file in descriptors.file if file.package == _PACKAGE]
        self.messages = {
            f".{_PACKAGE}.{message.name}": (file, message)
            for file in self.files
            for message in file.message_type
        }
        self._comments = {
            (file.name, tuple(location.path)): _paragraphs(location.leading_comments)
            for file in self.files
            for location in file.source_code_info.location
        }

    def comment(self, file: FileDescriptorProto, *path: int) -> str:
        return self._comments.get((file.name, path), "")

    def methods(self) -> Iterator[tuple[FileDescriptorProto, MethodDescriptorProto, str]]:
        """Return every method with its comment."""
        for file in self.files:
            for i, service in enumerate(file.service):
                for j, method in enumerate(service.method):
                    yield file, method, self.comment(file, 6, i, 2, j)

    def fields(self, type_name: str) -> dict[str, tuple[FieldDescriptorProto, str]]:
        """Return the fields of a message by their names in JSON, each with its comment."""
        file, message = self.messages[type_name]
        index = list(file.message_type).index(message)
        # The events have the names of Ryft's document, all else those of the protos.
        events = file.name.endswith("query_events.proto")
        return {
            field.json_name if events else field.name: (field, self.comment(file, 4, index, 2, i))
            for i, field in enumerate(message.field)
        }


def openapi(descriptors: FileDescriptorSet) -> dict[str, Any]:
    """Make the document."""
    contract = _Contract(descriptors)
    paths: dict[str, dict[str, Any]] = {}
    for _, method, comment in contract.methods():
        rule = method.options.Extensions[annotations_pb2.http]
        verb = rule.WhichOneof("pattern")
        if verb:
            path = getattr(rule, verb)
            paths.setdefault(path, {})[verb] = _operation(contract, method, comment, path)
    schemas = {
        message.name: _schema(contract, name) for name, (_, message) in contract.messages.items()
    }
    used = _used(paths, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Lakegate",
            "version": "v1",
            "description": "The gate into the lakehouse: rows into Apache Iceberg tables.",
        },
        "security": [{"bearer": []}, {"ryft": []}],
        "paths": paths,
        "components": {
            "schemas": {name: schemas[name] for name in schemas if name in used}
            | {"Error": _error()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "ryft": {"type": "apiKey", "in": "header", "name": "X-Ryft-Token"},
            },
        },
    }


def _operation(
    contract: _Contract, method: MethodDescriptorProto, comment: str, path: str
) -> dict[str, Any]:
    rule = method.options.Extensions[annotations_pb2.http]
    name = method.name.removesuffix("Body") if method.name in _JSON_BODIES else method.name
    operation: dict[str, Any] = {"operationId": name, "description": comment}
    parameters, body = _parameters_and_body(contract, method, path)
    operation["parameters"] = parameters + _header_parameters(_EVERY_HEADER)
    if rule.body:
        operation["requestBody"] = {"required": True, "content": body}
    answer = {"$ref": f"#/components/schemas/{_short(method.output_type)}"}
    operation["responses"] = {
        "200": {
            "description": "Done.",
            "headers": _answer_headers(_EVERY_HEADER),
            "content": {"application/json": {"schema": answer}},
        }
    } | _refusals()
    if permission_of(method.options) is None:
        operation["security"] = []
    return operation


def _parameters_and_body(
    contract: _Contract, method: MethodDescriptorProto, path: str
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    rule = method.options.Extensions[annotations_pb2.http]
    message, part = _JSON_BODIES.get(method.name, (method.input_type, None))
    if message == _HTTP_BODY:
        headers = _header_parameters({**_INGEST_HEADERS, **_BODY_HEADERS})
        rows = {"schema": {"type": "string"}}
        return headers, {format_.media_types[0]: rows for format_ in FORMATS}
    in_path = set(re.findall(r"{(\w+)}", path))
    fields = contract.fields(message)
    if part:
        field, _ = fields[part]
        return _header_parameters(_BODY_HEADERS), {
            "application/json": {"schema": _field(contract, message, field)}
        }
    parameters = [
        _parameter(
            "path" if name in in_path else "query",
            name,
            {"type": "string", "pattern": _NAME} if name in _NAMES else _value(contract, field),
            comment,
        )
        for name, (field, comment) in fields.items()
        if name in in_path or not rule.body
    ]
    if method.name in _JSON_BODIES:
        parameters += _header_parameters(_ENCODING_HEADER)
    body = _schema(contract, message, without=in_path)
    return parameters, {"application/json": {"schema": body}}


def _header_parameters(headers: _Headers) -> list[dict[str, Any]]:
    return [
        _parameter("header", name, schema, comment) for name, (comment, schema) in headers.items()
    ]


def _answer_headers(headers: _Headers) -> dict[str, Any]:
    return {
        name: {"description": comment, "schema": schema}
        for name, (comment, schema) in headers.items()
    }


def _parameter(place: str, name: str, schema: dict[str, Any], comment: str) -> dict[str, Any]:
    return {
        "in": place,
        "name": name,
        "required": place == "path" or "Required" in comment,
        "description": comment,
        "schema": schema,
    }


def _schema(
    contract: _Contract, type_name: str, without: frozenset[str] | set[str] = frozenset()
) -> dict[str, Any]:
    fields = {
        name: each for name, each in contract.fields(type_name).items() if name not in without
    }
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            name: _field(contract, type_name, field) | {"description": comment}
            for name, (field, comment) in fields.items()
        },
    }
    if required := [name for name, (_, comment) in fields.items() if "Required" in comment]:
        schema["required"] = required
    return schema


def _field(contract: _Contract, type_name: str, field: FieldDescriptorProto) -> dict[str, Any]:
    value = _value(contract, field)
    if field.label != FieldDescriptorProto.LABEL_REPEATED:
        return value
    if entry := _map_entry(contract, type_name, field):
        return {"type": "object", "additionalProperties": _value(contract, entry.field[1])}
    many = {"type": "array", "items": value}
    if f"{_short(type_name)}.{field.name}" in _ONE_OR_MANY:
        return {"oneOf": [value, many]}
    return many


def _map_entry(
    contract: _Contract, type_name: str, field: FieldDescriptorProto
) -> DescriptorProto | None:
    _, message = contract.messages[type_name]
    return next(
        (
            nested
            for nested in message.nested_type
            if nested.options.map_entry and field.type_name.endswith(f".{nested.name}")
        ),
        None,
    )


def _value(contract: _Contract, field: FieldDescriptorProto) -> dict[str, Any]:
    if field.type == FieldDescriptorProto.TYPE_MESSAGE:
        return {"$ref": f"#/components/schemas/{_short(field.type_name)}"}
    if field.type == FieldDescriptorProto.TYPE_ENUM:
        enum = next(
            enum
            for name, (_, message) in contract.messages.items()
            for enum in message.enum_type
            if field.type_name == f"{name}.{enum.name}"
        )
        return {"type": "string", "enum": [each.name for each in enum.value if each.number]}
    return dict(_SCALARS.get(field.type, {"type": "string"}))


def _refusals() -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    codes: dict[int, list[str]] = {}
    for code in ErrorCode:
        names = codes.setdefault(code.value.http_status, [])
        if code.value.name not in names:
            names.append(code.value.name)
    words = {status: ", ".join(f"`{name}`" for name in names) for status, names in codes.items()}
    for status, description in _ENVOYS_OWN.items():
        words[status] = f"`{ErrorCode.INVALID_ARGUMENT.value.name}`: {description}"
    return {
        str(status): {
            "description": description,
            "headers": _answer_headers({**_EVERY_HEADER, **_ANSWER_HEADERS.get(status, {})}),
            "content": error,
        }
        for status, description in sorted(words.items())
    }


def _error() -> dict[str, Any]:
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


def _used(paths: dict[str, Any], schemas: dict[str, Any]) -> set[str]:
    """Return the names of the schemas that are referred to, also by others that are."""
    used: set[str] = set()
    left = [json.dumps(paths)]
    while left:
        for name in re.findall(r"#/components/schemas/(\w+)", left.pop()):
            if name not in used and name in schemas:
                used.add(name)
                left.append(json.dumps(schemas[name]))
    return used


def _paragraphs(comment: str) -> str:
    lines = [line.strip() for line in comment.splitlines()]
    kept = [line for line in lines if not line.startswith("buf:lint")]
    return re.sub(r"(?<!\n)\n(?!\n)", " ", "\n".join(kept)).strip()


def _short(type_name: str) -> str:
    return type_name.rpartition(".")[2]


if __name__ == "__main__":
    found = FileDescriptorSet.FromString(Path(sys.argv[1]).read_bytes())
    sys.stdout.write(json.dumps(openapi(found), indent=1, ensure_ascii=False) + "\n")
