"""All that Lakegate uses of PyIceberg's private parts, in one place.

A table's properties may name classes to import, endpoints to talk to and credentials to use
(`py-io-impl`, `write.py-location-provider.impl`, `s3.*` …), and PyIceberg puts them above the
catalog's. Whoever may write a table's metadata would run code here. `pin_storage` leaves all of
that to the catalog, and has no public interface to do it by.

PyIceberg's own way through a commit reads the table's metadata again, copies
it deeply and compares it whole: three times the cost of the commit itself, and
it grows with every snapshot (apache/iceberg-python #3784). Its public interface
has no other way. `tests/unit/lake/catalog/test_pyiceberg_private.py` breaks when
PyIceberg changes what is used here.
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
from lakegate.lake.catalog.numeric_properties import readable

# To connect, and to wait for the next bytes of an answer.
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
    metadata = metadata.model_copy(update={"properties": readable(properties)})
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

    Times must not go back, whatever the clocks of servers do: Iceberg's Java library refuses to
    load such metadata.
    """
    log = metadata.snapshot_log
    return max(metadata.last_updated_ms, log[-1].timestamp_ms if log else 0)


def next_metadata_version(table: Table) -> int:
    """Return the number that the name of the table's next metadata file begins with."""
    return MetastoreCatalog._parse_metadata_version(table.metadata_location) + 1  # noqa: SLF001 - as said above


def parquet_options(properties: Properties) -> dict[str, Any]:
    """Return the arguments of PyArrow's Parquet writer that a table's properties ask for."""
    return _get_parquet_writer_kwargs(properties)


def pin_storage(catalog: Catalog) -> None:
    """Take the settings of file access from the catalog, never from the properties of a table.

    A REST catalog says it in its own properties and in the `config` and the credentials that
    come with a table (Iceberg REST catalog, `LoadTableResult`); any other in its own alone.
    Classes that give locations are not loaded at all: Iceberg's own layouts stand in for them.
    """
    locations._import_location_provider = _without_class  # noqa: SLF001 - as said above
    if isinstance(catalog, RestCatalog):
        _pin_rest(catalog)
    else:
        _pin(catalog)


def bound_requests(catalog: RestCatalog) -> None:
    """Wait for no answer of a REST catalog endlessly, which PyIceberg does."""
    session = catalog._session  # noqa: SLF001 - as said above
    session.request = partial(session.request, timeout=REQUEST_SECONDS)  # type: ignore[method-assign] # there is no other hook for all requests


def _pin(catalog: Catalog) -> None:
    load = catalog._load_file_io  # noqa: SLF001 - as said above

    def of_catalog(properties: Properties = EMPTY_DICT, location: str | None = None) -> FileIO:
        del properties  # the table's
        return load(EMPTY_DICT, location)

    catalog._load_file_io = of_catalog  # type: ignore[method-assign] # noqa: SLF001 - that is how it is pinned


def _pin_rest(catalog: RestCatalog) -> None:
    load = catalog._response_to_table  # noqa: SLF001 - as said above

    def of_catalog(identifier_tuple: Identifier, table_response: TableResponse) -> Table:
        metadata = table_response.metadata
        bare = metadata.model_copy(update={"properties": {}})
        table = load(identifier_tuple, table_response.model_copy(update={"metadata": bare}))
        table.metadata = metadata
        return table

    catalog._response_to_table = of_catalog  # type: ignore[method-assign] # noqa: SLF001 - that is how it is pinned


def _without_class(
    location_provider_impl: str, table_location: str, table_properties: Properties
) -> LocationProvider:
    """Stand in for the function that imports the class that a table names."""
    del location_provider_impl
    named = TableProperties.WRITE_PY_LOCATION_PROVIDER_IMPL
    return load_location_provider(
        table_location, {key: value for key, value in table_properties.items() if key != named}
    )
