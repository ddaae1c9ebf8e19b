"""DuckDB's functions over a column of text."""

import duckdb
import pyarrow as pa

_VECTOR = 2048  # the rows that a thread of DuckDB takes at a time
_PIECES_PER_THREAD = 2  # so that threads end at about the same time


class Engine:
    """DuckDB in memory. Any number of threads may use one."""

    def __init__(self) -> None:
        """Start it."""
        self._connection = duckdb.connect()
        (self._threads,) = self._connection.execute(
            "SELECT current_setting('threads')"
        ).fetchone() or (1,)

    def run(self, query: str, lines: pa.Array) -> list[pa.Array]:
        """Run a query over `lines`, whose column is `line`; return its columns, rows in order.

        Raises `duckdb.Error`, or `UnicodeDecodeError` for a message cut within a character.
        """
        with self._connection.cursor() as cursor:
            cursor.register("lines", self._batches(lines))
            table = cursor.execute(query).to_arrow_table()
        return [_single(column) for column in table.columns]

    def _batches(self, lines: pa.Array) -> pa.Table:
        """Cut a column into pieces that the threads can share."""
        size = max(_VECTOR, -(-len(lines) // (_PIECES_PER_THREAD * self._threads)))
        return pa.Table.from_batches(pa.table({"line": lines}).to_batches(max_chunksize=size))


def literal(text: str) -> str:
    """Write a text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def _single(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
