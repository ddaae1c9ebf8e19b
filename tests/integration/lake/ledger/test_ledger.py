"""The ledger on SQLite and on PostgreSQL: claims, leases, settlements, sweeps, migrations."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from tests.testing.passing_clock import passing_clock
from tests.testing.postgres import new_database, running_postgres

from lakegate.database.engine import now_ms, open_engine
from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.failures import LedgerUnavailableError
from lakegate.lake.ledger import schema
from lakegate.lake.ledger.claiming import Claim, ClaimConflictError
from lakegate.lake.ledger.entries import Claimant, CommitResult, Entry, TableIdentity, stream_entry
from lakegate.lake.ledger.ledger import Ledger
from lakegate.model import StreamPosition

TABLE = TableIdentity("default", "0b9f8a52-5b0e-4f0a-9d4b-0d1f7c1f3c11")
OTHER = TableIdentity("default", "7c3d0f34-1a8e-4f53-8d6e-93a8c5a7b0aa")
DONE = CommitResult("42", extent_count=2, bytes_written=5183)
LEASE_SECONDS = 60.0
HOUR_MS = 3_600_000
_databases = count()


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with running_postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    server: str = request.getfixturevalue("postgres")
    return new_database(server, f"ledger_{next(_databases)}")


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    ledger = Ledger(url, LEASE_SECONDS)
    yield ledger
    ledger.close()


@pytest.fixture
def hasty(url: str) -> Iterator[Ledger]:
    """The same ledger, for a server whose leases are over at once."""
    ledger = Ledger(url, 0)
    yield ledger
    ledger.close()


def key(name: str) -> Entry:
    return Entry(f"key/{name}")


def place(offset: int, stream_id: str = "s") -> Entry:
    return stream_entry(StreamPosition(stream_id, offset))


def claims(*entries: Entry) -> list[Claim]:
    return [Claim(entry, rows=3) for entry in entries]


def age(url: str, hours: float) -> None:
    """Let everything in the ledger have happened earlier."""
    engine = open_engine(url)
    with engine.begin() as connection:
        columns = ("claimed_ms", "lease_until_ms")
        shift = ", ".join(f"{c} = {c} - {round(hours * HOUR_MS)}" for c in columns)
        connection.execute(sa.text(f"UPDATE lakegate_ledger SET {shift}"))  # noqa: S608 - our words
    engine.dispose()


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


def test_every_attempt_is_kept_until_the_entry_is_settled(hasty: Ledger) -> None:
    hasty.claim(TABLE, "0", claims(key("k")))
    for number in range(1, 4):
        record = hasty.look_up(TABLE, ["key/k"])["key/k"]
        hasty.claim(TABLE, str(number), [Claim(key("k"), number, displaces=record)])
    record = hasty.look_up(TABLE, ["key/k"])["key/k"]
    assert [attempt.commit_id for attempt in record.claimants] == ["0", "1", "2", "3"]
    assert hasty.pending_commits(TABLE) == {"0", "1", "2", "3"}


def test_a_displaced_claimant_learns_it_when_it_renews(ledger: Ledger, hasty: Ledger) -> None:
    hasty.claim(TABLE, "slow", claims(key("k"), key("l")))
    record = ledger.look_up(TABLE, ["key/k"])["key/k"]
    assert hasty.renew(TABLE, "slow") == 2
    ledger.claim(TABLE, "taker", [Claim(key("k"), 3, displaces=record)])
    assert hasty.renew(TABLE, "slow") == 1


def test_an_abandoned_claim_may_be_displaced_at_once(ledger: Ledger) -> None:
    ledger.claim(TABLE, "c", claims(key("k")))
    ledger.end_leases(TABLE, "c")
    record = ledger.look_up(TABLE, ["key/k"])["key/k"]
    assert record.lease_left_ms <= 0
    ledger.claim(TABLE, "d", [Claim(key("k"), 3, displaces=record)])


def test_settling_leaves_what_others_have_taken_over(ledger: Ledger, hasty: Ledger) -> None:
    hasty.claim(TABLE, "slow", claims(key("k"), key("l")))
    record = ledger.look_up(TABLE, ["key/k"])["key/k"]
    ledger.claim(TABLE, "taker", [Claim(key("k"), 7, displaces=record)])
    hasty.settle(TABLE, "slow", DONE)
    records = ledger.look_up(TABLE, ["key/k", "key/l"])
    assert records["key/k"].replay is None
    assert records["key/l"].replay is not None


def test_what_is_found_is_settled_as_the_attempt_that_came_through(
    ledger: Ledger, hasty: Ledger
) -> None:
    hasty.claim(TABLE, "slow", claims(key("k")))
    record = ledger.look_up(TABLE, ["key/k"])["key/k"]
    ledger.claim(TABLE, "taker", [Claim(key("k"), 7, displaces=record)])
    record = ledger.look_up(TABLE, ["key/k"])["key/k"]
    ledger.settle_found(TABLE, [(record, record.claimants[0], DONE)])
    ledger.settle(TABLE, "taker", CommitResult("43", 1, 1))
    replay = ledger.look_up(TABLE, ["key/k"])["key/k"].replay
    assert replay == DONE.acknowledgement(3, replayed=True)


def test_every_commit_that_may_be_looked_for_is_named_until_it_is_settled(
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


def test_a_stream_goes_on_after_its_last_applied_batch(ledger: Ledger) -> None:
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


def test_the_sweep_forgets_what_is_old_a_few_at_a_time(ledger: Ledger, url: str) -> None:
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


def test_the_sweep_spares_the_last_batch_of_a_stream_until_the_stream_is_old(
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


def test_servers_that_start_together_make_one_schema(url: str) -> None:
    servers = [Ledger(url, LEASE_SECONDS) for _ in range(8)]
    barrier = threading.Barrier(len(servers))

    def first_use(server: Ledger) -> None:
        barrier.wait()
        server.claim(TABLE, "c", claims(key(str(id(server)))))

    with ThreadPoolExecutor(len(servers)) as threads:
        list(threads.map(first_use, servers))
    engine = open_engine(url)
    with engine.connect() as connection:
        assert connection.execute(schema.VERSION.select()).scalars().all() == [
            len(schema.MIGRATIONS)
        ]
    engine.dispose()
    for server in servers:
        server.close()


def test_the_schema_that_is_made_is_the_one_that_is_used(url: str, ledger: Ledger) -> None:
    ledger.look_up(TABLE, [])
    engine = open_engine(url)
    made = sa.inspect(engine).get_columns(schema.ENTRIES.name)
    engine.dispose()
    assert {(c["name"], c["nullable"]) for c in made} == {
        (c.name, c.nullable) for c in schema.ENTRIES.columns
    }


def test_an_older_ledger_is_migrated_with_what_is_in_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Ledger(url, LEASE_SECONDS)
    old.claim(TABLE, "c", claims(key("k")))
    old.close()
    addition = "ALTER TABLE lakegate_ledger ADD COLUMN note TEXT"
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, (addition,)))
    new = Ledger(url, LEASE_SECONDS)
    assert list(new.look_up(TABLE, ["key/k"])) == ["key/k"]
    new.close()
    engine = open_engine(url)
    columns = {column["name"] for column in sa.inspect(engine).get_columns(schema.ENTRIES.name)}
    engine.dispose()
    assert "note" in columns


def test_a_ledger_of_a_newer_version_is_not_touched(url: str, ledger: Ledger) -> None:
    ledger.look_up(TABLE, [])
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(schema.VERSION.update().values(version=99))
    engine.dispose()
    late = Ledger(url, LEASE_SECONDS)
    with pytest.raises(LedgerUnavailableError, match="version 99"):
        late.claim(TABLE, "c", claims(key("k")))
    late.close()


def test_a_silent_database_is_not_asked_again_at_once(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has kept everybody waiting; for as long as that, nobody waits for it."""
    ledger.look_up(TABLE, [])
    clock = [100.0]
    asked = []

    def silent(*_args: object) -> None:
        asked.append(clock[0])
        clock[0] += 5
        raise sa.exc.OperationalError("SELECT", {}, TimeoutError("no answer"))

    monkeypatch.setattr("lakegate.clock.monotonic", lambda: clock[0])
    with monkeypatch.context() as patch:
        patch.setattr(ledger._engine, "connect", silent)
        for clock[0] in (100.0, 106.0, 109.0):
            with pytest.raises(LedgerUnavailableError):
                ledger.look_up(TABLE, ["key/k"])
    assert asked == [100.0]
    clock[0] = 111.0
    assert ledger.look_up(TABLE, ["key/k"]) == {}


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:secret@h/d",
        "postgresql+asyncpg://u:secret@h/d",
        "postgresql://u:secret@h:port/d",
        "sqlite://",
        "secret",
        "",
    ],
)
def test_a_url_that_can_hold_no_ledger_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(LakegateError, match="LAKEGATE_LEDGER_URL") as refusal:
        Ledger(url)
    assert refusal.value.code is ErrorCode.INVALID_ARGUMENT
    assert "secret" not in str(refusal.value)


