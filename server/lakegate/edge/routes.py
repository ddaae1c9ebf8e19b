"""Envoy's routes, made from the methods of the contract. The first that matches counts.

A REST request is routed twice: as it comes, and as the gRPC call that the transcoder makes of
it. What the transcoder does not take stays on its first route.
"""

import re
from collections.abc import Iterable
from itertools import groupby
from typing import Any, TypeAlias

from lakegate.contract import HELD_BODIES, INTERNAL_SERVICE, METHODS, Method, Route
from lakegate.edge.transcoder import TRANSCODER
from lakegate.wire import BODY_STAGE_KEY

_Json: TypeAlias = dict[str, Any]

_SERVER: _Json = {"cluster": "server", "timeout": "0s"}
_LUA = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.LuaPerRoute"


def routes(
    max_body_bytes: int, read_seconds: str, openapi_file: str, lenient: _Json
) -> list[_Json]:
    """Return the routes.

    `max_body_bytes`: how much of a body is held at most, `read_seconds`: for how long.
    `lenient`: the transcoder for rows, which senders of web hooks post with parameters of theirs.
    """
    in_time = _SERVER | {"max_stream_duration": {"max_stream_duration": read_seconds}}
    document = Route("GET", "/openapi.json")
    return [
        # What only the Lua filters call.
        {"match": {"prefix": f"/{INTERNAL_SERVICE}/"}, "direct_response": {"status": 404}},
        *(_native(method, in_time) for method in METHODS),
        {"match": {"prefix": "/", "grpc": {}}, "route": _SERVER},
        *(
            route
            for method in METHODS
            if method.route
            for route in _rest(method, method.route, in_time, max_body_bytes, lenient)
        ),
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
        return {"match": match, "route": in_time | {"timeout": "15s"}}
    return {"match": match, "route": _SERVER, **_filters(**_ends(method, rest=False))}


def _rest(
    method: Method, route: Route, in_time: _Json, max_body_bytes: int, lenient: _Json
) -> list[_Json]:
    """Return the routes of a REST request that is not transcoded yet."""
    match = _match(route)
    if route.verb == "GET":  # the transcoder would keep a body of any size
        return [{"match": match, "route": _SERVER, **_filters(hold={"drop": True})}]
    ends = _ends(method, rest=True)
    transcoder = {TRANSCODER: lenient} if method.commits_rows else {}
    if method.takes_body:  # it streams through
        return [{"match": match, "route": _SERVER, **_filters(transcoder, **ends)}]
    body = HELD_BODIES[method.name]
    ask = _filters(transcoder, ask={"ask": f"Admit{body}"}, hold={}, **ends)
    # The server checks what the transcoder drops: unknown fields of a table's definition.
    checked = not method.commits_rows
    hold = _filters(transcoder, hold={"inflate": f"Inflate{body}", "checked": checked})
    limit = {"request_body_buffer_limit": max_body_bytes}
    return [
        # The server is asked for the caller while little of the body is read; then the body
        # is held for a limited time; once it is whole, only the server is waited for.
        {"match": _at(match, {"present_match": True, "invert_match": True}), "route": in_time}
        | ask,
        {"match": _at(match, {"string_match": {"exact": "admitted"}}), "route": in_time}
        | hold
        | limit,
        {"match": _at(match, {"string_match": {"exact": "whole"}}), "route": _SERVER}
        | hold
        | limit,
    ]


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


def _at(match: _Json, stage: _Json) -> _Json:
    """Return a match for one stage of a body that is held."""
    return match | {"headers": [*match["headers"], {"name": BODY_STAGE_KEY, **stage}]}


def _ends(method: Method, *, rest: bool) -> dict[str, _Json]:
    if not method.commits_rows:
        return {}
    return {"ends": {"takes": "body" if method.takes_body else "message", "rest": rest}}


def _filters(others: _Json | None = None, **contexts: _Json) -> _Json:
    """Return what enables Lua filters on a route, each with its context, and configures others."""
    filters = {name: {"@type": _LUA, "filter_context": each} for name, each in contexts.items()}
    filters |= others or {}
    return {"typed_per_filter_config": filters} if filters else {}
