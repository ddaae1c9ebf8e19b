"""Names of files, and their deletion."""

import logging
from collections.abc import Iterable

from pyiceberg.io import FileIO

log = logging.getLogger(__name__)

# The prefix of the names of all files that Lakegate writes, except metadata files, whose names
# engines parse. Files with the prefix follow the protocol of `lakegate.lake.commit.fence`.
OWN_PREFIX = "lakegate-"


def own_name(name: str) -> str:
    """Return the name of a file that Lakegate writes."""
    return f"{OWN_PREFIX}{name}"


def delete_files(io: FileIO, locations: Iterable[str]) -> int:
    """Delete files, and return how many were deleted.

    A missing file is ignored, and a failure is logged.
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
