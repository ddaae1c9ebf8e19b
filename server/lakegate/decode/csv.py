"""CSV to Arrow: a header line, then a row of texts a line (RFC 4180)."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from lakegate.columns.registry import is_dynamic, is_text, mismatch
from lakegate.decode import limits
from lakegate.decode.tabular.decoder import TabularDecoder
from lakegate.decode.text import BYTE_ORDER_MARK, LISTED_LINES, count, shorten
from lakegate.decode.values.casts import coerce
from lakegate.decode.values.json_column import JsonColumn, quote
from lakegate.decode.values.json_text import LineError, parse_value
from lakegate.errors import ErrorCode, LakegateError, Violation
from lakegate.model import Body, MemoryEstimate

_MAX_HEADER_BYTES = 1024 * 1024
_MAX_COLUMNS = 10_000
_BLOCK_BYTES = 16 * 1024 * 1024
_SCALAR = r"^(-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?|true|false|null)$"
_NUMBERS = r"^\[ *-?[0-9]+(\.[0-9]+)?( *, *-?[0-9]+(\.[0-9]+)?)* *\]$"
_LEADING_ZERO = r"[\[ ,-]0[0-9]"
_ROW = re.compile(r"Row #([0-9]+): (.*)", re.DOTALL)
_BLANK_LINE = re.compile(rb"(^|\n)\r?\n")
_MARGIN = BYTE_ORDER_MARK + b"\r\n"
_MAY_BE_JSON = r'^[\[{"]'


class CsvDecoder(TabularDecoder):
    """Decodes bodies that are CSV in UTF-8, with a header line."""

    media_types = ("text/csv", "application/csv")
    field = "csv"

    def open(self, data: bytes) -> "_CsvSource":
        """Read a body as texts; what is empty and not in quotes is null."""
        try:
            return _CsvSource(_read(data), data)
        except (pa.ArrowException, csv.Error, ValueError) as error:
            raise _refusal(error, data) from None

    def estimate(self, bodies: Sequence[Body], columns: int) -> MemoryEstimate:
        """Count lines and commas; a row may be written as JSON, with the names of its columns."""
        size = cells = 0
        for body in bodies:
            data = body.data
            rows = count(data, b"\n") + 1
            names = rows * len(data[:_MAX_HEADER_BYTES].lstrip(_MARGIN).partition(b"\n")[0])
            size += len(data) + min(names, limits.MAX_WRITTEN_BYTES)
            cells += rows * (columns + 1) + count(data, b",")
        return MemoryEstimate(size, cells)


def _read(data: bytes) -> pa.Table:
    names = _header(data)
    lines = count(data, b"\n") + count(data, b"\r")
    # A line break within quotes makes no row, so lines may be many more than rows.
    if lines + count(data, b",") > limits.MAX_CELLS:
        limits.check_cells(lines, len(names))
    if not names:
        return pa.table({})
    try:
        table = _parse(data, names, block_bytes=_BLOCK_BYTES, use_threads=True)
    except pa.ArrowInvalid:
        # One block may have a row of any length, and one thread names the row of an error.
        table = _parse(data, names, block_bytes=len(data) + 1, use_threads=False)
    limits.check_lines(len(table))
    return table


def _header(data: bytes) -> list[str]:
    """Return the names of the columns; none for a body without any line."""
    start = data[: _MAX_HEADER_BYTES + 1].removeprefix(BYTE_ORDER_MARK)
    text = start.decode(errors="surrogateescape")
    for names in csv.reader(io.StringIO(text, newline="")):
        if names:
            if len(names) > _MAX_COLUMNS:
                raise ValueError(f"it has more than {_MAX_COLUMNS} columns")
            "".join(names).encode()  # raises where they are no UTF-8
            return names
    return []


def _parse(data: bytes, names: Sequence[str], *, block_bytes: int, use_threads: bool) -> pa.Table:
    # Names may be there twice, which Arrow does not allow.
    columns = [str(index) for index in range(len(names))]
    table = pa_csv.read_csv(
        pa.BufferReader(data if data.endswith((b"\n", b"\r")) else data + b"\n"),
        read_options=pa_csv.ReadOptions(
            column_names=columns,
            skip_rows_after_names=1,
            use_threads=use_threads,
            block_size=block_bytes,
        ),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    return table.rename_columns(names)


def _refusal(error: Exception, data: bytes) -> LakegateError:
    """Return what is wrong, with the row that Arrow names: it counts from 1, the header too."""
    match = _ROW.search(str(error))
    if match is None:
        return LakegateError(ErrorCode.BAD_REQUEST_BODY, f"The body is not CSV: {error}")
    rows_are_lines = b'"' not in data and not _BLANK_LINE.search(data)
    position = f"line {match[1]}" if rows_are_lines else f"row {int(match[1]) - 1}"
    reason = shorten(match[2])
    return LakegateError(
        ErrorCode.BAD_REQUEST_BODY,
        f"{position}: {reason}",
        violations=(Violation(position, reason),),
    )


@dataclass(frozen=True)
class _CsvSource:
    """The texts of a body."""

    table: pa.Table
    data: bytes

    def normalize(self, array: pa.Array) -> pa.Array:
        """Return the texts: Iceberg has them."""
        return array

    def fit(self, array: pa.Array, column: pa.Field) -> pa.Array:
        """Return the values of texts for a column.

        A text that is JSON is that value, for a column that is no string; any other is a
        string. Raises `LakegateError` for what the column cannot hold.
        """
        if is_text(column.type) and not is_dynamic(column):
            return array.cast(column.type)
        converted = coerce(JsonColumn(_as_json(array)), column)
        if converted.misfits is not None:
            raise self._refusal(array, converted.misfits, column)
        return converted.values

    def to_json(self, array: pa.Array) -> pa.Array:
        """Return texts as JSON strings."""
        return quote(array)

    def _refusal(self, texts: pa.Array, misfits: pa.Array, column: pa.Field) -> LakegateError:
        rows = pc.indices_nonzero(misfits)[:LISTED_LINES].to_pylist()
        violations = tuple(
            Violation(
                self._position(row),
                f'column "{column.name}": {mismatch(column, shorten(texts[row].as_py()))}',
            )
            for row in rows
        )
        first = violations[0]
        return LakegateError(
            ErrorCode.BAD_REQUEST_BODY, f"{first.field}: {first.description}", violations=violations
        )

    def _position(self, row: int) -> str:
        """Return where a row is: its line, unless line breaks in quotes hide which that is."""
        lines = count(self.data.removesuffix(b"\n"), b"\n") + 1
        return f"line {row + 2}" if lines == len(self.table) + 1 else f"row {row + 1}"


def _as_json(texts: pa.Array) -> pa.Array:
    """Return texts that are JSON as they are, any other as JSON strings."""
    is_numbers = pc.and_not(
        pc.match_substring_regex(texts, _NUMBERS), pc.match_substring_regex(texts, _LEADING_ZERO)
    )
    is_json = pc.or_(pc.match_substring_regex(texts, _SCALAR), is_numbers)
    values = pc.if_else(is_json, texts, quote(texts))
    doubtful = pc.and_not(pc.match_substring_regex(texts, _MAY_BE_JSON), is_json)
    doubtful = pc.fill_null(doubtful, fill_value=False)
    if not doubtful.true_count:
        return values
    parsed = [_parse_json(text) for text in texts.filter(doubtful).to_pylist()]
    return pc.replace_with_mask(values, doubtful, pa.array(parsed, pa.string()))


def _parse_json(text: str) -> str:
    try:
        return parse_value(text)
    except LineError:
        return str(quote(pa.array([text]))[0])
