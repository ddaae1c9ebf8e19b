"""A sender that leaves while its batch is written: the rows are committed, and that is logged."""

import asyncio
import logging
from collections.abc import Sequence

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from tests.testing.lines import ORDERS, LinesDecoder, batch

from lakegate.lake.lake import Lake
from lakegate.model import Acknowledgement, Body, DecodedGroup


class HangsUp(LinesDecoder):
    """Cancels the sender of a batch while decoding it."""

    loop: asyncio.AbstractEventLoop
    sender: "asyncio.Future[Acknowledgement]"

    def decode(self, bodies: Sequence[Body], schema: pa.Schema) -> DecodedGroup:
        asyncio.run_coroutine_threadsafe(self._hang_up(), self.loop).result()
        return super().decode(bodies, schema)

    async def _hang_up(self) -> None:
        self.sender.cancel()
        await asyncio.gather(self.sender, return_exceptions=True)


async def test_the_rows_are_committed_and_the_log_has_a_line(
    lake: Lake, catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    decoder = HangsUp()
    decoder.loop = asyncio.get_running_loop()
    caplog.set_level(logging.INFO, "lakegate.lake")
    decoder.sender = asyncio.ensure_future(lake.append(batch(decoder, {"label": "a"})))
    await asyncio.gather(decoder.sender, return_exceptions=True)
    await lake.close()
    assert catalog.load_table((ORDERS.database, ORDERS.table)).scan().to_arrow().num_rows == 1
    assert "but their sender is gone" in caplog.text
