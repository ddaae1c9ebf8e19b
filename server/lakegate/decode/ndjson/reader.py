"""Lines to blocks of rows, by whatever way is fastest and right.

Rows that share a template are read as it has them; rows of any mix of templates by regular
expressions; and little, or what neither way can prove to have read right, one by one.
"""

from collections.abc import Generator, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from threading import Lock

import pyarrow as pa
import pyarrow.compute as pc

from lakegate.decode.limits import MAX_LINE_ITEMS, check_cells
from lakegate.decode.ndjson.blocks import Block
from lakegate.decode.ndjson.engine import Engine
from lakegate.decode.ndjson.lines import Lines
from lakegate.decode.ndjson.mixed.block import MixedBlock
from lakegate.decode.ndjson.mixed.fields import FieldTable
from lakegate.decode.ndjson.mixed.splitter import DEPTH, Splitter, is_blank
from lakegate.decode.ndjson.pending import PendingRows
from lakegate.decode.ndjson.refusals import Refusals
from lakegate.decode.ndjson.single.block import SingleRows
from lakegate.decode.ndjson.template.block import TemplateBlock
from lakegate.decode.ndjson.template.parser import Parser
from lakegate.decode.ndjson.template.template import Template, learn
from lakegate.decode.router import Router
from lakegate.decode.values.json_text import LineError, parse_line
from lakegate.errors import ErrorCode

_TOO_LARGE = ErrorCode.BODY_TOO_LARGE

# So little is read one by one in less time than a call of the engine takes.
_LITTLE_BYTES = 20_000
_SAMPLES = 16  # lines that a template is learnt from
_PROBES = 256  # lines that a doubtful one is tried on
_MAX_TEMPLATES = 4
_COMMON = 4  # of so many rows one has to be of a template, or another is not worth its time
_LONGEST_SAMPLE = 64 * 1024  # a line of this length is not looked at for its template
_SIZE_AT_ONCE = 512 * 1024  # that is split into fields, which take many times their text
# A line of more than this cannot be read one by one, nor may it have very many fields: both
# would take fifty times its size.
_LONG_LINE = 1024 * 1024
_MAX_FIELDS = 100_000
_ROWS_AT_ONCE = 2000  # that are Python objects, which take even more
_FEW_ROWS = 200  # read one by one in less time than threads take turns


@dataclass(frozen=True, slots=True)
class _Group:
    """What is read, and what for."""

    lines: Lines
    router: Router
    refusals: Refusals

    def block(self, rows: pa.Array, field_table: FieldTable) -> MixedBlock:
        return MixedBlock(rows, field_table, self.router, self.lines)


