"""Addresses, `host:port` or `[IPv6]:port`."""


def split_address(addr: str) -> tuple[str, int]:
    """Split an address into host and port."""
    host, _, port = addr.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def join_address(host: str, port: int) -> str:
    """Return the address of a host and a port."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
