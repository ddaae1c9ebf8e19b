"""Other engines on the same tables: PyIceberg, used directly, with a reliable catalog."""

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NoSuchTableError,
    TableAlreadyExistsError,
    ValidationException,
)
from pyiceberg.io.pyarrow import _dataframe_to_data_files
from pyiceberg.table import Table
from pyiceberg.transforms import BucketTransform
from pyiceberg.types import StringType
from tests.simulation.model import Model, Sent
from tests.simulation.senders import COLUMNS
from tests.simulation.servers import FOREIGN_GRACE_SECONDS, GRACE_SECONDS
from tests.simulation.storage import MemoryFileIO, name_of
from tests.simulation.world import World
from tests.testing.lines import COLUMNS as LINES

from lakegate import clock
from lakegate.lake.catalog.open import ensure_namespace
from lakegate.lake.table.schema import iceberg_schema
from lakegate.model import TableName

# No retry comes later than this.
SNAPSHOTS_LOOKED_FOR_MS = 1_200_000


@dataclass
class Engines:
    """Operations of other engines on tables. Each method blocks, and may fail as engines do."""

    world: World
    model: Model
    catalog: Catalog
    file_io: MemoryFileIO
    actions: int = 0

    def act(self, action: str, name: TableName) -> None:
        """Run an operation on a table. It may meet a conflict."""
        self.actions += 1
        act: Callable[[TableName], None] = getattr(self, action)
        self.world.say(f"another engine: {action}")
        try:
            act(name)
        except (
            CommitFailedException,
            NoSuchTableError,
            TableAlreadyExistsError,
            UserWarning,  # there is nothing to delete
            ValidationException,
            ValueError,
        ) as error:
            self.world.say(f"another engine: {action}: {type(error).__name__} {error}"[:200])

    def append(self, name: TableName) -> None:
        sent = self._rows()
        self._table(name).append(_arrow(sent))
        sent.under_way -= 1

    def delete(self, name: TableName) -> None:
        table = self._table(name)
        version = self.model.current.get(table.name())
        if rows := sorted(version.rows) if version else []:
            table.delete(f"label == '{self.world.chance.choice(rows)}'")

    def expire(self, name: TableName) -> None:
        table = self._table(name)
        oldest = clock.now_ms() - SNAPSHOTS_LOOKED_FOR_MS
        current = table.metadata.current_snapshot_id
        old = [
            snapshot.snapshot_id
            for snapshot in table.metadata.snapshots
            if snapshot.timestamp_ms < oldest and snapshot.snapshot_id != current
        ]
        if old:
            table.maintenance.expire_snapshots().by_ids(old).commit()

    def add_column(self, name: TableName) -> None:
        with self._table(name).update_schema() as update:
            update.add_column(self.world.chance.choice(COLUMNS), StringType())

    def drop_column(self, name: TableName) -> None:
        with self._table(name).update_schema() as update:
            update.delete_column(self.world.chance.choice(COLUMNS))

    def rename_column(self, name: TableName) -> None:
        with self._table(name).update_schema() as update:
            update.rename_column(self.world.chance.choice(COLUMNS), f"was_{self.actions}")

    def change_spec(self, name: TableName) -> None:
        table = self._table(name)
        with table.update_spec() as update:
            if table.spec().is_unpartitioned():
                update.add_field("label", BucketTransform(2), f"bucket_{self.actions}")
            else:
                update.remove_field(table.spec().fields[0].name)

    def remake(self, name: TableName) -> None:
        self.catalog.drop_table((name.database, name.table))

    def write_slowly(self, name: TableName) -> None:
        """Write a file, and commit it much later. Maintenance must not delete it before."""
        table = self._table(name)
        sent = self._rows()
        [file] = _dataframe_to_data_files(table.metadata, _arrow(sent), table.io)
        managed = table.metadata.properties.get("lakegate.managed") == "true"
        clock.sleep(FOREIGN_GRACE_SECONDS * (0.8 if managed else 2))
        with (
            self._table(name).transaction() as transaction,
            transaction._append_snapshot_producer({}) as producer,
        ):
            producer.append_data_file(file)
        sent.under_way -= 1

    def read_slowly(self, name: TableName) -> None:
        """Plan a query, and read its files later."""
        version = self.model.current.get((name.database, name.table))
        if version is None:
            return
        snapshot = version.metadata.current_snapshot()
        planned = set(self.model.reader.files([snapshot] if snapshot else []))
        clock.sleep(self.world.chance.uniform(0.01, GRACE_SECONDS * 0.9))
        if gone := sorted(planned - set(self.file_io.storage.files)):
            self.world.violation(f"a query had planned {[name_of(path) for path in gone]}")

    def make_foreign(self, name: TableName) -> None:
        """Create a table that Lakegate does not maintain."""
        ensure_namespace(self.catalog, name.database)
        self.catalog.create_table((name.database, name.table), iceberg_schema(LINES))

    def _table(self, name: TableName) -> Table:
        return self.catalog.load_table((name.database, name.table))

    def _rows(self) -> Sent:
        label = f"engine.{self.actions}"
        sent = Sent({label: {"label": label}}, under_way=1)
        self.model.sending(sent)
        return sent


def _arrow(sent: Sent) -> pa.Table:
    return pa.Table.from_pylist(
        list(sent.rows.values()), schema=pa.schema([("label", pa.string())])
    )
