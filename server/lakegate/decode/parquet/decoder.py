"""Parquet files to Arrow."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from lakegate.decode.limits import MAX_WRITTEN_BYTES, check_cells
from lakegate.decode.parquet.claims import claims
from lakegate.decode.parquet.footer import Footer, read_footer
from lakegate.decode.tabular.decoder import TabularDecoder
from lakegate.decode.tabular.source import ArrowSource
from lakegate.errors import ErrorCode, LakegateError
from lakegate.model import Body, MemoryEstimate

_NOT_A_FILE = (pa.ArrowException, OSError, ValueError, KeyError, IndexError, OverflowError)


class ParquetDecoder(TabularDecoder):
    """Decodes bodies that are Apache Parquet files."""

    media_types = ("application/vnd.apache.parquet", "application/x-parquet")
    field = "parquet"

    def open(self, data: bytes) -> ArrowSource:
        """Read a file whose pages take no more than a body may."""
        try:
            footer = read_footer(data)
            self._check(data, footer)
            # Texts stay in the dictionaries that they came in: expanded, they may take any size.
            paths = [leaf.path for leaf in footer.leaves]
            table = pq.ParquetFile(pa.BufferReader(data), read_dictionary=paths).read()
            table.validate(full=True)
        except _NOT_A_FILE as error:
            raise LakegateError(
                ErrorCode.BAD_REQUEST_BODY, f"The body is not a Parquet file: {error}"
            ) from None
        return ArrowSource(table, self._max_body_bytes)

    def estimate(self, bodies: Sequence[Body], columns: int) -> MemoryEstimate:
        """Return what footers and pages claim; a body that has none is refused soon."""
        size = cells = 0
        for body in bodies:
            size += len(body.data)
            try:
                footer = read_footer(body.data)
                size += sum(claim.size for claim in claims(body.data, footer))
                names = footer.rows * sum(len(leaf.path) for leaf in footer.leaves)
                size += min(names, MAX_WRITTEN_BYTES)
                cells += footer.rows * max(columns, len(footer.leaves))
            except _NOT_A_FILE:
                continue
        return MemoryEstimate(size, cells)

    def _check(self, data: bytes, footer: Footer) -> None:
        size = values = 0
        for claim in claims(data, footer):
            size += claim.size
            values += claim.values
            check_cells(values, 1)
            if size > self._max_body_bytes:
                raise LakegateError(
                    ErrorCode.BODY_TOO_LARGE,
                    f"The body takes more than {self._max_body_bytes} bytes uncompressed",
                )
        check_cells(footer.rows, len(footer.leaves))
