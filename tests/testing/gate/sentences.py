"""Sentences of the contract's documents, each with the requests that show whether it is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from tests.testing.gate.running_gate import RunningGate


@dataclass(frozen=True)
class Rows:
    """A request with rows: `POST /v1/ingest`; `X-Table` is added unless it is given."""

    body: bytes | str
    headers: Mapping[str, str] = field(default_factory=dict)
    query: str = ""

    def send(self, gate: RunningGate, table: str) -> httpx.Response:
        headers = {"X-Table": table, **self.headers}
        headers = {name: value for name, value in headers.items() if value}
        return httpx.post(
            f"{gate.url}/v1/ingest{self.query}", content=self.body, headers=headers, timeout=60
        )


@dataclass(frozen=True)
class Events:
    """A request with query events: `POST /ingest/push/queries`, with the token of the gate."""

    body: Any
    token: str | None = None

    def send(self, gate: RunningGate, table: str) -> httpx.Response:
        del table
        token = gate.token if self.token is None else self.token
        headers = {"X-Ryft-Token": token} if token else {}
        return httpx.post(
            f"{gate.url}/ingest/push/queries", json=self.body, headers=headers, timeout=60
        )


@dataclass(frozen=True)
class Sentence:
    """A sentence, the requests that it is about, and what must be seen after the last one.

    `answer`: members of the answer's JSON; of its `error` where it is refused. `rows`: what
    DuckDB then reads of the table, in any order, of the columns that are named. `unlike`: how
    the project differs on purpose.
    """

    text: str
    requests: Sequence[Rows | Events]
    status: int = 200
    answer: Mapping[str, Any] = field(default_factory=dict)
    rows: Sequence[Mapping[str, Any]] | None = None
    snapshots: int | None = None
    database: str = "default"
    unlike: str = ""


def check(gate: RunningGate, sentence: Sentence, table: str) -> None:
    """Send the requests of a sentence, and compare what must be seen."""
    answer = [request.send(gate, table) for request in sentence.requests][-1]
    assert answer.status_code == sentence.status, answer.text
    said = answer.json() if answer.status_code == 200 else answer.json()["error"]
    assert sentence.answer.items() <= said.items(), said
    if sentence.rows is not None:
        columns = {name for row in sentence.rows for name in row}
        seen = [
            {name: row[name] for name in columns} for row in gate.rows(table, sentence.database)
        ]
        for row in sentence.rows:
            assert row in seen
            seen.remove(dict(row))
        assert seen == []
    if sentence.snapshots is not None:
        assert gate.snapshots(table, sentence.database) == sentence.snapshots
