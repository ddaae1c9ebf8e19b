"""All uses of PyIceberg's private functions, in one place.

A table's properties may name classes to import, endpoints to talk to and credentials to use
(`py-io-impl`, `write.py-location-provider.impl`, `s3.*` …), and in PyIceberg they override the
catalog's. Anybody with write access to a table's metadata could run code here. `pin_storage` uses
only the catalog's settings; there is no public interface for that.

A commit of PyIceberg reads the table's metadata again, makes a deep copy and compares all of it.
That takes three times as long as the commit itself, and grows with every snapshot
(apache/iceberg-python #3784). The public interface has no alternative.
`tests/unit/lake/catalog/test_pyiceberg_private.py` fails if PyIceberg changes these functions.
"""

from functools import partial
from typing import Any

from pyiceberg.catalog import Catalog, MetastoreCatalog
from pyiceberg.catalog.rest import RestCatalog, TableResponse
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import _get_parquet_writer_kwargs
from pyiceberg.table import Table, TableProperties, locations
from pyiceberg.table.locations import LocationProvider, load_location_provider
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import (
    TableUpdate,
    _apply_table_update,  # the singledispatch that PyIceberg's own commit is made of
    _TableMetadataUpdateContext,
    _update_table_metadata_log,
)
from pyiceberg.typedef import EMPTY_DICT, Identifier, Properties

from lakegate import clock
from lakegate.lake.catalog.usable_properties import usable

# The timeouts to connect, and to read the next bytes of an answer.
REQUEST_SECONDS = (5.0, 60.0)


def updated_metadata(table: Table, updates: tuple[TableUpdate, ...]) -> TableMetadata:
    """Apply `updates` to the table's metadata, as `update_table_metadata`, without a deep copy.

    The two share what the updates leave alone; neither is ever changed in place.
    """
    context = _TableMetadataUpdateContext()
    metadata = table.metadata
    for update in updates:
        metadata = _apply_table_update(update, metadata, context)
    before_ms = table.metadata.last_updated_ms
    properties = metadata.properties
    metadata = metadata.model_copy(update={"properties": usable(properties)})
    metadata = _update_table_metadata_log(metadata, table.metadata_location, before_ms)
    metadata = metadata.model_copy(update={"properties": properties})
    if metadata.last_updated_ms == before_ms:
        now_ms = max(clock.now_ms(), latest_ms(table.metadata))
        metadata = metadata.model_copy(update={"last_updated_ms": now_ms})
    metadata.spec().check_compatible(metadata.schema())
    metadata.sort_order().check_compatible(metadata.schema())
    return metadata


def latest_ms(metadata: TableMetadata) -> int:
    """Return the latest time in the metadata, in milliseconds since the epoch.

    Times must not decrease, even if the clocks of servers differ: Iceberg's Java library refuses
    to load such metadata.
    """
    log = metadata.snapshot_log
    return max(metadata.last_updated_ms, log[-1].timestamp_ms if log else 0)


def next_metadata_version(table: Table) -> int:
    """Return the number at the start of the name of the table's next metadata file."""
    return MetastoreCatalog._parse_metadata_version(table.metadata_location) + 1  # noqa: SLF001 - see the top of this file


def parquet_options(properties: Properties) -> dict[str, Any]:
    """Return the arguments of PyArrow's Parquet writer that a table's properties ask for."""
    return _get_parquet_writer_kwargs(properties)


def pin_storage(catalog: Catalog) -> None:
    """Take the settings of file access from the catalog, never from the properties of a table.

    A REST catalog has them in its own properties and in the `config` and the credentials of a
    loaded table (Iceberg REST catalog, `LoadTableResult`); any other catalog only in its own.
    Classes of location providers are never loaded: Iceberg's own layouts are used instead.
    """
    locations._import_location_provider = _without_class  # noqa: SLF001 - see the top of this file
    if isinstance(catalog, RestCatalog):
        _pin_rest(catalog)
    else:
        _pin(catalog)


def file_io(catalog: Catalog) -> FileIO:
    """Return the file access of a catalog, with its own settings."""
    return catalog._load_file_io()  # noqa: SLF001 - see the top of this file


def bound_requests(catalog: RestCatalog) -> None:
    """Set timeouts for all requests to a REST catalog: PyIceberg sets none."""
    session = catalog._session  # noqa: SLF001 - see the top of this file
    session.request = partial(session.request, timeout=REQUEST_SECONDS)  # type: ignore[method-assign] # there is no other hook for all requests


def _pin(catalog: Catalog) -> None:
    load = catalog._load_file_io  # noqa: SLF001 - see the top of this file

    def of_catalog(properties: Properties = EMPTY_DICT, location: str | None = None) -> FileIO:
        del properties  # the table's
        return load(EMPTY_DICT, location)

    catalog._load_file_io = of_catalog  # type: ignore[method-assign] # noqa: SLF001 - see the top of this file


def _pin_rest(catalog: RestCatalog) -> None:
    load = catalog._response_to_table  # noqa: SLF001 - see the top of this file

    def of_catalog(identifier_tuple: Identifier, table_response: TableResponse) -> Table:
        metadata = table_response.metadata
        bare = metadata.model_copy(update={"properties": {}})
        table = load(identifier_tuple, table_response.model_copy(update={"metadata": bare}))
        table.metadata = metadata
        return table

    catalog._response_to_table = of_catalog  # type: ignore[method-assign] # noqa: SLF001 - see the top of this file


def _without_class(
    location_provider_impl: str, table_location: str, table_properties: Properties
) -> LocationProvider:
    """Replace the function that imports the class in a table's properties."""
    del location_provider_impl
    named = TableProperties.WRITE_PY_LOCATION_PROVIDER_IMPL
    return load_location_provider(
        table_location, {key: value for key, value in table_properties.items() if key != named}
    )
