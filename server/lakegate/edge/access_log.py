"""Envoy's access log: a line of JSON on stderr for each request that it refused, or for all."""

import json
import logging
from http import HTTPStatus
from typing import Any

from lakegate.edge.refusals import CEL_FILTER
from lakegate.log import REQUEST_ID

_log = logging.getLogger("lakegate.access")

_STDERR = "envoy.extensions.access_loggers.stream.v3.StderrAccessLog"
# No query and no header of the caller's but its request id: both may hold secrets.
_FIELDS = {
    "time": "%START_TIME%",
    "request_id": "%RESP(X-REQUEST-ID)%",
    "peer": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "protocol": "%PROTOCOL%",
    "method": "%REQ(:METHOD)%",
    "path": "%PATH(NQ:ORIG_OR_PATH)%",
    "status": "%RESPONSE_CODE%",
    "grpc_status": "%GRPC_STATUS%",
    "reason": "%RESPONSE_CODE_DETAILS%",
    "received_bytes": "%BYTES_RECEIVED%",
    "ms": "%DURATION%",
}
_REFUSED = (
    "response.code_details != 'via_upstream'"
    " && (response.code >= 400 || 'grpc-status' in response.headers)"
)


def access_log(*, is_complete: bool) -> list[dict[str, Any]]:
    """Return Envoy's `access_log`; `is_complete`: of all requests, not only of refused ones.

    The server logs the refusals of its own, so they are not repeated.
    """
    log: dict[str, Any] = {
        "name": "stderr",
        "typed_config": {
            "@type": f"type.googleapis.com/{_STDERR}",
            "log_format": {"json_format": _FIELDS},
        },
    }
    if not is_complete:
        expression = {"@type": CEL_FILTER, "expression": _REFUSED}
        log["filter"] = {"extension_filter": {"name": "cel", "typed_config": expression}}
    return [log]


def log_access(line: str) -> None:
    """Write a line of Envoy's access log to the log, as a line of its request."""
    try:
        entry = json.loads(line)
    except ValueError:  # a line that is cut
        entry = {}
    is_served = entry.get("status") == HTTPStatus.OK and entry.get("grpc_status") in {None, "OK"}
    token = REQUEST_ID.set(entry.get("request_id") or "-")
    _log.log(logging.INFO if is_served else logging.WARNING, "%s", line)
    REQUEST_ID.reset(token)
