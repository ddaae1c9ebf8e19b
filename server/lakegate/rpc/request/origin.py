"""Whether a call without a token can come from a web page that is open on this machine.

A page can send requests to loopback addresses, under its own `Origin`; or under a name of its
own, which its DNS server then points to a loopback address (DNS rebinding).
"""

from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from lakegate.errors import ErrorCode, LakegateError
from lakegate.wire import HOST_KEY

_SHOWN_CHARACTERS = 100


def check_origin(headers: Mapping[str, str]) -> None:
    """Raise `LakegateError` (permission_denied) for a call that a web page may have made.

    A call that did not come through Envoy has no host here: web pages cannot speak native gRPC.
    """
    host = headers.get(HOST_KEY)
    if host is None:
        return
    origin = headers.get("origin")
    if not _is_loopback(host):
        raise _refusal(f"the host {host[:_SHOWN_CHARACTERS]!r} is not a loopback name or address")
    if origin is not None and not _is_of(origin, host):
        raise _refusal(f"the request is from the web page {origin[:_SHOWN_CHARACTERS]!r}")
    if headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        raise _refusal("the request is from a web page of another site")


def _is_of(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def _refusal(reason: str) -> LakegateError:
    return LakegateError(
        ErrorCode.PERMISSION_DENIED,
        f"{reason}, and there is no token: send one, or call as a program of this machine",
    )
