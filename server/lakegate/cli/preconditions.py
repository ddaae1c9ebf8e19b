"""What a command needs before it starts, checked before it creates any file.

Each fault is a `LakegateError` whose one line says what to do.
"""

import errno
import os
import socket
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from lakegate.edge.addresses import split_address
from lakegate.errors import ErrorCode, LakegateError
from lakegate.home import CATALOG, LEDGER
from lakegate.lake.catalog.open import is_embedded
from lakegate.settings import Settings

_REASONS = {
    errno.EADDRINUSE: "another program listens there: stop it, or",
    errno.EACCES: "this user may not: choose a port above 1023, or",
    errno.EADDRNOTAVAIL: "this machine does not have the address:",
}


def check_catalog_exists(settings: Settings) -> None:
    """Raise if the embedded catalog is configured and was not created yet, or cannot be read."""
    if is_embedded(settings.catalog):
        _check_exists(settings, CATALOG)


def check_ledger_exists(settings: Settings) -> None:
    """Raise if the embedded ledger is configured and was not created yet, or cannot be read."""
    if not settings.ledger_url:
        _check_exists(settings, LEDGER)


def check_home(settings: Settings) -> None:
    """Raise if the home is needed, and is no folder in which files can be created."""
    if settings.ledger_url and not is_embedded(settings.catalog):
        return
    home = settings.home.absolute()
    _check_is_folder(home)
    nearest = next(path for path in (home, *home.parents) if path.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise _fault(f"LAKEGATE_HOME: {nearest} is not writable: make it so, or set another folder")


def check_addresses(settings: Settings, names: Iterable[str]) -> None:
    """Raise if a program already listens on an address; `names` are of settings."""
    for name in names:
        address = getattr(settings, name)
        host, port = split_address(address)
        if port == 0:
            continue
        with closing(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                reason = _REASONS.get(error.errno or 0, f"{error.strerror}:")
                raise LakegateError(
                    ErrorCode.UNAVAILABLE,
                    f"cannot listen on {address}: {reason} "
                    f"set LAKEGATE_{name.upper()} to another address",
                ) from error


def _check_exists(settings: Settings, name: str) -> None:
    home = settings.home.absolute()
    _check_is_folder(home)
    if not (home / name).exists():
        raise _fault(
            f"{home} has no {name}: start `lakegate up` in this folder first, or set LAKEGATE_HOME "
            "to the folder `data` that it printed"
        )
    # While a server runs, the file that SQLite's readers share exists already.
    if not os.access(home, os.W_OK) and not (home / f"{name}-shm").exists():
        raise _fault(
            f"LAKEGATE_HOME: {home} is not writable, and SQLite writes there also to read: "
            "make it writable"
        )


def _check_is_folder(home: Path) -> None:
    for path in (home, *home.parents):
        if path.exists() and not path.is_dir():
            raise _fault(f"LAKEGATE_HOME: {path} is a file: set a folder")


def _fault(message: str) -> LakegateError:
    return LakegateError(ErrorCode.INVALID_ARGUMENT, message)
