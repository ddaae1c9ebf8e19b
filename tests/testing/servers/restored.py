"""Servers on a restored backup, and what must be in their tables."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.testing.servers.server import Server
from tests.testing.servers.traffic import Answers, Batch, Sender, assert_promise_kept

from lakegate.lake.catalog.open import open_catalog

SETTINGS = {"snapshots_kept": 3, "snapshots_kept_seconds": 0, "ledger_lease_seconds": 0.1}


@contextmanager
def running(home: Path, settings: Mapping[str, object] = SETTINGS) -> Iterator[Server]:
    """Run a server until the end of the block, also when it fails."""
    server = Server(home, settings)
    server.start()
    try:
        yield server
        server.terminate()
    finally:
        server.kill()


async def check_restored(
    home: Path,
    before: Sequence[Batch],
    answers: Answers,
    settings: Mapping[str, object] = SETTINGS,
) -> None:
    """Send every acknowledged keyed batch again, and compare the rows with the promise.

    `before`: the batches that were acknowledged before the backup.
    """
    retried = Answers()
    keyed = [batch for batch in answers.acknowledged if is_keyed(batch)]
    with running(home, settings) as server:
        async with Sender([server], retried) as sender:
            await asyncio.gather(*map(sender.send_until_acknowledged, keyed))
    sure = {*before, *keyed}
    others = [batch for batch in answers.acknowledged if batch not in sure]
    with open_catalog(str(settings.get("catalog", "lakegate")), home) as catalog:
        assert_promise_kept(catalog, Answers(list(sure), [*others, *answers.unknown]))


def is_keyed(batch: Batch) -> bool:
    """Whether `send_all` sends the batch with a key: the label begins with its sender's number."""
    return int(batch.label.partition("-")[0]) % 2 == 1
