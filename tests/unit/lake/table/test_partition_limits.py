"""A batch beyond the limits of partitions is refused, and the rest of its group is committed."""

import asyncio
from collections.abc import Sequence
from decimal import Context, Decimal

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from tests.testing.lines import COLUMNS, ORDERS, LinesDecoder, batch, raw_batch
from tests.testing.reading import duckdb_rows, file_rows, labels, load
from tests.testing.stub_decoder import StubDecoder

from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.lake import Lake
from lakegate.lake.table.definition import TableDefinition
from lakegate.lake.table.partition_limits import MAX_PARTITIONS
from lakegate.model import Batch, Body, DecodedGroup

BY_LABEL = TableDefinition(partition_by=["label"])
DAYS = pa.schema([("d", pa.date32())])
LAST_DAY = 2_932_896  # 9999-12-31, from 1970-01-01
FIRST_DAY = -719_162


class DaysDecoder(StubDecoder):
    """Reads a body as numbers of days."""

    default_schema = DAYS

    def decode(self, bodies: Sequence[Body], schema: pa.Schema) -> DecodedGroup:
        del schema
        days = [[int(day) for day in body.data.split()] for body in bodies]
        column = pa.array([day for each in days for day in each], pa.int32()).cast(pa.date32())
        return DecodedGroup(pa.table({"d": column}), [len(each) for each in days])


class DecimalsDecoder(StubDecoder):
    """Reads a body as decimals."""

    def __init__(self, columns: pa.Schema) -> None:
        self.default_schema = columns

    def decode(self, bodies: Sequence[Body], schema: pa.Schema) -> DecodedGroup:
        numbers = [list(map(Decimal, body.data.decode().split())) for body in bodies]
        column = pa.array([number for each in numbers for number in each], schema.field("d").type)
        return DecodedGroup(pa.table({"d": column}), [len(each) for each in numbers])


async def together(lake: Lake, *batches: Batch) -> list[LakegateError | int]:
    """Send batches at once; return the number of rows of each, or its refusal."""
    answers = await asyncio.gather(*map(lake.append, batches), return_exceptions=True)
    outcomes: list[LakegateError | int] = []
    for answer in answers:
        if isinstance(answer, LakegateError):
            outcomes.append(answer)
        else:
            assert not isinstance(answer, BaseException), answer
            outcomes.append(answer.rows_ingested)
    return outcomes


@pytest.mark.parametrize("value", ["z" * 300, "ж" * 50, "z" * 250, "/" * 90])
async def test_a_value_that_is_too_long_for_a_path_is_refused(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder, value: str
) -> None:
    await lake.ensure_table(ORDERS, COLUMNS, BY_LABEL)
    good = [batch(decoder, {"label": f"g{number}"}) for number in range(6)]
    bad = batch(decoder, {"label": "fine"}, {"label": value})
    *counts, refusal = await together(lake, *good, bad)
    assert counts == [1] * 6
    assert isinstance(refusal, LakegateError)
    assert refusal.code is ErrorCode.BAD_REQUEST_BODY
    assert "row 2" in refusal.message
    assert value[:10] not in refusal.message
    assert str(load(catalog).location()) not in refusal.message
    assert duckdb_rows(catalog) == [f"g{number}" for number in range(6)]


