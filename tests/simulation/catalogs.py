"""The catalogs: the embedded one on SQLite, and a REST catalog as Iceberg's own behaves.

Both tell the model of each version at the moment when it becomes the current one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, TypeVar

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    NamespaceAlreadyExistsError,
    NoSuchTableError,
    ServiceUnavailableError,
    TableAlreadyExistsError,
)
from pyiceberg.io import FileIO
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.serializers import ToOutputFile
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.locations import load_location_provider
from pyiceberg.table.metadata import TableMetadata, new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.table.update import update_table_metadata
from requests.exceptions import ConnectionError as LostConnectionError
from requests.exceptions import ReadTimeout
from sqlalchemy.exc import OperationalError
from tests.simulation.hosts import HOST, Host
from tests.simulation.loop import current_job
from tests.simulation.model import Identifier, Model
from tests.simulation.storage import WAREHOUSE, MemoryFileIO
from typing_extensions import override

from lakegate.lake.lean_sql_catalog import LeanSqlCatalog

Answer = TypeVar("Answer")

# Where a request is that its sender has given up: it outlives that server.
_NETWORK = Host("network")


@contextmanager
def at_once() -> Iterator[None]:
    """Let I/O take no time: what a catalog does in one transaction."""
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
        self._reliable = reliable

    def _load_file_io(self, *_: Any, **__: Any) -> FileIO:
        return self._file_io

    def load_table(self, identifier: Any) -> Table:
        self._asked("load")
        table = super().load_table(identifier)
        self._world.point("loaded")
        return table

    def create_table(self, identifier: Any, *args: Any, **kwargs: Any) -> Table:
        self._asked("create")
        with at_once():
            table = SqlCatalog.create_table(self, identifier, *args, **kwargs)
            self._model.moved(table.name(), table.metadata, table.metadata_location)
        self._world.point("created")
        return table

    def commit_table(self, table: Table, requirements: Any, updates: Any) -> CommitTableResponse:
        self._asked("commit")
        response = super().commit_table(table, requirements, updates)
        self._model.moved(table.name(), response.metadata, response.metadata_location)
        self._world.point("committed")
        if not self._reliable and self._world.happens(self._world.weather.lost_answers):
            raise OperationalError("UPDATE", {}, OSError("the connection is lost"))
        return response

    def drop_table(self, identifier: Any) -> None:
        self._asked("drop")
        super().drop_table(identifier)
        self._model.dropped(tuple(identifier))

    def _asked(self, what: str) -> None:
        if current_job().quiet:
            return
        self._world.point(what)
        if not self._reliable and self._world.happens(self._world.weather.refused_requests):
            raise OperationalError(what, {}, OSError("the catalog is away"))


class RestServer:
    """A REST catalog: it judges a commit by the table as it is, and answers with it, too."""

    def __init__(self, model: Model, file_io: MemoryFileIO) -> None:
        self.model = model
        self.file_io = file_io
        self.namespaces: set[Identifier] = set()

    def load(self, name: Identifier) -> tuple[TableMetadata, str]:
        if name not in self.model.current:
            raise NoSuchTableError(".".join(name))
        version = self.model.current[name]
        return version.metadata, version.location

    def create(self, name: Identifier, **shape: Any) -> None:
        if name in self.model.current:
            raise TableAlreadyExistsError(".".join(name))
        self._point_to(name, new_table_metadata(**shape), 0)

    def commit(self, name: Identifier, requirements: Any, updates: Any) -> None:
        metadata, location = self.load(name)
        for requirement in requirements:
            requirement.validate(metadata)
        changed = update_table_metadata(metadata, updates, metadata_location=location)
        Catalog._delete_old_metadata(self.file_io, metadata, changed)
        self._point_to(name, changed, int(location.rsplit("/", 1)[-1].split("-")[0]) + 1)

    def _point_to(self, name: Identifier, metadata: TableMetadata, number: int) -> None:
        provider = load_location_provider(metadata.location, metadata.properties)
        location = provider.new_table_metadata_file_location(number)
        ToOutputFile.table_metadata(metadata, self.file_io.new_output(location))
        self.model.moved(name, metadata, location)


class RestCatalog(NoopCatalog):
    """A client of the REST catalog, its errors PyIceberg's. `reliable` for other engines."""

    def __init__(self, server: RestServer, file_io: MemoryFileIO, *, reliable: bool) -> None:
        super().__init__("lakegate", warehouse=WAREHOUSE)
        self._server = server
        self._world = server.model.world
        self._file_io = file_io
        self._reliable = reliable

    def load_table(self, identifier: Any) -> Table:
        return self._table(tuple(identifier), *self._ask("load", self._server.load, identifier))

    def table_exists(self, identifier: Any) -> bool:
        return self._ask("exists", lambda: tuple(identifier) in self._server.model.current)

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
        self._ask("commit", self._server.commit, name, requirements, updates)
        metadata, location = self._server.load(name)  # as it is now, whoever committed last
        self._lose_the_answer()
        return CommitTableResponse(metadata=metadata, metadata_location=location)

    def drop_table(self, identifier: Any) -> None:
        self._ask("drop", self._server.model.dropped, tuple(identifier))

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
            raise ServiceUnavailableError("try again later")
        try:
            with at_once():
                answer = do(*args)
        finally:
            self._world.point(f"{what} done")
        return answer

    def _arrives_later(self, name: Identifier, requirements: Any, updates: Any) -> None:
        """Let the request be carried out when its sender has given it up, perhaps."""
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
        raise self._world.chance.choice(
            [
                ServiceUnavailableError("503"),
                CommitStateUnknownException("504"),
                LostConnectionError("reset by peer"),
                ReadTimeout("no answer"),
            ]
        )
