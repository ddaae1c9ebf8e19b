"""Requests made from the published OpenAPI document, right ones and wrong ones."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.core.result import Ok
from tests.testing.fuzzing import SECONDS
from tests.testing.gate.running_gate import RunningGate

DOCUMENT = json.loads((Path(__file__).parents[2] / "envoy" / "openapi.json").read_text())
OPERATIONS = {
    result.ok().label: result.ok()
    for result in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()
    if isinstance(result, Ok)
}
EXAMPLES = 100 if not SECONDS else round(SECONDS * 10)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def test_the_document_is_published(gate: RunningGate) -> None:
    answer = httpx.get(f"{gate.url}/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == DOCUMENT
    assert httpx.post(f"{gate.url}/openapi.json").status_code == 405


@pytest.mark.parametrize(
    ("label", "mode"),
    [
        (label, mode)
        for label in OPERATIONS
        for mode in GenerationMode
        if (label, mode) != ("GET /health", GenerationMode.NEGATIVE)  # nothing to do wrong
    ],
)
def test_answers_are_as_the_document_says(
    gate: RunningGate, label: str, mode: GenerationMode
) -> None:
    headers = {"X-Ryft-Token": gate.token or ""} if "queries" in label else {}

    @given(case=OPERATIONS[label].as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=not SECONDS,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def send(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(base_url=gate.url, headers=headers, checks=CHECKS, timeout=60)

    send()


def test_the_document_names_the_headers_of_requests_and_answers() -> None:
    asked = {
        (path, each["name"])
        for path, operations in DOCUMENT["paths"].items()
        for operation in operations.values()
        for each in operation["parameters"]
        if each["in"] == "header"
    }
    assert {(path, "X-Request-ID") for path in DOCUMENT["paths"]} <= asked
    for path in ("/v1/ingest", "/ingest/push/queries"):
        for name in ("Idempotency-Key", "X-Idempotency-Key", "Content-Encoding"):
            assert (path, name) in asked
    answers = DOCUMENT["paths"]["/v1/ingest"]["post"]["responses"]
    assert all("X-Request-ID" in answer["headers"] for answer in answers.values())
    assert "WWW-Authenticate" in answers["401"]["headers"]
    assert "Allow" in answers["405"]["headers"]
    assert "Retry-After" in answers["429"]["headers"]
    assert "431" in answers
