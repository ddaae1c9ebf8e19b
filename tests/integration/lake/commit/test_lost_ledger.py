"""A ledger on a server that does not answer costs only the batches that need it."""

import asyncio
from typing import Any

import pytest
from pyiceberg.catalog import Catalog
from tests.testing.keyed import keyed
from tests.testing.lines import ORDERS, LinesDecoder, batch
from tests.testing.reading import labels

from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.lake import Lake
from lakegate.settings import Settings


async def refusal(answer: Any) -> LakegateError:
    with pytest.raises(LakegateError) as caught:
        await answer
    return caught.value


async def test_without_the_ledger_keyed_batches_are_refused_and_the_others_go_on(
    settings: Settings, catalog: Catalog, decoder: LinesDecoder
) -> None:
    gone = settings.model_copy(
        update={
            "ledger_url": "postgresql+psycopg://nobody@127.0.0.1:1/none",
            "snapshots_kept": 1,
            "snapshots_kept_seconds": 0,
        }
    )
    lake = Lake(open_catalog(settings.catalog, settings.home), gone)
    refused, accepted = await asyncio.gather(
        refusal(lake.append(keyed(decoder, "k", {"label": "a"}))),
        lake.append(batch(decoder, {"label": "b"})),
    )
    await lake.append(batch(decoder, {"label": "c"}))
    await lake.append(batch(decoder, {"label": "d"}))
    offset = await refusal(lake.next_offset(ORDERS, "s"))
    await lake.close()
    assert refused.code is offset.code is ErrorCode.UNAVAILABLE
    assert refused.message.startswith("The ledger cannot be reached")
    assert accepted.rows_ingested == 1
    assert labels(catalog) == ["b", "c", "d"]
