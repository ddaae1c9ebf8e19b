"""Files of tables: named, and deleted without fuss."""

import logging
from collections.abc import Iterable

from pyiceberg.io import FileIO

log = logging.getLogger(__name__)

# What the names of all files begin with that Lakegate writes, metadata files apart: their names
# have a form that engines read. Files so named obey the protocol of `lakegate.lake.commit.fence`.
OWN_PREFIX = "lakegate-"


def own_name(name: str) -> str:
    """Return the name of a file that Lakegate writes."""
    return f"{OWN_PREFIX}{name}"


def delete_files(io: FileIO, locations: Iterable[str]) -> int:
    """Delete files; one that is gone already is no fault, one that stays is logged.

    Returns how many were deleted.
    """
    deleted = 0
    for location in locations:
        try:
            io.delete(location)
        except FileNotFoundError:
            continue
        except OSError as error:
            log.warning("%s could not be deleted: %s", location, error)
        else:
            deleted += 1
    return deleted
