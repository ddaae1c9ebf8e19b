"""Entries and claims for tests of the ledger."""

import sqlalchemy as sa

from lakegate.database.engine import open_engine
from lakegate.lake.ledger.claiming import Claim
from lakegate.lake.ledger.entries import CommitResult, Entry, TableIdentity, stream_entry
from lakegate.model import StreamPosition

TABLE = TableIdentity("default", "0b9f8a52-5b0e-4f0a-9d4b-0d1f7c1f3c11")
OTHER = TableIdentity("default", "7c3d0f34-1a8e-4f53-8d6e-93a8c5a7b0aa")
DONE = CommitResult("42", extent_count=2, bytes_written=5183)
LEASE_SECONDS = 60.0
HOUR_MS = 3_600_000


def key(name: str) -> Entry:
    return Entry(f"key/{name}")


def place(offset: int, stream_id: str = "s") -> Entry:
    return stream_entry(StreamPosition(stream_id, offset))


def claims(*entries: Entry) -> list[Claim]:
    return [Claim(entry, rows=3) for entry in entries]


def age(url: str, hours: float) -> None:
    """Set all times in the ledger back."""
    engine = open_engine(url)
    with engine.begin() as connection:
        columns = ("claimed_ms", "lease_until_ms")
        shift = ", ".join(f"{c} = {c} - {round(hours * HOUR_MS)}" for c in columns)
        connection.execute(sa.text(f"UPDATE lakegate_ledger SET {shift}"))  # noqa: S608 - our words
    engine.dispose()
