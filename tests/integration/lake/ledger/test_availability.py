"""A ledger that does not answer, hangs, or is gone."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from tests.testing.ledger_entries import (
    LEASE_SECONDS,
    TABLE,
    claims,
    key,
)

from lakegate.database.engine import open_engine
from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.failures import LedgerUnavailableError
from lakegate.lake.ledger.ledger import Ledger


def test_a_database_that_does_not_answer_is_not_tried_again_at_once(
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
def test_a_url_of_an_unsupported_database_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(LakegateError, match="LAKEGATE_LEDGER_URL") as refusal:
        Ledger(url)
    assert refusal.value.code is ErrorCode.INVALID_ARGUMENT
    assert "secret" not in str(refusal.value)


def test_a_server_that_is_suspended_in_a_transaction_does_not_block_others(
    postgres_url: str,
) -> None:
    ledger, frozen = Ledger(postgres_url, LEASE_SECONDS), open_engine(postgres_url)
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
def test_a_server_whose_ledger_file_was_removed_makes_no_claims(
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
