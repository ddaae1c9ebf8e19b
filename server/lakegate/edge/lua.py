"""What the Lua filters read of the contract: a table in front of their text."""

import json
from collections.abc import Mapping

from lakegate.edge.refusals import (
    BARE_DOUBT,
    BARE_FAILURE,
    BARE_STATUSES,
    BARE_TOO_LARGE,
    Refusal,
)
from lakegate.errors import ErrorCode
from lakegate.wire import (
    BODY_END_KEY,
    BODY_MARK_KEY,
    ERROR_BODY_KEY,
    EXPECTED_SIZE_KEY,
    HTTP_STATUS_KEY,
    NOT_SENT_KEY,
)


def with_contract(source: str) -> str:
    """Return the text of a filter behind the table `CONTRACT` that it reads."""
    contract = {
        "http_status_key": HTTP_STATUS_KEY,
        "error_body_key": ERROR_BODY_KEY,
        "not_sent_key": NOT_SENT_KEY,
        "body_end_key": BODY_END_KEY,
        "body_mark_key": BODY_MARK_KEY,
        "expected_size_key": EXPECTED_SIZE_KEY,
        "http_status": {code.value.name: str(code.value.http_status) for code in ErrorCode},
        "bare_statuses": {
            status.value[0]: _refusal(refusal) for status, refusal in BARE_STATUSES.items()
        },
        "bare_failure": _refusal(BARE_FAILURE),
        "bare_too_large": _refusal(BARE_TOO_LARGE),
        "bare_doubt": _refusal(BARE_DOUBT),
    }
    return f"local CONTRACT = {_literal(contract)}\n{source}"


def _refusal(refusal: Refusal) -> dict[str, str]:
    return {"code": refusal.code.value.name, "message": refusal.message}


def _literal(value: object) -> str:
    """Return a value as Lua; strings and numbers are written as in JSON."""
    if not isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False)
    entries = (f"[{_literal(key)}] = {_literal(each)}" for key, each in value.items())
    return f"{{{', '.join(entries)}}}"