class Reader:
    """Reads the rows of groups. Any number of threads may use one."""

    def __init__(
        self, little_bytes: int = _LITTLE_BYTES, max_templates: int = _MAX_TEMPLATES
    ) -> None:
        """Read rows one by one where they have fewer than `little_bytes`."""
        self.engine = Engine()
        self._parser = Parser(self.engine)
        self._splitter = Splitter(self.engine)
        self._little_bytes = little_bytes
        self._max_templates = max_templates
        self._one_by_one = Lock()

    def read(self, lines: Lines, router: Router, refusals: Refusals) -> list[Block]:
        """Read all lines but those that are refused.

        Raises `TooLargeError`.
        """
        blocks: list[Block] = []
        rows = columns = 0
        group = _Group(lines, router, refusals)
        for block in self._read(_readable(PendingRows.all_of(lines), group), group):
            blocks.append(block)
            rows, columns = rows + len(block.rows), max(columns, len(block.known))
            check_cells(rows, columns)
        return blocks or [group.block(pa.array([], pa.int64()), FieldTable.none())]

    def _read(self, pending: PendingRows, group: _Group) -> Iterator[Block]:
        pending = yield from self._read_templates(pending, group)
        if pending.size >= self._little_bytes:
            pending = yield from self._read_mixed(pending, group)
        yield from self._read_each(pending, group)

    def _read_templates(
        self, pending: PendingRows, group: _Group
    ) -> Generator[Block, None, PendingRows]:
        """Read the rows of common templates; return those that are left."""
        for _ in range(self._max_templates):
            if pending.size < self._little_bytes:
                break
            template = learn(pending.sample(_SAMPLES, _LONGEST_SAMPLE), group.router)
            if template is None or (template.sparse and not self._reads_most(template, pending)):
                break
            columns, proven = self._parser.parse(pending.text, template)
            rows = pending.rows.filter(proven)
            if len(rows):
                fields = [column.filter(proven) for column in columns]
                yield TemplateBlock(rows, template, fields, group.router, group.lines)
            count, pending = len(pending), pending.filter(pc.invert(proven))
            if len(rows) * _COMMON < count:
                break
        return pending

    def _reads_most(self, template: Template, pending: PendingRows) -> bool:
        """Return whether it is likely that a template reads most rows."""
        lines = pa.array(pending.sample(_PROBES, _LONGEST_SAMPLE), pending.text.type)
        proven: int = self._parser.parse(lines, template).proven.true_count
        return 2 * proven > len(lines)

    def _read_mixed(
        self, pending: PendingRows, group: _Group
    ) -> Generator[Block, None, PendingRows]:
        """Read the rows of any mix of templates; return those that are left."""
        blank = is_blank(pending.text)
        if blank.true_count:
            yield group.block(pending.rows.filter(blank), FieldTable.none())
            pending = pending.filter(pc.invert(blank))
        pending = self._refuse_wide(pending, group)
        left = []
        for part in pending.by_size(_SIZE_AT_ONCE):
            field_table, proven = self._splitter.split(part.text)
            yield group.block(part.rows.filter(proven), field_table)
            left.append(proven)
        return pending.filter(pc.invert(pa.chunked_array(left, pa.bool_()).combine_chunks()))

    def _refuse_wide(self, pending: PendingRows, group: _Group) -> PendingRows:
        """Refuse long lines of very many fields, which cannot be read in parts."""
        long = pending.longer_than(_LONG_LINE)
        if not long.true_count:
            return pending
        rows = pending.rows.filter(long)
        wide = rows.filter(pc.greater(self._splitter.count(pending.text.filter(long)), _MAX_FIELDS))
        for row in wide.to_pylist():
            group.refusals.add(row, f"It has more than {_MAX_FIELDS} fields", _TOO_LARGE)
        return pending.filter(pc.invert(pc.is_in(pending.rows, wide))) if len(wide) else pending

    def _read_each(self, pending: PendingRows, group: _Group) -> Iterator[Block]:
        """Read rows one by one; refuse those that cannot be read.

        Of long passes there is one at a time: the event loop has to get its turn.
        """
        for dense in pending.by_size(_SIZE_AT_ONCE):
            for part in dense.by_rows(_ROWS_AT_ONCE):
                little = len(part) <= _FEW_ROWS and part.size <= _LITTLE_BYTES
                with nullcontext() if little else self._one_by_one:
                    block = _read_part(part, group)
                yield block


def _readable(pending: PendingRows, group: _Group) -> PendingRows:
    """Refuse lines with too many items."""
    long = pending.longer_than(MAX_LINE_ITEMS)
    if not long.true_count:
        return pending
    items = pc.count_substring(pc.if_else(long, pending.text, ""), ",")
    too_many = pc.fill_null(pc.greater(items, MAX_LINE_ITEMS), fill_value=False)
    for row in pending.rows.filter(too_many).to_pylist():
        group.refusals.add(row, f"It has more than {MAX_LINE_ITEMS} items", _TOO_LARGE)
    return pending.filter(pc.invert(too_many))


def _read_part(part: PendingRows, group: _Group) -> Block:
    exact = SingleRows(group.router)
    for row, line in zip(part.rows.to_pylist(), part.text.to_pylist(), strict=True):
        if not group.refusals.is_full(row):
            try:
                exact.add(row, _parse(line))
            except LineError as error:
                group.refusals.add(row, str(error))
    return exact.block()


def _parse(line: str | None) -> list[tuple[str, str]]:
    if line is not None and len(line) > _LONG_LINE:
        raise LineError(
            f"It is not a JSON object, or it nests deeper than {DEPTH} levels, which a line of "
            f"more than {_LONG_LINE} bytes may not"
        )
    return parse_line(line)
