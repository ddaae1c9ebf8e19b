"""Envoy's routes, made from the methods of the contract. The first that matches counts.

A REST request is routed twice: as it comes, and as the gRPC call that the transcoder makes of
it. What the transcoder does not take stays on its first route.
"""

import re
from collections.abc import Iterable
from itertools import groupby
from typing import Any, TypeAlias

from lakegate.contract import METHODS, Method, Route
from lakegate.edge.transcoder import TRANSCODER

_Json: TypeAlias = dict[str, Any]

_SERVER: _Json = {"cluster": "server", "timeout": "0s"}
_LUA = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.LuaPerRoute"

# Services beside the contract, which need no token.
_HEALTH = "/grpc.health.v1.Health/"
_REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/"
_BUFFER = "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.BufferPerRoute"
# Envoy holds a message of such a call, up to the limit. Not one of reflection, whose calls end
# only after their answers.
_SMALL: _Json = {
    "typed_per_filter_config": {"buffer": {"@type": _BUFFER, "buffer": {"max_request_bytes": 4096}}}
}
# The server inflates no message of such a call: without the header it takes it as it is.
_UNCOMPRESSED: _Json = {"request_headers_to_remove": ["grpc-encoding"]}


def routes(read_seconds: str, openapi_file: str, lenient: _Json) -> list[_Json]:
    """Return the routes.

    `read_seconds`: how long calls may take that anybody may make. `lenient`: the transcoder on
    the routes of rows, which ignores query parameters: senders of web hooks add some.
    """
    in_time = _SERVER | {"max_stream_duration": {"max_stream_duration": read_seconds}}
    document = Route("GET", "/openapi.json")
    return [
        *(_native(method, in_time) for method in METHODS),
        {"match": {"prefix": _HEALTH, "grpc": {}}, "route": _SERVER, **_SMALL, **_UNCOMPRESSED},
        {"match": {"prefix": _REFLECTION, "grpc": {}}, "route": in_time, **_UNCOMPRESSED},
        {"match": {"prefix": "/", "grpc": {}}, "route": _SERVER},
        *(_rest(method, method.route, lenient) for method in METHODS if method.route),
        {
            "match": _match(document),
            "direct_response": {"status": 200, "body": {"filename": openapi_file}},
        },
        *_wrong_methods([*(method.route for method in METHODS if method.route), document]),
        {"match": {"prefix": "/"}, "direct_response": {"status": 404}},
    ]


def _native(method: Method, in_time: _Json) -> _Json:
    match = {"path": method.grpc_path, "grpc": {}}
    if method.returns_stream:  # it stays open between two batches
        route = _SERVER | {"idle_timeout": "3600s"}
        return {"match": match, "route": route, **_filters(**_ends(method, rest=False))}
    if method.permission is None:  # anybody may call it, but not for ever
        return {"match": match, "route": in_time | {"timeout": "15s"}, **_SMALL, **_UNCOMPRESSED}
    return {"match": match, "route": _SERVER, **_filters(**_ends(method, rest=False))}


def _rest(method: Method, route: Route, lenient: _Json) -> _Json:
    """Return the route of a REST request that is not transcoded yet. Its body streams through."""
    forward = {"match": _match(route), "route": _SERVER}
    if route.verb == "GET":  # the transcoder would keep a body of any size
        return forward | _filters(ends={"drop": True})
    transcoder = {TRANSCODER: lenient} if method.commits_rows else {}
    return forward | _filters(transcoder, **_ends(method, rest=True))


def _wrong_methods(known: Iterable[Route]) -> list[_Json]:
    """Return a route for each path, for methods that it does not have."""
    by_path = groupby(sorted(known, key=lambda route: (route.path, route.verb)), lambda r: r.path)
    return [
        {
            "match": _path(path),
            "direct_response": {"status": 405},
            "response_headers_to_add": [
                {"header": {"key": "allow", "value": ", ".join(route.verb for route in group)}}
            ],
        }
        for path, group in by_path
    ]


def _match(route: Route) -> _Json:
    method = {"name": ":method", "string_match": {"exact": route.verb}}
    return _path(route.path) | {"headers": [method]}


def _path(path: str) -> _Json:
    """Return a match for a path, with or without a slash at its end, as the transcoder does."""
    regex = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))
    return {"safe_regex": {"regex": f"{regex}/?"}}


def _ends(method: Method, *, rest: bool) -> dict[str, _Json]:
    if not (method.commits_rows or method.takes_body):
        return {}
    takes = "body" if method.takes_body else "message"
    return {"ends": {"takes": takes, "rest": rest, "commits_rows": method.commits_rows}}


def _filters(others: _Json | None = None, **contexts: _Json) -> _Json:
    """Return what enables Lua filters on a route, each with its context, and configures others."""
    filters = {name: {"@type": _LUA, "filter_context": each} for name, each in contexts.items()}
    filters |= others or {}
    return {"typed_per_filter_config": filters} if filters else {}