async def test_values_that_are_too_long_together_are_refused(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    names = [f"c{number}" for number in range(6)]
    columns = pa.schema([(name, pa.string()) for name in names])
    await lake.ensure_table(ORDERS, columns, TableDefinition(partition_by=names))
    [refusal] = await together(lake, batch(decoder, dict.fromkeys(names, "v" * 200)))
    assert isinstance(refusal, LakegateError)
    assert refusal.code is ErrorCode.BAD_REQUEST_BODY
    assert load(catalog).current_snapshot() is None


async def test_a_value_of_any_characters_is_accepted(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.ensure_table(ORDERS, COLUMNS, BY_LABEL)
    values = ["", ".", "..", "../..", "a/b", "a=b", "\x00", "\n", "%2e", "ж" * 40, "😀", "z" * 249]
    await lake.append(batch(decoder, *({"label": value} for value in values)))
    assert labels(catalog) == sorted(values)


@pytest.mark.parametrize("term", ["d", "day(d)", "month(d)", "year(d)"])
@pytest.mark.parametrize("day", [LAST_DAY + 1, FIRST_DAY - 1, 2**31 - 1, -(2**31)])
async def test_a_date_outside_of_the_calendar_is_refused(
    lake: Lake, catalog: Catalog, term: str, day: int
) -> None:
    decoder = DaysDecoder()
    await lake.ensure_table(ORDERS, DAYS, TableDefinition(partition_by=[term]))
    bodies = [b"0", f"{LAST_DAY} {FIRST_DAY}".encode(), f"1 2 {day}".encode()]
    *counts, refusal = await together(lake, *(Batch(ORDERS, Body(b), decoder) for b in bodies))
    assert counts == [1, 2]
    assert isinstance(refusal, LakegateError)
    assert refusal.code is ErrorCode.BAD_REQUEST_BODY
    assert "row 3: column d" in refusal.message
    assert sum(file_rows(catalog)["record_count"].to_pylist()) == 3


def many(decoder: LinesDecoder, first: int, count: int) -> Batch:
    return batch(decoder, *({"label": f"{number:05d}"} for number in range(first, first + count)))


async def test_a_batch_of_too_many_partitions_is_refused(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.ensure_table(ORDERS, COLUMNS, BY_LABEL)
    few, refusal = await together(
        lake, batch(decoder, {"label": "few"}), many(decoder, 0, MAX_PARTITIONS + 1)
    )
    assert few == 1
    assert isinstance(refusal, LakegateError)
    assert refusal.code is ErrorCode.BODY_TOO_LARGE
    assert f"{MAX_PARTITIONS + 1} partitions" in refusal.message
    assert labels(catalog) == ["few"]


async def test_batches_that_together_are_of_too_many_partitions_share_no_commit(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakegate.lake.table.partition_limits.MAX_PARTITIONS", 10)
    await lake.ensure_table(ORDERS, COLUMNS, BY_LABEL)
    outcomes = await together(
        lake,
        many(decoder, 0, 6),
        many(decoder, 6, 6),
        raw_batch(decoder, b"no json"),
        many(decoder, 12, 10),
        many(decoder, 12, 10),
        many(decoder, 30, 1),
    )
    refusal = outcomes.pop(2)
    assert isinstance(refusal, LakegateError)
    assert outcomes == [6, 6, 10, 10, 1]
    assert len(labels(catalog)) == 33
    added = [
        int(each.summary["added-data-files"] or 0)
        for each in load(catalog).snapshots()
        if each.summary
    ]
    assert max(added) <= 10


async def test_a_column_may_have_several_fields_of_the_partitioning(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    shape = TableDefinition(partition_by=["label", "bucket(4, label)"])
    await lake.ensure_table(ORDERS, COLUMNS, shape)
    await lake.append(batch(decoder, {"label": "a"}, {"label": "b"}))
    assert duckdb_rows(catalog) == ["a", "b"]


@pytest.mark.parametrize("type_", [pa.decimal128(9, 2), pa.decimal128(38, 0)], ids=str)
async def test_a_decimal_that_truncates_to_too_many_digits_is_refused(
    type_: pa.DataType, lake: Lake, catalog: Catalog
) -> None:
    columns = pa.schema([("d", type_)])
    await lake.ensure_table(ORDERS, columns, TableDefinition(partition_by=["truncate(10, d)"]))
    most = Decimal(10**type_.precision - 1).scaleb(-type_.scale, Context(prec=type_.precision))
    lowest = str(most)[:-1] + "0"
    bodies = [f"1 {most}", f"1 -{most}", f"-{lowest}"]
    decoder = DecimalsDecoder(columns)
    first, refusal, last = await together(
        lake, *(Batch(ORDERS, Body(body.encode()), decoder) for body in bodies)
    )
    assert (first, last) == (2, 1)
    assert isinstance(refusal, LakegateError)
    assert refusal.code is ErrorCode.BAD_REQUEST_BODY
    assert "row 2: column d" in refusal.message
    assert sum(file_rows(catalog)["record_count"].to_pylist()) == 3
