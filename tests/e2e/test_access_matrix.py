"""Every route and every RPC, called by everybody who should and by everybody who should not."""

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.api.httpbody_pb2 import HttpBody
from grpc_health.v1 import health_pb2 as grpc_health_pb2
from grpc_health.v1 import health_pb2_grpc as grpc_health_pb2_grpc
from tests.testing.gate.examples import SINGLE
from tests.testing.gate.running_gate import RunningGate, running_gate

from lakegate.auth.store import TokenStore
from lakegate.auth.tokens import Permission, new_secret
from lakegate.contract import SERVICES
from lakegate.rpc.interceptors.auth import RULES
from lakegate.v1 import (
    health_pb2_grpc,
    ingest_pb2,
    ingest_pb2_grpc,
    query_events_pb2_grpc,
    tables_pb2_grpc,
)
from lakegate.v1.health_pb2 import GetHealthRequest
from lakegate.v1.ingest_pb2 import GetStreamRequest, IngestRequest
from lakegate.v1.query_events_pb2 import PushQueriesRequest, QueryContext, QueryEvent
from lakegate.v1.tables_pb2 import (
    EnsureTableBodyRequest,
    EnsureTableRequest,
    GetTableRequest,
    ListTablesRequest,
)

# docs/operations.md has this very table.
MATRIX = """\
| call | permission | no token, open gate | no token | unknown token | revoked token | token of another database | permission missing | right token |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
| `POST /v1/ingest` | `ingest` | 200 | 401 | 401 | 401 | 403 | 403 | 200 |
| `POST /ingest/push/queries` | `ingest` | 401 | 401 | 401 | 401 | 200, in its own | 403 | 200 |
| the same, compressed | `ingest` | 401 | 401 | 401 | 401 | 200, in its own | 403 | 200 |
| `POST /v1/admin/databases/{database}/tables/{table}` | `provision` | 200 | 401 | 401 | 401 | 403 | 403 | 200 |
| `GET /v1/admin/databases/{database}/tables/{table}` | `read` | 200 | 401 | 401 | 401 | 403 | 403 | 200 |
| `GET /v1/admin/databases/{database}/tables` | `read` | 200 | 401 | 401 | 401 | 403 | 403 | 200 |
| `GET /v1/databases/{database}/tables/{table}/streams/s` | `ingest` | 200 | 401 | 401 | 401 | 403 | 403 | 200 |
| `GET /health` | none | 200 | 200 | 200 | 200 | 200 | 200 | 200 |
| `IngestService.Ingest` | `ingest` | OK | UNAUTHENTICATED | UNAUTHENTICATED | UNAUTHENTICATED | PERMISSION_DENIED | PERMISSION_DENIED | OK |
| `IngestService.IngestBody` | `ingest` | OK | UNAUTHENTICATED | UNAUTHENTICATED | UNAUTHENTICATED | PERMISSION_DENIED | PERMISSION_DENIED | OK |
| `IngestService.IngestStream` | `ingest` | OK | UNAUTHENTICATED | UNAUTHENTICATED | UNAUTHENTICATED | PERMISSION_DENIED | PERMISSION_DENIED | OK |
| `IngestService.GetStream` | `ingest` | OK | UNAUTHENTICATED | UNAUTHENTICATED | UNAUTHENTICATED | PERMISSION_DENIED | PERMISSION_DENIED | OK |
| `QueryEventService.PushQueriesBody` | `ingest` | UNAUTHENTICATED | UNAUTHENTICATED | UNAUTHENTICATED | UNAUTHENTICATED | OK, in its own | PERMISSION_DENIED | OK |
| `QueryEventService.PushQueries` | `ingest` | UNAUTHENTICATED | UNAUTHENTICATED | UNAUTHENTICATED | UNAUTHENTICATED | OK, in its own | PERMISSION_DENIED | OK |
| `QueryEventService.StreamQueries` | `ingest` | UNAUTHENTICATED | UNAUTHENTICATED | UNAUTHENTICATED | UNAUTHENTICATED | OK, in its own | PERMISSION_DENIED | OK |
| `TableService.EnsureTable` | `provision` | OK | UNAUTHENTICATED | UNAUTHENTICATED | UNAUTHENTICATED | PERMISSION_DENIED | PERMISSION_DENIED | OK |
| `TableService.EnsureTableBody` | `provision` | OK | UNAUTHENTICATED | UNAUTHENTICATED | UNAUTHENTICATED | PERMISSION_DENIED | PERMISSION_DENIED | OK |
| `TableService.GetTable` | `read` | OK | UNAUTHENTICATED | UNAUTHENTICATED | UNAUTHENTICATED | PERMISSION_DENIED | PERMISSION_DENIED | OK |
| `TableService.ListTables` | `read` | OK | UNAUTHENTICATED | UNAUTHENTICATED | UNAUTHENTICATED | PERMISSION_DENIED | PERMISSION_DENIED | OK |
| `HealthService.GetHealth`, `grpc.health.v1.Health` | none | OK | OK | OK | OK | OK | OK | OK |
"""  # noqa: E501 - a table
HEADER, _, *ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in MATRIX.splitlines()
]
SITUATIONS = HEADER[2:]
PAGE = Path(__file__).parents[2] / "docs/operations.md"

