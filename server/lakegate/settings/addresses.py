"""Addresses in settings: `host:port`, the host an IP address or `localhost`."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated

from pydantic import AfterValidator


def _normalized(addr: str) -> str:
    """Check an address. Raises `ValueError`. An IPv6 address is in brackets."""
    host, _, port = addr.rpartition(":")
    if not host:
        raise ValueError(f"{addr!r} is not host:port, as 127.0.0.1:8080 is")
    if host == "localhost":
        host = "127.0.0.1"
    elif ":" in host and not host.startswith("["):
        raise ValueError(f"{addr!r} is not host:port; an IPv6 address is in brackets: [::1]:8080")
    try:
        _ip_of(host)
    except ValueError:
        raise ValueError(f"{host!r} is not an IP address, and not localhost") from None
    if not (port.isdecimal() and int(port) < 2**16):
        raise ValueError(f"{port!r} is not a port")
    return f"{host}:{port}"


Address = Annotated[str, AfterValidator(_normalized)]


def is_loopback(addr: str) -> bool:
    """Whether only this machine can reach the address."""
    return _ip_of(addr.rpartition(":")[0]).is_loopback


def _ip_of(host: str) -> IPv4Address | IPv6Address:
    return ip_address(host.removeprefix("[").removesuffix("]"))
