"""The catalogs: the embedded one on SQLite, and a REST catalog that behaves as Iceberg's own.

Both report each version of a table to the model at the moment when it becomes the current one.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from typing import Any, TypeVar

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.rest import RestCatalog as RealRestCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    NamespaceAlreadyExistsError,
    NoSuchTableError,
    ServiceUnavailableError,
    TableAlreadyExistsError,
    TooManyRequestsError,
)
from pyiceberg.io import FileIO
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.serializers import ToOutputFile
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.locations import load_location_provider
from pyiceberg.table.metadata import TableMetadata, new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.table.update import update_table_metadata
from requests.exceptions import ConnectionError as HttpConnectionError
from requests.exceptions import ConnectTimeout, ReadTimeout
from sqlalchemy import event
from tests.simulation.hosts import HOST, Host
from tests.simulation.loop import current_job
from tests.simulation.model import Identifier, Model
from tests.simulation.storage import WAREHOUSE, MemoryFileIO
from tests.simulation.world import without_disk
from typing_extensions import override

from lakegate.lake.catalog.sql import LeanSqlCatalog

Answer = TypeVar("Answer")

# The host of a request that its sender has abandoned: it runs on after the server has ended.
_NETWORK = Host("network")

# The errors of PyIceberg for a request that did not reach the catalog, or was refused.
_REFUSALS = (
    ServiceUnavailableError,
    TooManyRequestsError,
    ConnectTimeout,
)
# The errors for a request that was executed and whose answer is lost.
_LOST_ANSWERS = (
    ServiceUnavailableError,
    CommitStateUnknownException,
    HttpConnectionError,
    ReadTimeout,
)


@contextmanager
def at_once() -> Iterator[None]:
    """Run I/O without pauses: the steps of one transaction of a catalog."""
    job = current_job()
    before, job.quiet = job.quiet, True
    try:
        yield
    finally:
        job.quiet = before


class EmbeddedCatalog(LeanSqlCatalog):
    """The embedded catalog, its files in memory. `reliable` for other engines."""

    def __init__(self, model: Model, file_io: MemoryFileIO, uri: str, *, reliable: bool) -> None:
        super().__init__("lakegate", uri=uri, warehouse=WAREHOUSE)
        self._model = model
        self._world = model.world
        self._file_io = file_io
        event.listen(self.engine, "connect", without_disk)
        self.engine.dispose()  # so that the listener is called for every connection in use
        if not reliable:
            dialect: Any = self.engine.dialect
            dialect.do_commit = self._losing(dialect.do_commit)

    def _load_file_io(self, *_: Any, **__: Any) -> FileIO:
        return self._file_io

    def load_table(self, identifier: Any) -> Table:
        self._world.point("load")
        table = super().load_table(identifier)
        self._world.point("loaded")
        return table

    def create_table(self, identifier: Any, *args: Any, **kwargs: Any) -> Table:
        self._world.point("create")
        with at_once():
            table = super().create_table(identifier, *args, **kwargs)
            self._model.moved(table.name(), table.metadata, table.metadata_location)
        self._world.point("created")
        return table

    def commit_table(self, table: Table, requirements: Any, updates: Any) -> CommitTableResponse:
        self._world.point("commit")
        try:
            return super().commit_table(table, requirements, updates)
        finally:
            self._tell(table.name())
            self._world.point("commit done")

    def drop_table(self, identifier: Any) -> None:
        self._world.point("drop")
        super().drop_table(identifier)
        self._model.dropped(tuple(identifier))

    def _tell(self, name: Identifier) -> None:
        """Report the current version in the database to the model: an answer may be lost."""
        known = self._model.current.get(name)
        with at_once(), suppress(NoSuchTableError):
            table = super().load_table(name)
            if known is None or table.metadata_location != known.location:
                self._model.moved(name, table.metadata, table.metadata_location)

    def _losing(self, commit: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return a commit of a transaction whose connection may break before or after it."""

        def breaking(connection: Any) -> None:
            weather = self._world.weather
            if not current_job().quiet and self._world.happens(weather.refused_requests):
                connection.rollback()  # as a database does
                raise sqlite3.OperationalError("the connection breaks")
            commit(connection)
            if not current_job().quiet and self._world.happens(weather.lost_answers):
                raise sqlite3.OperationalError("the connection is broken")

        return breaking


