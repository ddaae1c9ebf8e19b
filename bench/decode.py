"""Decoding beside its limit: the fastest library call that makes the same table.

The limit is DuckDB's `json_transform` over the same lines, split by Arrow, with `at`
cast by Arrow. It takes what JSON does not allow, changes digits, drops unknown
fields, and knows no bodies: the decoder does all that and has to come close to it.
Both run in turn, on the same cores. Every table is compared before it is measured.

    python -m bench.decode [ROUNDS]
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from lakegate.decode.ndjson.decoder import NdjsonDecoder
from lakegate.model import Body

DEFAULT_ROUNDS = 30
LARGE, SMALL = 10_000, 64  # rows of a group
ROWS_A_REQUEST = 100  # in a large group; a small one has one
PIECES = 4  # that the limit cuts its lines into, for threads


@dataclass(frozen=True)
class Shape:
    """Rows of one kind; `row` makes the one of a number."""

    name: str
    row: Callable[[int], dict[str, object]]


def narrow(i: int) -> dict[str, object]:
    return {
        "_timestamp": f"2026-05-02T10:00:{i % 60:02}.{i % 1000:03}Z",
        "order_id": f"o-{i}",
        "amount_cents": i * 7,
        "status": ("placed", "shipped")[i % 2],
        "customer": f"customer-{i % 5000:06}",
        "note": f"some free text of the order number {i}",
    }


def wide(i: int) -> dict[str, object]:
    return narrow(i) | {f"c{k}": k * i if k % 2 else f"value {k * i}" for k in range(194)}


def long(i: int) -> dict[str, object]:
    trace = "\n".join(f'  File "service_{i % 7}.py", line {k}, in handle' for k in range(40))
    return {"_timestamp": f"2026-05-02T10:00:{i % 60:02}Z", "level": "error", "body": trace}


def deep(i: int) -> dict[str, object]:
    value: object = {"id": i, "tags": ["a", "b"], "price": i / 4}
    for level in range(12):
        value = {"level": level, "name": f"node {level}", "child": value}
    return {"_timestamp": f"2026-05-02T10:00:{i % 60:02}Z", "tree": value}


def mixed(i: int) -> dict[str, object]:
    """Make an event of one of a hundred types, each with 5 to 15 of forty fields."""
    kind = i % 100
    fields = {f"f{(7 * kind + 3 * k) % 40}": f"value {k * i}" for k in range(kind % 10)}
    event = {"_timestamp": f"2026-05-02T10:00:{i % 60:02}Z", "event": f"type {kind}", "n": i}
    return event | fields | {"context": {"ids": [i, kind], "price": i / 4}, "done": kind % 2 == 0}


SHAPES = [
    Shape("narrow", narrow),
    Shape("wide", wide),
    Shape("long", long),
    Shape("deep", deep),
    Shape("mixed", mixed),
]


class Limit:
    """`json_transform` over an Arrow column of lines."""

    def __init__(self, columns: Sequence[str]) -> None:
        """Make columns of strings."""
        self._engine = duckdb.connect()
        structure = json.dumps(dict.fromkeys(columns, "VARCHAR"))
        self._query = f"SELECT unnest(json_transform(line, '{structure}')) FROM lines"  # noqa: S608 - our own words

    def decode(self, bodies: Sequence[Body]) -> pa.Table:
        """Make a table of the lines of all bodies."""
        joined = b"".join([body.data for body in bodies])[:-1]
        lines = pc.split_pattern(pa.array([joined], pa.binary()), "\n").values.cast(pa.string())
        size = max(2048, -(-len(lines) // PIECES))
        with self._engine.cursor() as cursor:
            batches = pa.table({"line": lines}).to_batches(max_chunksize=size)
            cursor.register("lines", pa.Table.from_batches(batches))
            table = cursor.execute(self._query).to_arrow_table()
        return table.set_column(0, "at", table[0].cast(pa.timestamp("us", "UTC")))


def group(shape: Shape, rows: int, rows_a_request: int) -> list[Body]:
    lines = [
        json.dumps(shape.row(i), separators=(",", ":"), ensure_ascii=False) for i in range(rows)
    ]
    return [
        Body("".join(line + "\n" for line in lines[i : i + rows_a_request]).encode())
        for i in range(0, rows, rows_a_request)
    ]


def seconds(calls: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Measure calls in turn; give the lower quartile of each."""
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, times in zip(calls, taken, strict=True):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
    return [sorted(times)[len(times) // 4] for times in taken]


def measure(shape: Shape, rows: int, rows_a_request: int, rounds: int) -> None:
    bodies = group(shape, rows, rows_a_request)
    size = sum(len(body.data) for body in bodies)
    columns = list(dict.fromkeys(name for i in range(rows) for name in shape.row(i)))
    decoder = NdjsonDecoder(max_new_columns=len(columns))
    limit = Limit(columns)
    known = decoder.decode(bodies, decoder.default_schema).rows.schema
    schema = pa.unify_schemas([decoder.default_schema, known])
    ours, theirs = decoder.decode(bodies, schema).rows, limit.decode(bodies)
    if not ours.equals(theirs.select(ours.schema.names).cast(ours.schema)):
        raise SystemExit(f"{shape.name}: the two tables differ")
    took, limit_took = seconds(
        [lambda: decoder.decode(bodies, schema), lambda: limit.decode(bodies)], rounds
    )
    print(
        f"{shape.name:7} {rows:6} rows in {len(bodies):3} requests: {took * 1e3:7.2f} ms, "
        f"{rows / took / 1e3:6.0f} k rows/s, {size / took / 1e6:5.0f} MB/s; "
        f"limit {limit_took * 1e3:7.2f} ms; ratio {limit_took / took:.2f}"
    )


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_ROUNDS
    for shape in SHAPES:
        measure(shape, LARGE, ROWS_A_REQUEST, rounds)
        measure(shape, SMALL, 1, rounds)


if __name__ == "__main__":
    main()
