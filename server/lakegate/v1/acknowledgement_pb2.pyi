from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Acknowledgement(_message.Message):
    __slots__ = ("snapshot_id", "extent_count", "rows_ingested", "bytes_written", "replayed")
    SNAPSHOT_ID_FIELD_NUMBER: _ClassVar[int]
    EXTENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    ROWS_INGESTED_FIELD_NUMBER: _ClassVar[int]
    BYTES_WRITTEN_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    snapshot_id: str
    extent_count: int
    rows_ingested: int
    bytes_written: int
    replayed: bool
    def __init__(self, snapshot_id: _Optional[str] = ..., extent_count: _Optional[int] = ..., rows_ingested: _Optional[int] = ..., bytes_written: _Optional[int] = ..., replayed: _Optional[bool] = ...) -> None: ...
