"""What decoding takes is charged before: a few kilobytes may become very much."""

import io
import struct

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from tests.testing.decode.arrow_bodies import bad_body, decode, stream
from tests.testing.decode.memory import memory_of

MIB = 1024 * 1024
FIRST_BODY = 100 * MIB  # what libraries load and pools keep, see `DECODING_FACTOR`

ZERO = pa.scalar(0, pa.int8())
LONG_TEXT = "x" * MIB
LONG_NAME = "x" * 1500


def shared_by_rows(array: pa.Array) -> bytes:
    """Return thirty columns whose rows have the same large value, written once."""
    return stream({f"c{i}": array for i in range(30)}, "zstd")


def dictionary() -> bytes:
    indices = pa.repeat(ZERO, 63)
    return shared_by_rows(pa.DictionaryArray.from_arrays(indices, pa.array([LONG_TEXT])))


def views() -> bytes:
    _, view, text = pa.array([LONG_TEXT]).cast(pa.string_view()).buffers()
    buffers = [None, pa.py_buffer(view.to_pybytes() * 63), text]
    return shared_by_rows(pa.Array.from_buffers(pa.string_view(), 63, buffers))


def list_views() -> bytes:
    starts, sizes = pa.array([0] * 60, pa.int32()), pa.array([MIB // 4] * 60, pa.int32())
    return shared_by_rows(pa.ListViewArray.from_arrays(starts, sizes, pa.repeat(ZERO, MIB // 4)))


def runs() -> bytes:
    ends = pa.array([60_000_000], pa.int32())
    items = pa.RunEndEncodedArray.from_arrays(ends, pa.array([1], pa.int8()))
    lists = pa.ListArray.from_arrays(pa.array([0, 60_000_000], pa.int32()), items)
    return shared_by_rows(lists)


def items() -> bytes:
    ends = pa.array([0, 60_000_000], pa.int32())
    return stream({"c": pa.ListArray.from_arrays(ends, pa.repeat(ZERO, 60_000_000))}, "zstd")


def columns_without_room() -> bytes:
    return stream({f"c{i}": pa.repeat(ZERO, 300_000) for i in range(100)}, "zstd")


def long_name(rows: int) -> pa.Table:
    return pa.table({LONG_NAME: pa.repeat(ZERO, rows)})


def long_name_of_a_field() -> bytes:
    fields = pa.StructArray.from_arrays([pa.repeat(ZERO, 300_000)], [LONG_NAME])
    return stream({"no column": fields}, "zstd")


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


BODIES = {
    "a dictionary": ("arrow_ipc", dictionary),
    "views": ("arrow_ipc", views),
    "list views": ("arrow_ipc", list_views),
    "runs": ("arrow_ipc", runs),
    "items of one list": ("arrow_ipc", items),
    "more columns than there may be": ("arrow_ipc", columns_without_room),
    "a long name": ("arrow_ipc", lambda: stream(long_name(400_000), "zstd")),
    "a long name of a field": ("arrow_ipc", long_name_of_a_field),
    "a long name in Parquet": ("parquet", lambda: parquet(long_name(400_000))),
    "a long name in CSV": ("csv", lambda: f"a,{LONG_NAME}\n".encode() + b"1,1\n" * 400_000),
    "items of JSON": ("ndjson", lambda: b'{"a":[' + b"{}," * 2_000_000 + b"{}]}"),
    "items of a JSON array": ("json", lambda: b'[{"a":[' + b"{}," * 2_000_000 + b"{}]}]"),
}


@pytest.mark.parametrize("name", BODIES)
def test_decoding_takes_no_more_memory_than_is_charged(name: str) -> None:
    format_, body = BODIES[name]

    memory = memory_of(format_, body())

    assert memory.taken <= memory.charged + FIRST_BODY


def test_a_name_that_is_written_once_cannot_be_that_of_a_thousand_columns() -> None:
    columns, name = 2000, "x" * 100_000
    names = [name, *(f"c{i}" for i in range(columns - 1))]
    body = stream(pa.table([pa.array([1])] * columns, names=names))
    vector = body.index(struct.pack("<I", columns)) + 4
    first = vector + struct.unpack_from("<I", body, vector)[0]
    same = b"".join(struct.pack("<I", first - vector - 4 * i) for i in range(columns))

    group = decode(body[:vector] + same + body[vector + len(same) :])

    assert "repeats its parts too often" in bad_body(group)
