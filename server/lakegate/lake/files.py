"""Files of tables: deleted without fuss."""

import logging
from collections.abc import Iterable

from pyiceberg.io import FileIO

log = logging.getLogger(__name__)


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
