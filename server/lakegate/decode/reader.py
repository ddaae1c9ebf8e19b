"""Lines to blocks of rows: many at once where they share a shape, else one by one."""

import pyarrow as pa
import pyarrow.compute as pc

from lakegate.decode.blocks import Block
from lakegate.decode.cells import check_cells
from lakegate.decode.exact import LineError, parse_line
from lakegate.decode.exact_block import ExactRows
from lakegate.decode.lines import Lines
from lakegate.decode.names import Names
from lakegate.decode.parser import Parser
from lakegate.decode.refusals import Refusals
from lakegate.decode.shape_block import ShapeBlock
from lakegate.decode.shapes import learn

# So little is read one by one in less time than a call of the parser takes.
_LITTLE_BYTES = 20_000
_SAMPLES = 16  # lines that a shape is learnt from
_MAX_SHAPES = 4
_ROWS_AT_ONCE = 10_000  # that are Python objects, which take many times their text


class Reader:
    """Reads the rows of a group, by whatever way is fastest and right."""

    def __init__(self, little_bytes: int = _LITTLE_BYTES) -> None:
        """Read rows one by one where they have fewer than `little_bytes`."""
        self._parser = Parser()
        self._little_bytes = little_bytes

    def read(self, lines: Lines, names: Names, refusals: Refusals) -> list[Block]:
        """Read all lines but those that are refused."""
        blocks: list[Block] = []
        rows, text = pa.arange(0, len(lines)), lines.text
        for _ in range(_MAX_SHAPES):
            if (pc.sum(pc.binary_length(text)).as_py() or 0) < self._little_bytes:
                break
            block, left = self._read_shape(rows, text, lines, names)
            if block is None:
                break
            blocks.append(block)
            rows, text = rows.filter(left), text.filter(left)
        for start in range(0, max(len(rows), 0 if blocks else 1), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            blocks.append(_read_each(rows[part], text[part], names, refusals))
            check_cells(start, max(len(block.known) for block in blocks))
        return blocks

    def _read_shape(
        self, rows: pa.Array, text: pa.Array, lines: Lines, names: Names
    ) -> tuple[Block | None, pa.Array]:
        """Read the rows of one shape; tell which are left."""
        step = -(-len(rows) // _SAMPLES)
        shape = learn(text[::step].to_pylist(), names)
        if shape is None:
            return None, rows
        columns, proven = self._parser.parse(text, shape)
        if proven.true_count == 0:
            return None, rows
        if proven.true_count < len(rows):
            columns = [column.filter(proven) for column in columns]
            rows = rows.filter(proven)
        return ShapeBlock(rows, shape, columns, names, lines), pc.invert(proven)


def _read_each(rows: pa.Array, text: pa.Array, names: Names, refusals: Refusals) -> Block:
    """Read rows one by one."""
    exact = ExactRows(names)
    for row, line in zip(rows.to_pylist(), text.to_pylist(), strict=True):
        if not refusals.is_full(row):
            try:
                exact.add(row, parse_line(line))
            except LineError as error:
                refusals.add(row, str(error))
    return exact.block()
