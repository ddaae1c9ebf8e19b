"""Folders with data and secrets: only their owner may enter those that Lakegate creates."""

import logging
import stat
from pathlib import Path

PRIVATE = 0o700
# The databases in a home, unless others are configured.
CATALOG = "catalog.db"
LEDGER = "ledger.db"

_log = logging.getLogger(__name__)


def make_private(folder: Path) -> None:
    """Create a folder that only its owner may enter. An existing one stays as it is."""
    folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)


def warn_if_shared(home: Path) -> None:
    """Log a warning if other users of the machine may enter an existing home.

    Its mode is not changed: the operator may have opened it to readers on purpose.
    """
    if not home.exists():  # the catalog and the ledger are elsewhere
        return
    mode = stat.S_IMODE(home.stat().st_mode)
    if mode & ~PRIVATE:
        _log.warning(
            "other users of this machine may enter %s (mode %04o): run chmod 700 on it, "
            "unless that is intended",
            home,
            mode,
        )
