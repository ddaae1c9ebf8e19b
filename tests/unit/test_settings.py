"""The settings that are made of others."""

from pathlib import Path

import pytest
from sqlalchemy import make_url

from lakegate.settings import Settings


@pytest.mark.parametrize("name", ["home", "a b", "a%20b", "ä"])
def test_the_embedded_ledger_lies_in_the_home_whatever_its_name(tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    assert make_url(Settings(home=home).ledger_database).database == str(home / "ledger.db")


def test_a_ledger_that_is_given_is_taken_as_it_is() -> None:
    url = "postgresql+psycopg://user:secret@host/db"
    assert Settings(ledger_url=url).ledger_database == url
