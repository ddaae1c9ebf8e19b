from google.api import annotations_pb2 as _annotations_pb2
from google.api import httpbody_pb2 as _httpbody_pb2
from google.rpc import status_pb2 as _status_pb2
from lakegate.v1 import acknowledgement_pb2 as _acknowledgement_pb2
from lakegate.v1 import permission_pb2 as _permission_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IngestRequest(_message.Message):
    __slots__ = ("database", "table", "ndjson", "arrow_ipc", "parquet", "csv", "idempotency_key", "auto_create", "schema_evolve", "stream_id", "offset")
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    NDJSON_FIELD_NUMBER: _ClassVar[int]
    ARROW_IPC_FIELD_NUMBER: _ClassVar[int]
    PARQUET_FIELD_NUMBER: _ClassVar[int]
    CSV_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    AUTO_CREATE_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_EVOLVE_FIELD_NUMBER: _ClassVar[int]
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    database: str
    table: str
    ndjson: bytes
    arrow_ipc: bytes
    parquet: bytes
    csv: bytes
    idempotency_key: str
    auto_create: bool
    schema_evolve: bool
    stream_id: str
    offset: int
    def __init__(self, database: _Optional[str] = ..., table: _Optional[str] = ..., ndjson: _Optional[bytes] = ..., arrow_ipc: _Optional[bytes] = ..., parquet: _Optional[bytes] = ..., csv: _Optional[bytes] = ..., idempotency_key: _Optional[str] = ..., auto_create: _Optional[bool] = ..., schema_evolve: _Optional[bool] = ..., stream_id: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class GetStreamRequest(_message.Message):
    __slots__ = ("database", "table", "stream_id")
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    database: str
    table: str
    stream_id: str
    def __init__(self, database: _Optional[str] = ..., table: _Optional[str] = ..., stream_id: _Optional[str] = ...) -> None: ...

class GetStreamResponse(_message.Message):
    __slots__ = ("stream_id", "next_offset")
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    NEXT_OFFSET_FIELD_NUMBER: _ClassVar[int]
    stream_id: str
    next_offset: int
    def __init__(self, stream_id: _Optional[str] = ..., next_offset: _Optional[int] = ...) -> None: ...

class IngestStreamResponse(_message.Message):
    __slots__ = ("acknowledgement", "error")
    ACKNOWLEDGEMENT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    acknowledgement: _acknowledgement_pb2.Acknowledgement
    error: _status_pb2.Status
    def __init__(self, acknowledgement: _Optional[_Union[_acknowledgement_pb2.Acknowledgement, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...
