"""EnsureTable: the number of columns is checked first, and definitions are read in a thread."""

import threading
from typing import Any, cast

import pytest

from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.table.definition import TableDefinition
from lakegate.lake.table.description import TableDescription
from lakegate.model import TableName
from lakegate.rpc.flow.admission import Admission
from lakegate.rpc.request.headers import Context
from lakegate.rpc.services import tables
from lakegate.rpc.services.columns import arrow_schema
from lakegate.rpc.services.tables import Tables, TableServicer
from lakegate.settings import Settings
from lakegate.v1.tables_pb2 import Column, EnsureTableRequest

MAX_COLUMNS = 10


class Lake:
    """Records the definitions that it gets."""

    def __init__(self) -> None:
        self.definitions: list[TableDefinition] = []

    async def ensure_table(
        self, name: TableName, _default: object, definition: TableDefinition
    ) -> TableDescription:
        self.definitions.append(definition)
        return TableDescription(name, (), "", "", 0, 0, ())


class CallContext:
    """A gRPC call without metadata."""

    def invocation_metadata(self) -> tuple[()]:
        return ()


def request(columns: int) -> EnsureTableRequest:
    named = [Column(name=f"c{number}", type="int") for number in range(columns)]
    return EnsureTableRequest(database="default", table="t", columns=named)


@pytest.fixture
def lake() -> Lake:
    return Lake()


@pytest.fixture
def servicer(lake: Lake) -> TableServicer:
    return TableServicer(cast(Tables, lake), None, MAX_COLUMNS, Admission.of(Settings()))


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads in which columns are read."""
    threads = []

    def reading(columns: Any) -> Any:
        threads.append(threading.get_ident())
        return arrow_schema(columns)

    monkeypatch.setattr(tables, "arrow_schema", reading)
    return threads


async def test_columns_are_read_off_the_event_loop(
    servicer: TableServicer, lake: Lake, threads: list[int]
) -> None:
    await servicer.EnsureTable(request(MAX_COLUMNS), cast(Context, CallContext()))
    [definition] = lake.definitions
    assert definition.columns is not None
    assert len(definition.columns) == MAX_COLUMNS
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


async def test_too_many_columns_are_refused_before_they_are_read(
    servicer: TableServicer, lake: Lake, threads: list[int]
) -> None:
    with pytest.raises(LakegateError) as refusal:
        await servicer.EnsureTable(request(MAX_COLUMNS + 1), cast(Context, CallContext()))
    assert refusal.value.code is ErrorCode.INVALID_ARGUMENT
    assert (threads, lake.definitions) == ([], [])