class RestServer:
    """A REST catalog: it validates a commit against the current table, and returns that."""

    def __init__(self, model: Model, file_io: MemoryFileIO) -> None:
        self.model = model
        self.file_io = file_io
        self.namespaces: set[Identifier] = set()

    def load(self, name: Identifier) -> tuple[TableMetadata, str]:
        if not self.has(name):
            raise NoSuchTableError(".".join(name))
        version = self.model.current[name]
        return version.metadata, version.location

    def create(self, name: Identifier, **shape: Any) -> None:
        if self.has(name):
            raise TableAlreadyExistsError(".".join(name))
        self._point_to(name, new_table_metadata(**shape), 0)

    def has(self, name: Identifier) -> bool:
        return name in self.model.current

    def commit(
        self, name: Identifier, requirements: Any, updates: Any
    ) -> tuple[TableMetadata, str]:
        metadata, location = self.load(name)
        for requirement in requirements:
            requirement.validate(metadata)
        changed = update_table_metadata(metadata, updates, metadata_location=location)
        Catalog._delete_old_metadata(self.file_io, metadata, changed)
        self._point_to(name, changed, int(location.rsplit("/", 1)[-1].split("-")[0]) + 1)
        return self.load(name)

    def drop(self, name: Identifier) -> None:
        self.load(name)
        self.model.dropped(name)

    def _point_to(self, name: Identifier, metadata: TableMetadata, number: int) -> None:
        provider = load_location_provider(metadata.location, metadata.properties)
        location = provider.new_table_metadata_file_location(number)
        ToOutputFile.table_metadata(metadata, self.file_io.new_output(location))
        self.model.moved(name, metadata, location)


class RestCatalog(RealRestCatalog):
    """A client of the REST catalog, with PyIceberg's errors. `reliable` for other engines."""

    def __init__(self, server: RestServer, file_io: MemoryFileIO, *, reliable: bool) -> None:
        Catalog.__init__(self, "lakegate", warehouse=WAREHOUSE)  # without a connection
        self._server = server
        self._world = server.model.world
        self._file_io = file_io
        self._reliable = reliable

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def load_table(self, identifier: Any) -> Table:
        return self._table(tuple(identifier), *self._ask("load", self._server.load, identifier))

    def table_exists(self, identifier: Any) -> bool:
        return self._ask("exists", self._server.has, tuple(identifier))

    @override
    def create_table(
        self,
        identifier: Any,
        schema: Any,
        location: str | None = None,
        partition_spec: Any = UNPARTITIONED_PARTITION_SPEC,
        sort_order: Any = UNSORTED_SORT_ORDER,
        properties: Any = None,
    ) -> Table:
        shape = {
            "location": location or f"{WAREHOUSE}/{'/'.join(identifier)}",
            "schema": schema,
            "partition_spec": partition_spec,
            "sort_order": sort_order,
            "properties": properties or {},
        }
        self._ask("create", lambda: self._server.create(tuple(identifier), **shape))
        return self._table(tuple(identifier), *self._server.load(tuple(identifier)))

    def commit_table(self, table: Table, requirements: Any, updates: Any) -> CommitTableResponse:
        name = table.name()
        if not self._reliable and self._world.happens(self._world.weather.late_requests):
            self._arrives_later(name, requirements, updates)
            self._world.point("commit timed out")
            raise ReadTimeout("no answer")
        made = self._ask("commit", self._server.commit, name, requirements, updates)
        # The current table, regardless of who committed last.
        metadata, location = self._server.load(name) if self._server.has(name) else made
        self._lose_the_answer()
        return CommitTableResponse(metadata=metadata, metadata_location=location)

    def drop_table(self, identifier: Any) -> None:
        self._ask("drop", self._server.drop, tuple(identifier))

    def list_tables(self, namespace: Any) -> list[Any]:
        current = self._server.model.current
        return self._ask("list", lambda: [n for n in current if n[:-1] == tuple(namespace)])

    def list_namespaces(self, namespace: Any = ()) -> list[Any]:
        del namespace
        return self._ask("list", lambda: sorted(self._server.namespaces))

    def create_namespace(self, namespace: Any, properties: Any = None) -> None:
        del properties
        if tuple(namespace) in self._server.namespaces:
            raise NamespaceAlreadyExistsError(namespace)
        self._server.namespaces.add(tuple(namespace))

    def _load_file_io(self, *_: Any, **__: Any) -> FileIO:
        return self._file_io

    def _table(self, name: Identifier, metadata: TableMetadata, location: str) -> Table:
        return Table(name, metadata, location, self._file_io, self)

    def _ask(self, what: str, do: Callable[..., Answer], *args: Any) -> Answer:
        self._world.point(what)
        if not self._reliable and self._world.happens(self._world.weather.refused_requests):
            raise self._world.chance.choice(_REFUSALS)("not now")
        try:
            with at_once():
                answer = do(*args)
        finally:
            self._world.point(f"{what} done")
        return answer

    def _arrives_later(self, name: Identifier, requirements: Any, updates: Any) -> None:
        """Perhaps execute the request later, after its sender has abandoned it."""
        loop = self._world.loop

        def carry_out() -> None:
            with at_once():
                try:
                    self._server.commit(name, requirements, updates)
                except (CommitFailedException, NoSuchTableError, ValueError) as error:
                    self._world.say(f"late commit: {error}")

        network = copy_context()
        network.run(HOST.set, _NETWORK)
        later = self._world.chance.uniform(0.01, 20)
        loop.call_later(later, lambda: loop.run_in_executor(None, carry_out), context=network)

    def _lose_the_answer(self) -> None:
        if self._reliable or not self._world.happens(self._world.weather.lost_answers):
            return
        raise self._world.chance.choice(_LOST_ANSWERS)("no answer")
