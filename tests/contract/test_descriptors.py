"""The contract says where each HTTP route lands, and names JSON as the documents do."""

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor

from lakegate.v1 import (
    acknowledgement_pb2,
    health_pb2,
    ingest_pb2,
    query_events_pb2,
    tables_pb2,
)

FILES = (ingest_pb2, query_events_pb2, tables_pb2, health_pb2)
METHODS: dict[str, MethodDescriptor] = {
    f"{service.name}.{method.name}": method
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


def http_rule(method: MethodDescriptor) -> tuple[str, str, str] | None:
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern")
    return (verb, getattr(rule, verb), rule.body) if verb else None


def test_every_route_lands_on_its_rpc() -> None:
    routes = {name: rule for name, method in METHODS.items() if (rule := http_rule(method))}
    table = "/v1/admin/databases/{database}/tables/{table}"
    assert routes == {
        "IngestService.IngestBody": ("post", "/v1/ingest", "*"),
        "IngestService.GetStream": (
            "get",
            "/v1/databases/{database}/tables/{table}/streams/{stream_id}",
            "",
        ),
        "QueryEventService.PushQueriesBody": ("post", "/ingest/push/queries", "*"),
        "TableService.EnsureTableBody": ("post", table, "definition"),
        "TableService.GetTable": ("get", table, ""),
        "TableService.ListTables": ("get", "/v1/admin/databases/{database}/tables", ""),
        "HealthService.GetHealth": ("get", "/health", ""),
    }


@pytest.mark.parametrize("name", ["IngestService.Ingest", "IngestService.IngestBody"])
def test_the_acknowledgement_is_one_message(name: str) -> None:
    assert METHODS[name].output_type == acknowledgement_pb2.Acknowledgement.DESCRIPTOR


def test_the_acknowledgement_has_the_keys_and_types_of_the_document() -> None:
    fields = {
        field.name: field.type for field in acknowledgement_pb2.Acknowledgement.DESCRIPTOR.fields
    }
    assert fields == {
        "snapshot_id": FieldDescriptor.TYPE_STRING,
        "extent_count": FieldDescriptor.TYPE_UINT32,
        "rows_ingested": FieldDescriptor.TYPE_UINT32,
        "bytes_written": FieldDescriptor.TYPE_UINT32,
        "replayed": FieldDescriptor.TYPE_BOOL,
    }


def test_query_events_have_the_names_of_the_document() -> None:
    names = {
        message.name: [field.json_name for field in message.fields]
        for message in query_events_pb2.DESCRIPTOR.message_types_by_name.values()
    }
    assert names["QueryEvent"] == [
        "context",
        "query",
        "queryId",
        "queryState",
        "timestamp",
        "duration_ms",
        "tags",
        "failureInfo",
    ]
    assert names["QueryContext"] == [
        "catalog",
        "schema",
        "queryType",
        "serverVersion",
        "user",
        "userAgent",
    ]
    assert names["FailureInfo"] == ["errorCode", "failureMessage", "failureType"]
    assert names["ErrorCode"] == ["type", "code", "name"]


def test_enumerations_are_the_bare_words_of_the_document() -> None:
    def words(enum: str) -> list[str]:
        message, _, name = enum.rpartition(".")
        descriptor = query_events_pb2.DESCRIPTOR.message_types_by_name[message]
        return [value.name for value in descriptor.enum_types_by_name[name].values[1:]]

    assert words("QueryEvent.QueryState") == ["FINISHED", "SUCCEEDED", "FAILED"]
    assert words("QueryContext.QueryType") == [
        "SELECT",
        "EXPLAIN",
        "DESCRIBE",
        "INSERT",
        "UPDATE",
        "DELETE",
        "ANALYZE",
        "DATA_DEFINITION",
        "ALTER_TABLE_EXECUTE",
        "MERGE",
    ]
    assert words("ErrorCode.Type") == [
        "USER_ERROR",
        "INTERNAL_ERROR",
        "INSUFFICIENT_RESOURCES",
        "EXTERNAL",
    ]
