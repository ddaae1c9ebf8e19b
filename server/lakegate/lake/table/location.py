"""A location that belongs to one table only, for its whole life: a sweep deletes nothing elsewhere.

A renamed table keeps its files at their location, and a catalog may give that location to another
table that is created under the old name. So where the catalog chooses locations, Lakegate gives
each new table a location of its own below the catalog's, and sets `write.data.path` and
`write.metadata.path`, which all writers respect.
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

from lakegate.concurrency.retry import TABLE_LOCATION
from lakegate.lake.failures import CommitOutcomeUnknownError
from lakegate.lake.table.change import change_table
from lakegate.lake.table.state import TableState, reload
from lakegate.model import TableName

log = logging.getLogger(__name__)

LOCATION_PROPERTY = "lakegate.folder"
_UNIQUE = re.compile(r"-[0-9a-f]{8}$")


def new_table_location(catalog: Catalog, name: TableName) -> str | None:
    """Return a unique location for a new table; None if the catalog chooses locations."""
    warehouse = catalog.properties.get(WAREHOUSE_LOCATION)
    if not isinstance(catalog, SqlCatalog) or warehouse is None:
        return None
    return f"{warehouse.rstrip('/')}/{name.database}/{name.table}-{uuid.uuid4().hex[:8]}"


def exclusive_location(catalog: Catalog, metadata: TableMetadata) -> str | None:
    """Return the location that belongs to the table only; None if none is known.

    The owner of a table may set the property `lakegate.folder` to the location of the table. A
    location below that is valid only with the table's UUID in its name, because properties are
    copied between tables.
    """
    location = metadata.location.rstrip("/")
    declared = metadata.properties.get(LOCATION_PROPERTY, "").rstrip("/")
    if declared == location or (isinstance(catalog, SqlCatalog) and _UNIQUE.search(location)):
        return location
    parent, _, name = declared.rpartition("/")
    return declared if parent == location and name.endswith(_suffix(metadata)) else None


def with_exclusive_location(catalog: Catalog, state: TableState, name: TableName) -> TableState:
    """Set an exclusive location for a new table that has none.

    If each attempt meets a conflict, the table stays without one, and is never swept.
    """
    for attempt in TABLE_LOCATION.attempts():
        if attempt > 1:
            state = reload(catalog, name, state.uuid)
        if exclusive_location(catalog, state.metadata) is not None:
            return state
        with contextlib.suppress(CommitFailedException, CommitOutcomeUnknownError):
            return change_table(state, (), (_location_update(state.metadata, name),))
    log.warning("%s has no exclusive location: each attempt met a conflict", name)
    return reload(catalog, name, state.uuid)


def _location_update(metadata: TableMetadata, name: TableName) -> SetPropertiesUpdate:
    location = f"{metadata.location.rstrip('/')}/{name.table}{_suffix(metadata)}"
    return SetPropertiesUpdate(
        updates={
            LOCATION_PROPERTY: location,
            TableProperties.WRITE_DATA_PATH: f"{location}/data",
            TableProperties.WRITE_METADATA_PATH: f"{location}/metadata",
        }
    )


def _suffix(metadata: TableMetadata) -> str:
    return f"-{metadata.table_uuid.hex[:8]}"
