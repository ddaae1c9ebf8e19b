"""Without the ledger, keyed batches are refused and unkeyed ones are committed."""

import asyncio
from dataclasses import replace

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitStateUnknownException
from tests.testing.commits import AroundCommit, Commit, refusal
from tests.testing.keyed import keyed
from tests.testing.lines import LinesDecoder, batch
from tests.testing.reading import labels

from lakegate.errors import ErrorCode
from lakegate.lake.failures import LedgerUnavailableError
from lakegate.lake.lake import Lake
from lakegate.lake.ledger.ledger import Ledger


async def test_a_ledger_that_fails_at_the_claim_refuses_only_keyed_batches(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))
    monkeypatch.setattr(Ledger, "claim", unavailable)
    refused, accepted = await asyncio.gather(
        refusal(lake.append(keyed(decoder, "k", {"label": "b"}))),
        lake.append(batch(decoder, {"label": "c"})),
    )
    assert refused.code is ErrorCode.UNAVAILABLE
    assert not accepted.replayed
    assert labels(catalog) == ["a", "c"]
    monkeypatch.undo()
    assert not (await lake.append(keyed(decoder, "k", {"label": "b"}))).replayed


async def test_a_batch_in_doubt_has_an_unknown_outcome_when_the_ledger_fails(
    warm_lake: Lake,
    decoder: LinesDecoder,
    around_commit: AroundCommit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lose_the_answer(_: Commit) -> None:
        monkeypatch.setattr(Ledger, "renew", unavailable)
        raise CommitStateUnknownException("the connection broke")

    around_commit(lose_the_answer)
    keyed = replace(batch(decoder, {"label": "b"}), idempotency_key="k")
    unkeyed = batch(decoder, {"label": "c"})
    answers = [asyncio.ensure_future(warm_lake.append(each)) for each in (keyed, unkeyed)]
    codes = [(await refusal(each)).code for each in answers]
    assert codes == [ErrorCode.OUTCOME_UNKNOWN] * 2


def unavailable(*_: object) -> None:
    raise LedgerUnavailableError("it does not answer")
