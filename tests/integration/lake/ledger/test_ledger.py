"""Claims, leases and settlements, on SQLite and PostgreSQL."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from tests.testing.ledger_entries import (
    DONE,
    LEASE_SECONDS,
    OTHER,
    TABLE,
    age,
    claims,
    key,
    place,
)
from tests.testing.passing_clock import passing_clock

from lakegate.database.engine import now_ms, open_engine
from lakegate.lake.ledger.claiming import Claim, ClaimConflictError
from lakegate.lake.ledger.entries import Claimant, CommitResult
from lakegate.lake.ledger.ledger import Ledger


def test_a_claim_is_pending_until_it_is_settled_and_then_has_its_acknowledgement(
    ledger: Ledger,
) -> None:
    ledger.claim(TABLE, "c", claims(key("k")))
    pending = ledger.look_up(TABLE, ["key/k"])["key/k"]
    assert pending.replay is None
    assert pending.claimants == (Claimant("c", 3),)
    assert 0 < pending.lease_left_ms <= LEASE_SECONDS * 1000
    ledger.settle(TABLE, "c", DONE)
    applied = ledger.look_up(TABLE, ["key/k", "key/unknown"])
    assert list(applied) == ["key/k"]
    assert applied["key/k"].replay == DONE.acknowledgement(3, replayed=True)


def test_an_entry_is_claimed_once_and_a_group_as_a_whole(ledger: Ledger) -> None:
    ledger.claim(TABLE, "c", claims(key("b")))
    with pytest.raises(ClaimConflictError):
        ledger.claim(TABLE, "d", claims(key("a"), key("b"), key("c")))
    assert list(ledger.look_up(TABLE, ["key/a", "key/b", "key/c"])) == ["key/b"]
    ledger.claim(OTHER, "d", claims(key("b")))


def test_of_many_claims_at_once_one_wins(ledger: Ledger, url: str) -> None:
    ledger.look_up(TABLE, [])
    servers = [Ledger(url, LEASE_SECONDS) for _ in range(4)]
    barrier = threading.Barrier(len(servers))

    def claim(number: int) -> bool:
        names = [key(f"{n:02d}") for n in range(50)]
        barrier.wait()
        try:
            servers[number].claim(TABLE, str(number), claims(*names[:: (-1) ** number]))
        except ClaimConflictError:
            return False
        return True

    with ThreadPoolExecutor(len(servers)) as threads:
        won = list(threads.map(claim, range(len(servers))))
    for server in servers:
        server.close()
    assert won.count(True) == 1


def test_a_claim_can_be_displaced_only_after_its_lease_and_only_by_one(
    ledger: Ledger, hasty: Ledger
) -> None:
    def displacing(rows: int) -> list[Claim]:
        return [Claim(key("k"), rows, displaces=ledger.look_up(TABLE, ["key/k"])["key/k"])]

    hasty.claim(TABLE, "first", claims(key("k")))
    rivals = [displacing(5), displacing(5)]
    ledger.claim(TABLE, "second", rivals[0])
    with pytest.raises(ClaimConflictError):
        ledger.claim(TABLE, "third", rivals[1])
    with pytest.raises(ClaimConflictError):
        ledger.claim(TABLE, "third", displacing(5))
    record = ledger.look_up(TABLE, ["key/k"])["key/k"]
    assert record.claimants == (Claimant("first", 3), Claimant("second", 5))


def test_every_claimant_is_kept_until_the_entry_is_settled(hasty: Ledger) -> None:
    hasty.claim(TABLE, "0", claims(key("k")))
    for number in range(1, 4):
        record = hasty.look_up(TABLE, ["key/k"])["key/k"]
        hasty.claim(TABLE, str(number), [Claim(key("k"), number, displaces=record)])
    record = hasty.look_up(TABLE, ["key/k"])["key/k"]
    assert [attempt.commit_id for attempt in record.claimants] == ["0", "1", "2", "3"]
    assert hasty.pending_commits(TABLE) == {"0", "1", "2", "3"}


def test_a_displaced_claimant_cannot_renew(ledger: Ledger, hasty: Ledger) -> None:
    hasty.claim(TABLE, "slow", claims(key("k"), key("l")))
    record = ledger.look_up(TABLE, ["key/k"])["key/k"]
    assert hasty.renew(TABLE, "slow") == 2
    ledger.claim(TABLE, "taker", [Claim(key("k"), 3, displaces=record)])
    assert hasty.renew(TABLE, "slow") == 1


def test_a_claim_whose_lease_was_ended_can_be_displaced_at_once(ledger: Ledger) -> None:
    ledger.claim(TABLE, "c", claims(key("k")))
    ledger.end_leases(TABLE, "c")
    record = ledger.look_up(TABLE, ["key/k"])["key/k"]
    assert record.lease_left_ms <= 0
    ledger.claim(TABLE, "d", [Claim(key("k"), 3, displaces=record)])


def test_settling_leaves_displaced_claims_pending(ledger: Ledger, hasty: Ledger) -> None:
    hasty.claim(TABLE, "slow", claims(key("k"), key("l")))
    record = ledger.look_up(TABLE, ["key/k"])["key/k"]
    ledger.claim(TABLE, "taker", [Claim(key("k"), 7, displaces=record)])
    hasty.settle(TABLE, "slow", DONE)
    records = ledger.look_up(TABLE, ["key/k", "key/l"])
    assert records["key/k"].replay is None
    assert records["key/l"].replay is not None


def test_a_commit_that_is_found_is_settled_with_its_own_rows(ledger: Ledger, hasty: Ledger) -> None:
    hasty.claim(TABLE, "slow", claims(key("k")))
    record = ledger.look_up(TABLE, ["key/k"])["key/k"]
    ledger.claim(TABLE, "taker", [Claim(key("k"), 7, displaces=record)])
    record = ledger.look_up(TABLE, ["key/k"])["key/k"]
    ledger.settle_found(TABLE, [(record, record.claimants[0], DONE)])
    ledger.settle(TABLE, "taker", CommitResult("43", 1, 1))
    replay = ledger.look_up(TABLE, ["key/k"])["key/k"].replay
    assert replay == DONE.acknowledgement(3, replayed=True)


def test_pending_commits_include_displaced_ones_until_they_are_settled(
    ledger: Ledger, hasty: Ledger
) -> None:
    hasty.claim(TABLE, "slow", claims(key("k"), key("l")))
    hasty.claim(OTHER, "elsewhere", claims(key("k")))
    record = ledger.look_up(TABLE, ["key/k"])["key/k"]
    ledger.claim(TABLE, "taker", [Claim(key("k"), 7, displaces=record)])
    assert ledger.pending_commits(TABLE) == {"slow", "taker"}
    ledger.settle(TABLE, "taker", DONE)
    assert ledger.pending_commits(TABLE) == {"slow"}
    ledger.settle(TABLE, "slow", DONE)
    assert ledger.pending_commits(TABLE) == set()


def test_the_next_offset_of_a_stream_follows_its_last_applied_batch(ledger: Ledger) -> None:
    ledger.claim(TABLE, "c", claims(place(0), place(1), place(0, "t")))
    assert ledger.next_offsets(TABLE, ["s", "t", "u"]) == {"s": 0, "t": 0, "u": 0}
    assert {r.entry.name for r in ledger.pending_of_stream(TABLE, "s")} == {
        "stream/0/s",
        "stream/1/s",
    }
    ledger.settle(TABLE, "c", DONE)
    assert ledger.next_offsets(TABLE, ["s", "t", "u"]) == {"s": 2, "t": 1, "u": 0}
    assert ledger.next_offsets(OTHER, ["s"]) == {"s": 0}
    assert ledger.pending_of_stream(TABLE, "s") == []


@pytest.mark.parametrize("offsets", [[1], [0, 2], [0, 1, 3, 4]])
def test_a_gap_is_not_claimed(ledger: Ledger, offsets: list[int]) -> None:
    with pytest.raises(ClaimConflictError):
        ledger.claim(TABLE, "c", claims(*map(place, offsets), key("k")))
    assert ledger.look_up(TABLE, ["key/k", "stream/0/s"]) == {}


def test_the_clock_is_in_milliseconds_since_the_epoch(url: str) -> None:
    engine = open_engine(url)
    with engine.connect() as connection:
        before = time.time_ns() // 1_000_000
        now = connection.execute(sa.select(now_ms())).scalar_one()
        after = time.time_ns() // 1_000_000
    engine.dispose()
    assert before - 1 <= now <= after + 1  # the database rounds


def test_a_key_of_any_characters_is_stored_unchanged(ledger: Ledger) -> None:
    names = ["", "'; DROP TABLE x --", "%s ? :a {}", "\N{SNOWMAN}\U0001f600", "a" * 255, "A", "a "]
    ledger.claim(TABLE, "c", claims(*map(key, names)))
    assert len(ledger.look_up(TABLE, [f"key/{name}" for name in names])) == len(names)


def test_more_names_than_one_statement_takes_are_looked_up(ledger: Ledger) -> None:
    entries = [key(str(number)) for number in range(2500)]
    ledger.claim(TABLE, "c", claims(*entries))
    assert len(ledger.look_up(TABLE, [entry.name for entry in entries])) == len(entries)


def test_a_lease_from_before_the_clock_was_set_back_is_over(url: str, ledger: Ledger) -> None:
    with passing_clock() as clock:
        clock.pass_(3600)
        ledger.claim(TABLE, "dead", claims(key("k")))
    if not url.startswith("sqlite"):  # its clock is its own
        age(url, hours=-1)
    record = ledger.look_up(TABLE, ["key/k"])["key/k"]
    assert record.lease_left_ms <= 0
    ledger.claim(TABLE, "next", [Claim(key("k"), 5, displaces=record)])
    assert ledger.renew(TABLE, "next") == 1
