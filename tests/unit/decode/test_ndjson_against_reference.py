"""The decoder and the reference agree: cell by cell, verdict by verdict."""

import os

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from tests.testing.decode.generated_bodies import Case, cases
from tests.testing.decode.reference import Table, decode
from tests.testing.decode.reference_cells import Cell

from lakegate.decode.ndjson.decoder import NdjsonDecoder
from lakegate.decode.ndjson.reader import Reader
from lakegate.errors import ErrorCode, LakegateError
from lakegate.model import Body, DecodedGroup

ARROW_TYPES = {
    "bool": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "real": pa.float64(),
    "string": pa.string(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
    "dynamic": pa.string(),
    "vector(3)": pa.list_(pa.float32()),
    "decimal(5,2)": pa.decimal128(5, 2),
}


def schema_of(table: Table) -> pa.Schema:
    return pa.schema(
        pa.field(
            name,
            ARROW_TYPES[kind],
            metadata={"lakegate:type": kind} if kind in ("dynamic", "vector(3)") else None,
        )
        for name, kind in table.columns.items()
    )


# `LAKEGATE_REFERENCE_EXAMPLES=5000` compares more.
EXAMPLES = int(os.environ.get("LAKEGATE_REFERENCE_EXAMPLES", "400"))
READERS = {
    "one by one": Reader(little_bytes=1_000_000),
    "as shapes": Reader(little_bytes=1),
    "as a mix": Reader(little_bytes=1, max_templates=0),
}


def decode_by(reader: Reader, case: Case) -> DecodedGroup:
    decoder = NdjsonDecoder(
        max_new_columns=case.table.max_new_columns,
        max_table_columns=case.table.max_columns,
        reader=reader,
    )
    return decoder.decode([Body(*body) for body in case.bodies], schema_of(case.table))


def verdict(outcome: int | LakegateError) -> int | list[int]:
    if isinstance(outcome, int):
        return outcome
    assert outcome.code is ErrorCode.BAD_REQUEST_BODY
    lines = [int(violation.field.removeprefix("line ")) for violation in outcome.violations]
    assert outcome.message.startswith(f"line {lines[0]}: ")
    return lines


def cells(rows: pa.Table) -> list[dict[str, Cell]]:
    """Return rows without their nulls; timestamps as microseconds, floats with their sign."""
    plain = [
        rows.column(name).cast(pa.int64()) if pa.types.is_timestamp(type_) else rows.column(name)
        for name, type_ in zip(rows.schema.names, rows.schema.types, strict=True)
    ]
    listed = pa.table(plain, names=rows.schema.names).to_pylist()
    return [{k: v for k, v in row.items() if v is not None} for row in listed]


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(case=cases())
def test_the_decoder_agrees_with_the_reference(case: Case) -> None:
    expected = decode(case.bodies, case.table)
    known = schema_of(case.table)

    for reader in READERS.values():
        group = decode_by(reader, case)

        group.rows.validate(full=True)
        names = group.rows.schema.names
        assert [verdict(outcome) for outcome in group.outcomes] == expected.verdicts
        assert repr(cells(group.rows)) == repr(_ordered(expected.rows, names))
        new = [name for name in names if name not in known.names]
        assert [name for name in new if name != "props"] == expected.new_columns
        for field in group.rows.schema:
            if field.name in known.names:
                assert field.equals(known.field(field.name), check_metadata=True)


def _ordered(rows: list[dict[str, Cell]], names: list[str]) -> list[dict[str, Cell]]:
    return [{name: row[name] for name in sorted(row, key=names.index)} for row in rows]
