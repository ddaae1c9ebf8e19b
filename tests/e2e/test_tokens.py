"""Tokens as operators handle them: made, listed and revoked beside a running gate."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from tests.testing.gate.running_gate import RunningGate, lakegate, running_gate

from lakegate.auth.tokens import PREFIX, new_secret
from lakegate.lake.catalog.open import open_catalog
from lakegate.v1.ingest_pb2 import IngestRequest
from lakegate.v1.ingest_pb2_grpc import IngestServiceStub


def made(home: Path, *arguments: str) -> str:
    ended = lakegate(home, "token", "create", *arguments)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def own_gate(home: Path) -> Iterator[RunningGate]:
    with running_gate(home, {"LAKEGATE_TOKEN_CACHE_SECONDS": "0"}) as gate:
        yield gate


def test_a_token_opens_at_once_what_it_is_for_until_it_is_revoked(own_gate: RunningGate) -> None:
    assert own_gate.ingest("orders", "{}").status_code == 200
    secret = made(own_gate.home, "--description", "the shop")
    assert re.fullmatch(r"lakegate_[0-9A-Za-z]{43}", secret)
    assert own_gate.ingest("orders", "{}", bearer(secret)).status_code == 200
    assert own_gate.ingest("orders", "{}").status_code == 401  # the gate is locked now

    listed = lakegate(own_gate.home, "token", "list").stdout
    [line] = [line for line in listed.splitlines() if "the shop" in line]
    assert secret not in listed
    token_id, database, permissions, *_ = line.split()
    assert (database, permissions) == ("default", "ingest")

    assert lakegate(own_gate.home, "token", "revoke", token_id).returncode == 0
    refused = own_gate.ingest("orders", "{}", bearer(secret))
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "unauthenticated")
    assert own_gate.ingest("orders", "{}").status_code == 401  # and stays locked
    assert len(own_gate.rows("orders")) == 2


def test_a_stream_ends_to_be_served_when_its_token_is_revoked(own_gate: RunningGate) -> None:
    secret = made(own_gate.home)
    [line] = lakegate(own_gate.home, "token", "list").stdout.splitlines()[1:]
    token_id = line.split()[0]

    revoked = threading.Event()

    def batches() -> Iterator[IngestRequest]:
        yield IngestRequest(table="streamed", ndjson=b'{"n":1}')
        revoked.wait(60)
        yield IngestRequest(table="streamed", ndjson=b'{"n":2}')

    with grpc.insecure_channel(own_gate.http_addr) as channel:
        metadata = (("authorization", f"Bearer {secret}"),)
        answers = IngestServiceStub(channel).IngestStream(batches(), metadata=metadata)
        assert next(answers).acknowledgement.rows_ingested == 1
        lakegate(own_gate.home, "token", "revoke", token_id)
        revoked.set()
        assert next(answers).error.code == grpc.StatusCode.UNAUTHENTICATED.value[0]
    assert [row["n"] for row in own_gate.rows("streamed")] == ["1"]


def test_the_first_token_says_that_calls_need_one_from_now_on(home: Path) -> None:
    first, second = (lakegate(home, "token", "create") for _ in range(2))
    [_, line] = first.stderr.splitlines()
    assert line == (
        "This is the first token: from now on every call needs one, add "
        "-H 'Authorization: Bearer SECRET'. Calls without a token and the development token are "
        "refused, even if this one is revoked."
    )
    assert len(first.stdout.splitlines()) == 1
    assert len(second.stderr.splitlines()) == 1


def test_a_token_that_is_not_there_cannot_be_revoked(home: Path) -> None:
    made(home)
    ended = lakegate(home, "token", "revoke", "nobody")
    assert (ended.returncode, ended.stderr) == (1, "Error: there is no token nobody\n")


def test_a_database_that_is_no_name_gets_no_token(home: Path) -> None:
    assert lakegate(home, "token", "create", "--database", "no name").returncode == 2


@pytest.mark.parametrize(
    "address", [{"LAKEGATE_HTTP_ADDR": "0.0.0.0:0"}, {"LAKEGATE_GRPC_ADDR": "[::]:0"}]
)
def test_without_a_token_only_this_machine_is_let_in(home: Path, address: dict[str, str]) -> None:
    free = {
        "LAKEGATE_HTTP_ADDR": "127.0.0.1:0",
        "LAKEGATE_GRPC_ADDR": "127.0.0.1:0",
    }
    ended = lakegate(home, "up", settings=free | address)
    assert ended.returncode == 1
    assert "make one with `lakegate token create`" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (home / "dev-token").exists()


def test_a_gate_for_others_takes_tokens_from_the_environment_and_from_a_file(home: Path) -> None:
    given, written = new_secret(), new_secret()
    home.mkdir()
    (home / "tokens").write_text(f"# of the shop\n\n{written} sales ingest,read\n")
    settings = {
        "LAKEGATE_HTTP_ADDR": "0.0.0.0:0",
        "LAKEGATE_TOKENS": f"{given} default ingest",
        "LAKEGATE_TOKENS_FILE": str(home / "tokens"),
    }
    with running_gate(home, settings) as gate:
        assert gate.ingest("orders", "{}").status_code == 401
        assert gate.ingest("orders", "{}", bearer(given)).status_code == 200
        of_sales = {"X-Database": "sales"}
        assert gate.ingest("orders", "{}", of_sales | bearer(given)).status_code == 403
        assert gate.ingest("orders", "{}", of_sales | bearer(written)).status_code == 200


def test_a_token_that_is_too_short_stops_the_start_and_is_not_repeated(home: Path) -> None:
    ended = lakegate(home, "serve", settings={"LAKEGATE_TOKENS": "hunter2 default ingest"})
    assert ended.returncode == 1
    assert "line 1 of LAKEGATE_TOKENS" in ended.stderr
    assert "hunter2" not in ended.stderr


def test_tokens_can_be_required_on_loopback_too(home: Path) -> None:
    with running_gate(home, {"LAKEGATE_REQUIRE_TOKEN": "true"}) as gate:
        assert gate.ingest("orders", "{}").status_code == 401
        assert gate.ingest("orders", "{}", bearer(made(home))).status_code == 200


def test_where_tokens_are_required_there_is_no_development_token(home: Path) -> None:
    with running_gate(home) as gate:
        development = gate.token
        assert gate.ingest("orders", "{}", bearer(development)).status_code == 200
    for settings in (
        {"LAKEGATE_REQUIRE_TOKEN": "true"},
        {"LAKEGATE_TOKENS": f"{new_secret()} default ingest"},
    ):
        with running_gate(home, settings) as gate:
            assert gate.ingest("orders", "{}", bearer(development)).status_code == 401
            assert not gate.token.startswith(PREFIX)
        with running_gate(home.with_name("new"), settings):
            assert not (home.with_name("new") / "dev-token").exists()


def test_the_development_token_ends_with_the_first_token_given_out(own_gate: RunningGate) -> None:
    assert own_gate.ingest("orders", "{}", bearer(own_gate.token)).status_code == 200
    secret = made(own_gate.home)
    assert own_gate.ingest("orders", "{}", bearer(secret)).status_code == 200
    assert own_gate.ingest("orders", "{}", bearer(own_gate.token)).status_code == 401


def test_a_home_that_is_made_is_for_its_owner_alone(home: Path) -> None:
    made(home)
    open_catalog("lakegate", home.with_name("other")).close()
    assert {each.stat().st_mode & 0o777 for each in (home, home.with_name("other"))} == {0o700}


def test_a_home_that_others_may_enter_is_left_so_with_a_warning(home: Path) -> None:
    home.mkdir(mode=0o755)
    with running_gate(home):
        assert f"other users of this machine may enter {home}" in (home / "log").read_text()
    assert home.stat().st_mode & 0o777 == 0o755


def test_a_file_of_tokens_locks_the_gate_whatever_is_in_it(home: Path) -> None:
    written = new_secret()
    home.mkdir()
    file = home / "tokens"
    file.write_text(f"{written} default ingest")
    settings = {"LAKEGATE_TOKENS_FILE": str(file), "LAKEGATE_TOKEN_CACHE_SECONDS": "0"}
    with running_gate(home, settings) as gate:
        assert gate.ingest("orders", "{}", bearer(written)).status_code == 200
        file.write_text("")
        assert gate.ingest("orders", "{}", bearer(written)).status_code == 401
        assert gate.ingest("orders", "{}").status_code == 401


def test_a_token_is_made_as_the_readme_says(home: Path) -> None:
    words = ("--database", "sales", "--permission", "ingest", "--permission", "read")
    made(home, *words, "--description", "the shop")
    [line] = lakegate(home, "token", "list").stdout.splitlines()[1:]
    assert line.split()[1:3] == ["sales", "ingest,read"]


def test_a_description_is_one_line_of_text(home: Path) -> None:
    refused = lakegate(home, "token", "create", "--description", "a\x1b[2J\nb")
    assert refused.returncode == 2
    assert "one line of text" in refused.stderr
