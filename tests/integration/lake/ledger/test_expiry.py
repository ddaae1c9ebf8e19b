"""Expired entries are deleted, on SQLite and PostgreSQL."""

from tests.testing.ledger_entries import (
    DONE,
    HOUR_MS,
    TABLE,
    age,
    claims,
    key,
    place,
)

from lakegate.lake.ledger.ledger import Ledger


def test_expired_entries_are_deleted_a_few_at_a_time(ledger: Ledger, url: str) -> None:
    ledger.claim(TABLE, "c", claims(*(key(str(n)) for n in range(5))))
    ledger.settle(TABLE, "c", DONE)
    ledger.claim(TABLE, "pending", claims(key("pending")))
    age(url, hours=23)
    ledger.claim(TABLE, "d", claims(key("young")))
    assert ledger.delete_expired(24 * HOUR_MS, 720 * HOUR_MS, limit=4) == 0
    age(url, hours=2)
    assert [ledger.delete_expired(24 * HOUR_MS, 720 * HOUR_MS, limit=4) for _ in range(3)] == [
        4,
        2,
        0,
    ]
    assert list(ledger.look_up(TABLE, [f"key/{n}" for n in (*range(5), "pending", "young")])) == [
        "key/young"
    ]


def test_the_last_entry_of_a_stream_is_kept_until_the_stream_expires(
    ledger: Ledger, url: str
) -> None:
    ledger.claim(TABLE, "c", claims(*map(place, range(5))))
    ledger.settle(TABLE, "c", DONE)
    ledger.claim(TABLE, "d", claims(place(5)))  # never applied
    age(url, hours=48)
    ledger.delete_expired(24 * HOUR_MS, 720 * HOUR_MS, limit=100)
    assert ledger.next_offsets(TABLE, ["s"]) == {"s": 5}
    assert ledger.look_up(TABLE, ["stream/3/s"]) == {}
    age(url, hours=720)
    ledger.delete_expired(24 * HOUR_MS, 720 * HOUR_MS, limit=100)
    assert ledger.next_offsets(TABLE, ["s"]) == {"s": 0}
