"""Derived settings, and the validation of addresses and levels."""

from pathlib import Path

import pytest
from sqlalchemy import make_url

from lakegate.errors import LakegateError
from lakegate.settings import Settings, read_settings


@pytest.mark.parametrize("name", ["home", "a b", "a%20b", "ä"])
def test_the_embedded_ledger_is_in_the_home_with_any_name(tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    assert make_url(Settings(home=home).ledger_database).database == str(home / "ledger.db")


def test_the_url_of_a_ledger_is_used_verbatim() -> None:
    url = "postgresql+psycopg://user:secret@host/db"
    assert Settings(ledger_url=url).ledger_database == url


@pytest.mark.parametrize(
    ("given", "taken"),
    [("localhost:0", "127.0.0.1:0"), ("0.0.0.0:65535", "0.0.0.0:65535"), ("[::1]:1", "[::1]:1")],
)
def test_an_address_is_an_ip_address_and_a_port(given: str, taken: str) -> None:
    assert Settings(http_addr=given).http_addr == taken


@pytest.mark.parametrize("given", ["127.0.0.1:99999", "127.0.0.1", ":80", "a.example:80", "::1"])
def test_an_invalid_address_is_refused_with_the_name_of_its_variable(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEGATE_HTTP_ADDR", given)
    with pytest.raises(LakegateError, match="LAKEGATE_HTTP_ADDR: "):
        read_settings()


@pytest.mark.parametrize("given", ["8080", ":8080"])
def test_a_port_without_a_host_is_answered_with_an_example(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEGATE_HTTP_ADDR", given)
    with pytest.raises(LakegateError) as refused:
        read_settings()
    assert (
        refused.value.message
        == f"LAKEGATE_HTTP_ADDR: '{given}' is not host:port, as 127.0.0.1:8080 is"
    )


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "LAKEGATE_HTTP_ADRR",
            "LAKEGATE_HTTP_ADRR is not a setting: did you mean LAKEGATE_HTTP_ADDR?",
        ),
        (
            "LAKEGATE_COLOUR_OF_MOON",
            "LAKEGATE_COLOUR_OF_MOON is not a setting: docs/operations.md lists them all",
        ),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest_name(
    name: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "a secret, perhaps")
    with pytest.raises(LakegateError) as refused:
        read_settings()
    assert refused.value.message == line


@pytest.mark.parametrize(
    "name",
    [
        "LAKEGATE_SERVICE_HOST",
        "LAKEGATE_SERVICE_PORT_HTTP",
        "LAKEGATE_PORT",
        "LAKEGATE_PORT_8080_TCP_ADDR",
        "LAKEGATE_CATALOG_SERVICE_HOST",
        "LAKEGATE_TEST_ROUNDS",
        "LAKEGATE_SIMULATION_SECONDS",
    ],
)
def test_variables_of_kubernetes_and_of_tests_are_no_settings(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "tcp://10.0.0.1:8080")
    read_settings()


def test_the_log_level_is_case_insensitive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEGATE_LOG_LEVEL", "warning")
    assert read_settings().log_level == "WARNING"
    monkeypatch.setenv("LAKEGATE_LOG_LEVEL", "loud")
    with pytest.raises(LakegateError, match="LAKEGATE_LOG_LEVEL: "):
        read_settings()
