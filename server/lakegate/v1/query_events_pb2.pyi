from google.api import annotations_pb2 as _annotations_pb2
from google.api import httpbody_pb2 as _httpbody_pb2
from google.rpc import status_pb2 as _status_pb2
from lakegate.v1 import acknowledgement_pb2 as _acknowledgement_pb2
from lakegate.v1 import permission_pb2 as _permission_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PushQueriesRequest(_message.Message):
    __slots__ = ("queries",)
    QUERIES_FIELD_NUMBER: _ClassVar[int]
    queries: _containers.RepeatedCompositeFieldContainer[QueryEvent]
    def __init__(self, queries: _Optional[_Iterable[_Union[QueryEvent, _Mapping]]] = ...) -> None: ...

class StreamQueriesResponse(_message.Message):
    __slots__ = ("acknowledgement", "error")
    ACKNOWLEDGEMENT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    acknowledgement: _acknowledgement_pb2.Acknowledgement
    error: _status_pb2.Status
    def __init__(self, acknowledgement: _Optional[_Union[_acknowledgement_pb2.Acknowledgement, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class QueryEvent(_message.Message):
    __slots__ = ("context", "query", "query_id", "query_state", "timestamp", "duration_ms", "tags", "failure_info")
    class QueryState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        QUERY_STATE_UNSPECIFIED: _ClassVar[QueryEvent.QueryState]
        FINISHED: _ClassVar[QueryEvent.QueryState]
        SUCCEEDED: _ClassVar[QueryEvent.QueryState]
        FAILED: _ClassVar[QueryEvent.QueryState]
    QUERY_STATE_UNSPECIFIED: QueryEvent.QueryState
    FINISHED: QueryEvent.QueryState
    SUCCEEDED: QueryEvent.QueryState
    FAILED: QueryEvent.QueryState
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    QUERY_ID_FIELD_NUMBER: _ClassVar[int]
    QUERY_STATE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_INFO_FIELD_NUMBER: _ClassVar[int]
    context: QueryContext
    query: str
    query_id: str
    query_state: QueryEvent.QueryState
    timestamp: str
    duration_ms: float
    tags: _containers.RepeatedScalarFieldContainer[str]
    failure_info: _containers.RepeatedCompositeFieldContainer[FailureInfo]
    def __init__(self, context: _Optional[_Union[QueryContext, _Mapping]] = ..., query: _Optional[str] = ..., query_id: _Optional[str] = ..., query_state: _Optional[_Union[QueryEvent.QueryState, str]] = ..., timestamp: _Optional[str] = ..., duration_ms: _Optional[float] = ..., tags: _Optional[_Iterable[str]] = ..., failure_info: _Optional[_Iterable[_Union[FailureInfo, _Mapping]]] = ...) -> None: ...

class QueryContext(_message.Message):
    __slots__ = ("catalog", "schema", "query_type", "server_version", "user", "user_agent")
    class QueryType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        QUERY_TYPE_UNSPECIFIED: _ClassVar[QueryContext.QueryType]
        SELECT: _ClassVar[QueryContext.QueryType]
        EXPLAIN: _ClassVar[QueryContext.QueryType]
        DESCRIBE: _ClassVar[QueryContext.QueryType]
        INSERT: _ClassVar[QueryContext.QueryType]
        UPDATE: _ClassVar[QueryContext.QueryType]
        DELETE: _ClassVar[QueryContext.QueryType]
        ANALYZE: _ClassVar[QueryContext.QueryType]
        DATA_DEFINITION: _ClassVar[QueryContext.QueryType]
        ALTER_TABLE_EXECUTE: _ClassVar[QueryContext.QueryType]
        MERGE: _ClassVar[QueryContext.QueryType]
    QUERY_TYPE_UNSPECIFIED: QueryContext.QueryType
    SELECT: QueryContext.QueryType
    EXPLAIN: QueryContext.QueryType
    DESCRIBE: QueryContext.QueryType
    INSERT: QueryContext.QueryType
    UPDATE: QueryContext.QueryType
    DELETE: QueryContext.QueryType
    ANALYZE: QueryContext.QueryType
    DATA_DEFINITION: QueryContext.QueryType
    ALTER_TABLE_EXECUTE: QueryContext.QueryType
    MERGE: QueryContext.QueryType
    CATALOG_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    QUERY_TYPE_FIELD_NUMBER: _ClassVar[int]
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    USER_AGENT_FIELD_NUMBER: _ClassVar[int]
    catalog: str
    schema: str
    query_type: QueryContext.QueryType
    server_version: str
    user: str
    user_agent: str
    def __init__(self, catalog: _Optional[str] = ..., schema: _Optional[str] = ..., query_type: _Optional[_Union[QueryContext.QueryType, str]] = ..., server_version: _Optional[str] = ..., user: _Optional[str] = ..., user_agent: _Optional[str] = ...) -> None: ...

class FailureInfo(_message.Message):
    __slots__ = ("error_code", "failure_message", "failure_type")
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_TYPE_FIELD_NUMBER: _ClassVar[int]
    error_code: ErrorCode
    failure_message: str
    failure_type: str
    def __init__(self, error_code: _Optional[_Union[ErrorCode, _Mapping]] = ..., failure_message: _Optional[str] = ..., failure_type: _Optional[str] = ...) -> None: ...

class ErrorCode(_message.Message):
    __slots__ = ("type", "code", "name")
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        TYPE_UNSPECIFIED: _ClassVar[ErrorCode.Type]
        USER_ERROR: _ClassVar[ErrorCode.Type]
        INTERNAL_ERROR: _ClassVar[ErrorCode.Type]
        INSUFFICIENT_RESOURCES: _ClassVar[ErrorCode.Type]
        EXTERNAL: _ClassVar[ErrorCode.Type]
    TYPE_UNSPECIFIED: ErrorCode.Type
    USER_ERROR: ErrorCode.Type
    INTERNAL_ERROR: ErrorCode.Type
    INSUFFICIENT_RESOURCES: ErrorCode.Type
    EXTERNAL: ErrorCode.Type
    TYPE_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    type: ErrorCode.Type
    code: float
    name: str
    def __init__(self, type: _Optional[_Union[ErrorCode.Type, str]] = ..., code: _Optional[float] = ..., name: _Optional[str] = ...) -> None: ...
