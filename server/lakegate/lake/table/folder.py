"""The folder that belongs to one table alone for ever: a sweep looks nowhere else.

A table that is renamed keeps its files where they are, and a catalog may give the same location
to another one that is made under the old name. So where the catalog chooses locations, Lakegate
makes a folder below the location, and all writers put their files there: they respect the
properties `write.data.path` and `write.metadata.path`.
"""

import contextlib
import logging
import re
import uuid

from pyiceberg.catalog import WAREHOUSE_LOCATION, Catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import TableProperties
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import SetPropertiesUpdate

from lakegate.concurrency.retry import TABLE_FOLDER
from lakegate.lake.failures import CommitOutcomeUnknownError
from lakegate.lake.table.change import change_table
from lakegate.lake.table.state import TableState, reload
from lakegate.model import TableName

log = logging.getLogger(__name__)

FOLDER = "lakegate.folder"
_UNIQUE = re.compile(r"-[0-9a-f]{8}$")


def new_location(catalog: Catalog, name: TableName) -> str | None:
    """Return a location that no other table ever has; None where the catalog chooses it."""
    warehouse = catalog.properties.get(WAREHOUSE_LOCATION)
    if not isinstance(catalog, SqlCatalog) or warehouse is None:
        return None
    return f"{warehouse.rstrip('/')}/{name.database}/{name.table}-{uuid.uuid4().hex[:8]}"


def own_folder(catalog: Catalog, metadata: TableMetadata) -> str | None:
    """Return the folder that belongs to the table alone; None where none is known to.

    The owner of a table may name its whole location in the property `lakegate.folder`. A folder
    below it counts only with the table's UUID in its name: properties are copied.
    """
    location = metadata.location.rstrip("/")
    noted = metadata.properties.get(FOLDER, "").rstrip("/")
    if noted == location or (isinstance(catalog, SqlCatalog) and _UNIQUE.search(location)):
        return location
    parent, _, name = noted.rpartition("/")
    return noted if parent == location and name.endswith(_suffix(metadata)) else None


def with_own_folder(catalog: Catalog, state: TableState, name: TableName) -> TableState:
    """Make a folder of its own for a new table, unless it has one.

    Where other writers are always faster the table stays as it is: it is never swept.
    """
    for attempt in TABLE_FOLDER.attempts():
        if attempt > 1:
            state = reload(catalog, name, state.uuid)
        if own_folder(catalog, state.metadata) is not None:
            return state
        with contextlib.suppress(CommitFailedException, CommitOutcomeUnknownError):
            return change_table(state, (), (_folder_update(state.metadata, name),))
    log.warning("%s has no folder of its own: other writers were faster", name)
    return reload(catalog, name, state.uuid)


def _folder_update(metadata: TableMetadata, name: TableName) -> SetPropertiesUpdate:
    folder = f"{metadata.location.rstrip('/')}/{name.table}{_suffix(metadata)}"
    return SetPropertiesUpdate(
        updates={
            FOLDER: folder,
            TableProperties.WRITE_DATA_PATH: f"{folder}/data",
            TableProperties.WRITE_METADATA_PATH: f"{folder}/metadata",
        }
    )


def _suffix(metadata: TableMetadata) -> str:
    return f"-{metadata.table_uuid.hex[:8]}"