DATABASE, TABLE = "sales", "orders"
EVENT = QueryEvent(
    context=QueryContext(),
    query="SELECT 1",
    query_id="q",
    query_state=QueryEvent.FINISHED,
    timestamp="2026-03-10T12:00:00Z",
    duration_ms=1,
)


@dataclass(frozen=True)
class Locked:
    """A gate that needs tokens, and tokens of all kinds."""

    gate: RunningGate
    open_gate: RunningGate
    secrets: dict[str, str]


@pytest.fixture(scope="module")
def locked(gate: RunningGate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    home = tmp_path_factory.mktemp("locked") / "home"
    home.mkdir()
    store = TokenStore(f"sqlite:///{home / 'ledger.db'}")
    secrets = {"right": store.create(DATABASE, Permission)[0]}
    secrets["other"] = store.create("other", Permission)[0]
    for permission in Permission:
        others = set(Permission) - {permission}
        secrets[f"without {permission}"] = store.create(DATABASE, others)[0]
    secrets["revoked"], revoked = store.create(DATABASE, Permission)
    assert store.revoke(revoked.id)
    secrets["unknown"] = new_secret()
    store.close()
    with running_gate(home) as running:
        for each, secret in ((gate, None), (running, secrets["right"])):
            headers = {"Authorization": f"Bearer {secret}"} if secret else {}
            answer = each.ingest(TABLE, "{}", {"X-Database": DATABASE, **headers})
            assert answer.status_code == 200
        yield Locked(running, gate, secrets)


def secret_of(locked: Locked, situation: str, permission: str) -> str | None:
    match situation:
        case "no token, open gate" | "no token":
            return None
        case "unknown token":
            return locked.secrets["unknown"]
        case "revoked token":
            return locked.secrets["revoked"]
        case "token of another database":
            return locked.secrets["other"]
        case "permission missing":
            return locked.secrets["right" if permission == "none" else f"without {permission}"]
        case _:
            return locked.secrets["right"]


def rest(url: str, call: str, headers: dict[str, str]) -> str:
    if call == "the same, compressed":
        answer = httpx.post(
            f"{url}/ingest/push/queries",
            content=gzip.compress(json.dumps(SINGLE).encode()),
            headers={**headers, "Content-Encoding": "gzip", "Content-Type": "application/json"},
            timeout=60,
        )
        return str(answer.status_code)
    verb, path = call.split()
    if path == "/v1/ingest":
        headers = {**headers, "X-Database": DATABASE, "X-Table": TABLE}
    body: dict[str, Any] = {}
    if verb == "POST":
        body = {"json": SINGLE if "queries" in path else {}}
    url += path.format(database=DATABASE, table=TABLE)
    return str(httpx.request(verb, url, headers=headers, timeout=60, **body).status_code)


def ingest_body(channel: grpc.Channel, metadata: list[tuple[str, str]]) -> object:
    headers = [*metadata, ("x-database", DATABASE), ("x-table", TABLE)]
    return ingest_pb2_grpc.IngestServiceStub(channel).IngestBody(iter([]), metadata=headers)


def check_health(channel: grpc.Channel, metadata: list[tuple[str, str]]) -> object:
    stub: Any = grpc_health_pb2_grpc.HealthStub(channel)  # typed without its methods
    return stub.Check(grpc_health_pb2.HealthCheckRequest(), metadata=metadata)


def first_of(answers: Any) -> None:
    [answer] = answers
    if answer.WhichOneof("result") == "error":
        [name] = [code.name for code in grpc.StatusCode if code.value[0] == answer.error.code]
        raise RuntimeError(name)


ROWS_SENT = IngestRequest(database=DATABASE, table=TABLE, ndjson=b"{}")
EVENTS = PushQueriesRequest(queries=[EVENT])
RPCS: dict[str, Callable[[grpc.Channel, Any], object]] = {
    "IngestService.Ingest": lambda c, m: ingest_pb2_grpc.IngestServiceStub(c).Ingest(
        ROWS_SENT, metadata=m
    ),
    "IngestService.IngestBody": ingest_body,
    "IngestService.IngestStream": lambda c, m: first_of(
        ingest_pb2_grpc.IngestServiceStub(c).IngestStream(iter([ROWS_SENT]), metadata=m)
    ),
    "IngestService.GetStream": lambda c, m: ingest_pb2_grpc.IngestServiceStub(c).GetStream(
        GetStreamRequest(database=DATABASE, table=TABLE, stream_id="s"), metadata=m
    ),
    "QueryEventService.PushQueriesBody": lambda c, m: query_events_pb2_grpc.QueryEventServiceStub(
        c
    ).PushQueriesBody(iter([HttpBody(data=json.dumps(SINGLE).encode())]), metadata=m),
    "QueryEventService.PushQueries": lambda c, m: query_events_pb2_grpc.QueryEventServiceStub(
        c
    ).PushQueries(EVENTS, metadata=m),
    "QueryEventService.StreamQueries": lambda c, m: first_of(
        query_events_pb2_grpc.QueryEventServiceStub(c).StreamQueries(iter([EVENTS]), metadata=m)
    ),
    "TableService.EnsureTable": lambda c, m: tables_pb2_grpc.TableServiceStub(c).EnsureTable(
        EnsureTableRequest(database=DATABASE, table=TABLE), metadata=m
    ),
    "TableService.EnsureTableBody": lambda c, m: tables_pb2_grpc.TableServiceStub(
        c
    ).EnsureTableBody(iter([EnsureTableBodyRequest(database=DATABASE, table=TABLE)]), metadata=m),
    "TableService.GetTable": lambda c, m: tables_pb2_grpc.TableServiceStub(c).GetTable(
        GetTableRequest(database=DATABASE, table=TABLE), metadata=m
    ),
    "TableService.ListTables": lambda c, m: tables_pb2_grpc.TableServiceStub(c).ListTables(
        ListTablesRequest(database=DATABASE), metadata=m
    ),
    "HealthService.GetHealth": lambda c, m: health_pb2_grpc.HealthServiceStub(c).GetHealth(
        GetHealthRequest(), metadata=m
    ),
    "grpc.health.v1.Health": check_health,
}


def rpc(address: str, name: str, metadata: list[tuple[str, str]]) -> str:
    with grpc.insecure_channel(address) as channel:
        try:
            RPCS[name](channel, metadata)
        except grpc.RpcError as error:
            return str(error.code().name)
        except RuntimeError as error:
            return str(error)
    return "OK"


@pytest.mark.parametrize("how", ["authorization", "x-ryft-token"])
@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_who_may_do_what(locked: Locked, row: list[str], how: str) -> None:
    call, permission, *expected = [cell.replace("`", "") for cell in row]
    given: dict[str, list[str]] = {}
    for situation in SITUATIONS:
        gate = locked.open_gate if situation == "no token, open gate" else locked.gate
        secret = secret_of(locked, situation, permission)
        value = f"Bearer {secret}" if how == "authorization" else secret
        headers = {how: value} if secret and value else {}
        if "/" in call or "compressed" in call:
            given[situation] = [rest(gate.url, call, headers)]
        else:
            metadata = list(headers.items())
            given[situation] = [rpc(gate.http_addr, name, metadata) for name in call.split(", ")]
    wanted = [outcome.removesuffix(", in its own") for outcome in expected]
    assert given == {
        situation: [outcome] * len(given[situation])
        for situation, outcome in zip(SITUATIONS, wanted, strict=True)
    }


def test_every_rpc_has_its_row_and_its_rule() -> None:
    methods = {
        f"{service}.{method.name}"
        for full_name in SERVICES
        for service in [full_name.removeprefix("lakegate.v1.")]
        for method in ingest_pb2.DESCRIPTOR.pool.FindServiceByName(full_name).methods
    }
    rows = {name.replace("`", "") for row in ROWS for name in row[0].split(", ")}
    assert methods <= rows
    assert set(RULES) == {name.replace(".", "/") for name in methods}


def test_the_documentation_has_this_table() -> None:
    assert MATRIX in PAGE.read_text()


def test_nothing_of_a_refused_request_is_written(locked: Locked) -> None:
    headers = {"X-Database": DATABASE, "Authorization": f"Bearer {locked.secrets['other']}"}
    assert locked.gate.ingest("intruded", "{}", headers).status_code == 403
    assert locked.gate.ingest("intruded", "{}", {"X-Database": DATABASE}).status_code == 401
    assert not locked.gate.catalog().table_exists((DATABASE, "intruded"))


def test_query_events_land_in_the_database_of_their_token(locked: Locked) -> None:
    headers = {"X-Ryft-Token": locked.secrets["other"], "X-Database": DATABASE}
    event = SINGLE | {"queryId": "of the other"}
    assert locked.gate.push(event, headers).status_code == 200
    rows = locked.gate.rows("query_events", "other")
    assert "of the other" in [row["query_id"] for row in rows]


def test_two_different_tokens_are_none(locked: Locked) -> None:
    headers = {
        "X-Database": DATABASE,
        "Authorization": f"Bearer {locked.secrets['right']}",
        "X-Ryft-Token": locked.secrets["other"],
    }
    answer = locked.gate.ingest(TABLE, "{}", headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_a_wrong_token_is_refused_even_where_none_is_needed(gate: RunningGate) -> None:
    headers = {"Authorization": f"Bearer {new_secret()}"}
    assert gate.ingest("open", "{}", headers).status_code == 401
