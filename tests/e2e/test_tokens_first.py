"""Without a token that is known nothing is said about a body: 401 comes before 400, 413 and 415."""

import gzip
import json
from collections.abc import Iterator

import pytest
from tests.testing.gate.raw_http import Answer, send
from tests.testing.gate.running_gate import RunningGate, running_gate

from lakegate.auth.tokens import new_secret

INGEST, QUERIES = "/v1/ingest", "/ingest/push/queries"
TABLE = "/v1/admin/databases/default/tables/guarded"
TOO_LARGE = 64 * 1024 * 1024 + 1
TOKEN, UNKNOWN = new_secret(), new_secret()

# Each is refused for its body where the token is right: the status, the headers, the body.
BODIES = {
    "too long": (413, f"Content-Length: {TOO_LARGE}\r\n", b""),
    "unknown encoding": (415, "Content-Encoding: br\r\nContent-Length: 1\r\n", b"x"),
    "unknown format": (415, "Content-Type: text/xml\r\nContent-Length: 2\r\n", b"{}"),
    "no JSON": (400, "Content-Length: 2\r\n", b"{,"),
    "wrong type": (400, "Content-Length: 2\r\n", b"17"),
    "unknown field": (400, "Content-Length: 6\r\n", b'{"":1}'),
    "broken gzip": (400, "Content-Encoding: gzip\r\nContent-Length: 2\r\n", b"{}"),
    "chunks": (400, "Transfer-Encoding: chunked\r\n", b"2\r\n{,\r\n0\r\n\r\n"),
    "gzip": (400, "Content-Encoding: gzip\r\nContent-Length: 22\r\n", gzip.compress(b"{,")),
}
# Media types do not matter where JSON is expected, and any field can be a column.
CASES = [
    (path, name)
    for path in (INGEST, QUERIES, TABLE)
    for name in BODIES
    if not (name == "unknown format" and path != INGEST)
    and not (name == "unknown field" and path != TABLE)
]


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    home = tmp_path_factory.mktemp("tokens_first") / "home"
    settings = {"LAKEGATE_TOKENS": f"{TOKEN} default ingest,provision,read"}
    with running_gate(home, settings) as running:
        yield running


def post(gate: RunningGate, path: str, name: str, token: str) -> Answer:
    _, headers, body = BODIES[name]
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nX-Table: guarded\r\n{authorization}{headers}\r\n"
    return send(gate.http_addr, head.encode(), body)


@pytest.mark.parametrize("token", ["", UNKNOWN], ids=["no token", "unknown token"])
@pytest.mark.parametrize(("path", "name"), CASES)
def test_a_token_is_asked_for_before_a_body_is_judged(
    gate: RunningGate, path: str, name: str, token: str
) -> None:
    answer = post(gate, path, name, token)
    assert (answer.status, answer.code) == (401, "unauthenticated"), answer
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("path", "name"), CASES)
def test_with_the_right_token_the_same_body_is_judged(
    gate: RunningGate, path: str, name: str
) -> None:
    answer = post(gate, path, name, TOKEN)
    assert answer.status == BODIES[name][0], answer
    assert answer.code != "unauthenticated"


def test_a_contradiction_is_named_to_known_callers_only(gate: RunningGate) -> None:
    body = json.dumps({}).encode()
    head = (
        b"POST /v1/ingest HTTP/1.1\r\nHost: a\r\nX-Table: a\r\nX-Table: b\r\nContent-Length: 2\r\n"
    )
    token = f"Authorization: Bearer {TOKEN}\r\n".encode()
    assert send(gate.http_addr, head + b"\r\n", body).status == 401
    assert send(gate.http_addr, head + token + b"\r\n", body).status == 400
