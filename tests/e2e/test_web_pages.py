"""While no token is needed, programs of this machine are served, but not web pages."""

import httpx
import pytest
from tests.testing.gate.running_gate import RunningGate

EVIL = "https://evil.example"
TABLE = "/v1/admin/databases/default/tables"


def port_of(gate: RunningGate) -> str:
    return gate.http_addr.rpartition(":")[2]


def create_table(gate: RunningGate, table: str, **headers: str) -> httpx.Response:
    """Send what a form or a script of a page can send without asking first."""
    return httpx.post(
        f"{gate.url}{TABLE}/{table}",
        content='{"columns":[{"name":"a","type":"string"}]}',
        headers={"Content-Type": "text/plain", **headers},
        timeout=60,
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": "http://localhost:3000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_a_page_of_another_origin_writes_nothing(
    gate: RunningGate, headers: dict[str, str]
) -> None:
    for answer in (
        create_table(gate, "of_a_page", **headers),
        gate.ingest("of_a_page", '{"a":1}', {"Content-Type": "text/plain", **headers}),
        gate.ingest("of_a_page", '{"a":1}', headers),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied")
    assert not gate.catalog().table_exists(("default", "of_a_page"))


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "localhost.evil"]
)
def test_a_name_that_is_pointed_at_this_machine_reads_and_writes_nothing(
    gate: RunningGate, host: str
) -> None:
    rebound = {"Host": f"{host}:{port_of(gate)}", "Origin": f"http://{host}:{port_of(gate)}"}
    for headers in (rebound, {"Host": host}, {"Host": host, "lakegate-host": "localhost"}):
        listed = httpx.get(f"{gate.url}{TABLE}", headers=headers)
        for answer in (listed, create_table(gate, "rebound", **headers)):
            assert (answer.status_code, answer.json()["error"]["code"]) == (
                403,
                "permission_denied",
            )
    assert not gate.catalog().table_exists(("default", "rebound"))


@pytest.mark.parametrize("host", ["localhost", "LocalHost.", "127.0.0.1", "127.1.2.3", "[::1]"])
def test_a_program_of_this_machine_is_served_under_any_loopback_name(
    gate: RunningGate, host: str
) -> None:
    for headers in ({"Host": host}, {"Host": f"{host}:{port_of(gate)}"}):
        assert httpx.get(f"{gate.url}{TABLE}", headers=headers).status_code == 200


def test_a_page_of_the_same_origin_is_served(gate: RunningGate) -> None:
    headers = {"Origin": gate.url, "Sec-Fetch-Site": "same-origin"}
    assert httpx.get(f"{gate.url}{TABLE}", headers=headers).status_code == 200


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
def test_what_curl_sends_by_itself_is_served(gate: RunningGate, content_type: str) -> None:
    headers = {"Content-Type": content_type, "User-Agent": "curl/8.5.0", "Accept": "*/*"}
    answer = create_table(gate, "by_curl", **headers)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("host", ["lake.example", "10.0.0.1"])
def test_a_caller_with_a_token_is_served_under_any_name_and_from_any_page(
    gate: RunningGate, host: str
) -> None:
    headers = {"Host": host, "Origin": EVIL, "Authorization": f"Bearer {gate.token}"}
    assert httpx.get(f"{gate.url}{TABLE}", headers=headers).status_code == 200
    assert gate.ingest("with_a_token", '{"a":1}', headers).status_code == 200
