"""The OpenAPI document of the REST routes, generated from the protos.

The descriptor set must have source information: descriptions are the comments of the protos, and
fields with `Required` in their comment are required.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodDescriptorProto

from lakegate.contract import http_rule, permission_of
from lakegate.decode.registry import FORMATS
from lakegate.errors import ErrorCode
from lakegate.openapi.descriptors import Descriptors, short_name
from lakegate.openapi.schemas import error_schema, field_schema, message_schema, value_schema
from lakegate.rpc.request.headers import BOOLEANS
from lakegate.rpc.request.inflate import ENCODINGS, IDENTITY
from lakegate.wire import MAX_REQUEST_ID_CHARACTERS, REQUEST_ID_CHARACTER

_HTTP_BODY = ".google.api.HttpBody"
# The JSON in the bodies of methods that take bytes: a message, or one of its fields.
_JSON_BODIES = {
    "PushQueriesBody": (".lakegate.v1.PushQueriesRequest", "queries"),
    "EnsureTableBody": (".lakegate.v1.EnsureTableRequest", None),
}
_NAME = "^[a-z_][a-z0-9_]{0,62}$"
_BOOLEAN = {"type": "string", "enum": [*BOOLEANS], "default": "true"}
_NAMES = {"database", "table"}
# The description and the schema of headers, by name.
_Headers: TypeAlias = Mapping[str, tuple[str, dict[str, Any]]]
_ENCODING_HEADER: _Headers = {
    "Content-Encoding": (
        "How the body is compressed.",
        {"type": "string", "enum": [*ENCODINGS], "default": IDENTITY},
    ),
}
# The headers of all requests with rows.
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
# The headers of answers, by status.
_ANSWER_HEADERS: Mapping[int, _Headers] = {
    401: {"WWW-Authenticate": ("How to send a token.", {"type": "string"})},
    405: {"Allow": ("The methods that the path takes.", {"type": "string"})},
    429: {"Retry-After": ("When to come again, in seconds.", {"type": "integer", "minimum": 1})},
}
# Refusals of Envoy with the code `invalid_argument`.
_ENVOYS_OWN = {431: "The headers are too large."}
# The headers of IngestBody, which are in its comment and not in a field.
_INGEST_HEADERS: _Headers = {
    "X-Table": ("The table. Required.", {"type": "string", "pattern": _NAME}),
    "X-Database": ("The database.", {"type": "string", "pattern": _NAME, "default": "default"}),
    "X-Auto-Create": ("Whether a missing table is made.", _BOOLEAN),
    "X-Schema-Evolve": ("Whether unknown fields become columns.", _BOOLEAN),
}


def openapi(descriptor_set: FileDescriptorSet) -> dict[str, Any]:
    """Return the document."""
    descriptors = Descriptors(descriptor_set)
    paths: dict[str, dict[str, Any]] = {}
    for _, method, comment in descriptors.methods():
        rule = http_rule(method.options)
        verb = rule.WhichOneof("pattern")
        if verb:
            path = getattr(rule, verb)
            paths.setdefault(path, {})[verb] = _operation(descriptors, method, comment, path)
    schemas = {
        message.name: message_schema(descriptors, name)
        for name, (_, message) in descriptors.messages.items()
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
            | {"Error": error_schema()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "ryft": {"type": "apiKey", "in": "header", "name": "X-Ryft-Token"},
            },
        },
    }


def _operation(
    descriptors: Descriptors, method: MethodDescriptorProto, comment: str, path: str
) -> dict[str, Any]:
    rule = http_rule(method.options)
    name = method.name.removesuffix("Body") if method.name in _JSON_BODIES else method.name
    operation: dict[str, Any] = {"operationId": name, "description": comment}
    parameters, body = _parameters_and_body(descriptors, method, path)
    operation["parameters"] = parameters + _header_parameters(_EVERY_HEADER)
    if rule.body:
        operation["requestBody"] = {"required": True, "content": body}
    answer = {"$ref": f"#/components/schemas/{short_name(method.output_type)}"}
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
    descriptors: Descriptors, method: MethodDescriptorProto, path: str
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    rule = http_rule(method.options)
    message, part = _JSON_BODIES.get(method.name, (method.input_type, None))
    if message == _HTTP_BODY:
        headers = _header_parameters({**_INGEST_HEADERS, **_BODY_HEADERS})
        rows = {"schema": {"type": "string"}}
        return headers, {format_.media_types[0]: rows for format_ in FORMATS}
    in_path = set(re.findall(r"{(\w+)}", path))
    fields = descriptors.fields(message)
    if part:
        field, _ = fields[part]
        return _header_parameters(_BODY_HEADERS), {
            "application/json": {"schema": field_schema(descriptors, message, field)}
        }
    parameters = [
        _parameter(
            "path" if name in in_path else "query",
            name,
            {"type": "string", "pattern": _NAME}
            if name in _NAMES
            else value_schema(descriptors, field),
            comment,
        )
        for name, (field, comment) in fields.items()
        if name in in_path or not rule.body
    ]
    if method.name in _JSON_BODIES:
        parameters += _header_parameters(_ENCODING_HEADER)
    body = message_schema(descriptors, message, without=in_path)
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


def _used(paths: dict[str, Any], schemas: dict[str, Any]) -> set[str]:
    """Return the names of the schemas that are referenced, directly or by others."""
    used: set[str] = set()
    left = [json.dumps(paths)]
    while left:
        for name in re.findall(r"#/components/schemas/(\w+)", left.pop()):
            if name not in used and name in schemas:
                used.add(name)
                left.append(json.dumps(schemas[name]))
    return used