def test_the_clock_is_in_milliseconds_since_the_epoch(url: str) -> None:
    engine = open_engine(url)
    with engine.connect() as connection:
        before = time.time_ns() // 1_000_000
        now = connection.execute(sa.select(now_ms())).scalar_one()
        after = time.time_ns() // 1_000_000
    engine.dispose()
    assert before - 1 <= now <= after + 1  # the database rounds


def test_a_key_of_any_characters_is_stored_as_it_is(ledger: Ledger) -> None:
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


def test_a_server_that_is_frozen_in_a_transaction_holds_up_no_other(
    postgres: str,
) -> None:
    url = new_database(postgres, f"ledger_{next(_databases)}")
    ledger, frozen = Ledger(url, LEASE_SECONDS), open_engine(url)
    ledger.look_up(TABLE, [])
    with frozen.connect() as connection, connection.begin() as transaction:
        connection.execute(sa.text("LOCK TABLE lakegate_ledger"))
        ledger.claim(TABLE, "c", claims(key("k")))
        with pytest.raises(DBAPIError):
            transaction.commit()
    assert ledger.renew(TABLE, "c") == 1
    frozen.dispose()
    ledger.close()


@pytest.mark.parametrize("replaced", [False, True], ids=["deleted", "replaced"])
def test_a_server_whose_ledger_file_is_gone_claims_no_more(
    tmp_path: Path, *, replaced: bool
) -> None:
    path = tmp_path / "ledger.db"
    ledger = Ledger(f"sqlite:///{path}", LEASE_SECONDS)
    ledger.claim(TABLE, "a", claims(key("a")))
    for file in tmp_path.glob("ledger.db*"):
        file.unlink()
    if replaced:
        other = Ledger(f"sqlite:///{path}", LEASE_SECONDS)
        other.claim(TABLE, "b", claims(key("b")))
        other.close()
    for _ in range(2):
        with pytest.raises(LedgerUnavailableError, match="restart the server"):
            ledger.claim(TABLE, "b", claims(key("b")))
    ledger.close()
