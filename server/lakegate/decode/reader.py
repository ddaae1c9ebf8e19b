"""Lines to blocks of rows: many at once where they share a shape, else one by one."""

import pyarrow as pa
import pyarrow.compute as pc

from lakegate.decode.blocks import Block, ExactBlock
from lakegate.decode.exact import LineError, parse_line
from lakegate.decode.lines import Lines
from lakegate.decode.names import Names
from lakegate.decode.parser import Parser
from lakegate.decode.refusals import Refusals
from lakegate.decode.shape_block import ShapeBlock
from lakegate.decode.shapes import learn

_FEW_ROWS = 200  # read one by one in less time than a call of the parser takes
_SAMPLES = 16  # lines that a shape is learnt from
_MAX_SHAPES = 4


class Reader:
    """Reads the rows of a group, by whatever way is fastest and right."""

    def __init__(self, few_rows: int = _FEW_ROWS) -> None:
        """Read rows one by one where they are fewer than `few_rows`."""
        self._parser = Parser()
        self._few_rows = few_rows

    def read(self, lines: Lines, names: Names, refusals: Refusals) -> list[Block]:
        """Read all lines but those that are refused."""
        blocks: list[Block] = []
        rows = pa.arange(0, len(lines))
        for _ in range(_MAX_SHAPES):
            if len(rows) < self._few_rows:
                break
            block, rest = self._read_shape(rows, lines, names)
            if block is None:
                break
            blocks.append(block)
            rows = rest
        if len(rows):
            blocks.append(_read_each(rows, lines, names, refusals))
        return blocks

    def _read_shape(
        self, rows: pa.Array, lines: Lines, names: Names
    ) -> tuple[Block | None, pa.Array]:
        """Read the rows of one shape; give the rest too."""
        text = lines.text if len(rows) == len(lines) else lines.text.take(rows)
        step = -(-len(rows) // _SAMPLES)
        shape = learn([text[i].as_py() for i in range(0, len(rows), step)], names)
        if shape is None:
            return None, rows
        columns, proven = self._parser.parse(text, shape)
        if proven.true_count == 0:
            return None, rows
        if proven.true_count < len(rows):
            columns = [column.filter(proven) for column in columns]
            rest = rows.filter(pc.invert(proven))
            rows = rows.filter(proven)
        else:
            rest = rows.slice(0, 0)
        return ShapeBlock(rows, shape, columns, names, lines), rest


def _read_each(rows: pa.Array, lines: Lines, names: Names, refusals: Refusals) -> ExactBlock:
    block = ExactBlock(names)
    texts = lines.text.take(rows).to_pylist()
    for row, line in zip(rows.to_pylist(), texts, strict=True):
        if not refusals.is_full(row):
            try:
                block.add(row, parse_line(line))
            except LineError as error:
                refusals.add(row, str(error))
    return block
