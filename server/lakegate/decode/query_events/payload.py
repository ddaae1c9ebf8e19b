"""The JSON payload of query events, read into the Arrow columns of their protobuf messages.

pyarrow reads the objects of a body in columns, by types made from the messages. A wrong type, a
doubled key or an element that is null is refused with its path.
"""

import re
import struct
from collections.abc import Sequence
from typing import cast

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from lakegate.decode.limits import check_lines
from lakegate.decode.query_events.faults import ONE_OR_MANY, fault_of, value_of
from lakegate.decode.text import BYTE_ORDER_MARK, WHITESPACE, count
from lakegate.errors import ErrorCode, LakegateError, Violation
from lakegate.v1 import query_events_pb2 as pb

_EVENT = cast("Descriptor", pb.QueryEvent.DESCRIPTOR)
_NO_NUMBER = 2**31 - 1  # of words that an enumeration does not have
_BYTE = re.compile(r"(?:JSON is malformed: )?(.*) \(byte ([0-9]+)\)")
_ROW = re.compile(r"JSON parse error: (?P<reason>.*) in row (?P<row>[0-9]+)", re.DOTALL)
# What msgspec calls the types of JSON.
_JSON_TYPES = {
    "str": "a string",
    "int": "a number",
    "float": "a number",
    "bool": "a boolean",
    "array": "an array",
}
_TWICE = re.compile(r"Column\((?P<path>/.*)\) was specified twice")


class _Shallow(msgspec.Struct, gc=False):
    """Whether an event has one failure or an array of them."""

    failure_info: msgspec.Raw = msgspec.field(name="failureInfo", default=msgspec.Raw())


_SHALLOW = msgspec.json.Decoder(list[_Shallow])
_OBJECTS = msgspec.json.Decoder(list[msgspec.Raw])


def events_of(body: bytes) -> pa.StructArray:
    """Return the events of a body, with the fields of `QueryEvent`.

    Raises `LakegateError` (bad_request_body, invalid_query_event), or `TooLargeError`.
    """
    text = _text_of(body)
    array = text if text.startswith(b"[") else b"[%b]" % text
    check_lines(count(array, b"{"))
    try:
        shallow = _SHALLOW.decode(array)
        objects = _OBJECTS.decode(array)
    except msgspec.ValidationError as error:
        raise _no_object(str(error)) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise _malformed(error) from None
    if array is not text and len(objects) != 1:
        raise LakegateError(ErrorCode.BAD_REQUEST_BODY, "the body has more than one JSON value")
    if b"failureInfo" not in text and b"\\u" not in text:
        return _read(objects, range(len(objects)), _type_of(_EVENT))
    one = [i for i, event in enumerate(shallow) if bytes(event.failure_info)[:1] == b"{"]
    many = sorted(set(range(len(objects))) - set(one))
    parts = [
        _read(objects, many, _type_of(_EVENT)),
        _read(objects, one, _type_of(_EVENT, frozenset(ONE_OR_MANY))),
    ]
    return pa.concat_arrays(parts).take(pc.array_sort_indices(pa.array(many + one, pa.int64())))


def _text_of(body: bytes) -> bytes:
    """Return the text of a body, with carriage returns for line feeds."""
    text = body.removeprefix(BYTE_ORDER_MARK).strip(WHITESPACE.encode())
    if not text:
        raise LakegateError(ErrorCode.BAD_REQUEST_BODY, "the body is empty")
    try:
        _check_utf8(text)
    except pa.ArrowInvalid:
        raise LakegateError(ErrorCode.BAD_REQUEST_BODY, "the body is not UTF-8") from None
    return text.replace(b"\n", b"\r")


def _check_utf8(text: bytes) -> None:
    offsets = pa.py_buffer(struct.pack("=qq", 0, len(text)))
    column = pa.Array.from_buffers(pa.large_string(), 1, [None, offsets, pa.py_buffer(text)])
    column.validate(full=True)


def _read(
    objects: Sequence[msgspec.Raw], indices: Sequence[int], as_type: pa.StructType
) -> pa.StructArray:
    """Read the objects of these indices, all of one type."""
    if not indices:
        return _as_message(pa.array([], as_type), _EVENT)
    chosen = objects if len(indices) == len(objects) else [objects[i] for i in indices]
    lines = b"\n".join(chosen).replace(b"\r", b" ")
    try:
        table = pj.read_json(
            pa.BufferReader(lines),
            pj.ReadOptions(use_threads=False, block_size=len(lines) + 1),
            pj.ParseOptions(
                explicit_schema=pa.schema(list(as_type)), unexpected_field_behavior="ignore"
            ),
        )
    except pa.ArrowInvalid as error:
        match = _ROW.fullmatch(str(error))
        if match is None:
            raise LakegateError(ErrorCode.BAD_REQUEST_BODY, str(error)) from None
        index = indices[int(match["row"])]
        raise _refusal(index, objects[index], match["reason"]) from None
    events = table.to_struct_array().combine_chunks()
    for name in [field.json_name for field in _EVENT.fields if field.is_repeated]:
        row = _row_of_null(events.field(name))
        if row is not None:
            raise _refusal(indices[row], objects[indices[row]], f"{name} has a null")
    return _as_message(events, _EVENT)


def _row_of_null(lists: pa.Array) -> int | None:
    """Return the first row that has null as an element of a list."""
    if not pa.types.is_list(lists.type) or not lists.values.null_count:
        return None
    parents = pc.list_parent_indices(lists)
    row: int = parents.filter(pc.is_null(lists.flatten()))[0].as_py()
    return row


def _type_of(message: Descriptor, single: frozenset[str] = frozenset()) -> pa.StructType:
    """Return the type of the JSON of a message; the fields `single` have no array."""
    return pa.struct(
        [
            (
                field.json_name,
                pa.list_(_element_type(field))
                if field.is_repeated and field.full_name not in single
                else _element_type(field),
            )
            for field in message.fields
        ]
    )


def _element_type(field: FieldDescriptor) -> pa.DataType:
    if field.message_type:
        return _type_of(field.message_type)
    return pa.float64() if field.type == FieldDescriptor.TYPE_DOUBLE else pa.string()


def _as_message(values: pa.StructArray, message: Descriptor) -> pa.StructArray:
    """Return columns with the names of the fields, and enumerations as numbers."""
    return pa.StructArray.from_arrays(
        [_as_field(values.field(field.json_name), field) for field in message.fields],
        names=[field.name for field in message.fields],
        mask=pc.is_null(values),
    )


def _as_field(values: pa.Array, field: FieldDescriptor) -> pa.Array:
    if not field.is_repeated:
        return _as_element(values, field)
    if pa.types.is_list(values.type):  # an array that is not there is empty
        return pa.ListArray.from_arrays(values.offsets, _as_element(values.values, field))
    counts = pc.cumulative_sum(pc.cast(pc.is_valid(values), pa.int32()))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), counts])
    return pa.ListArray.from_arrays(offsets, _as_element(values.drop_null(), field))


def _as_element(values: pa.Array, field: FieldDescriptor) -> pa.Array:
    if field.message_type:
        return _as_message(values, field.message_type)
    if field.enum_type:
        return _numbers(values, field.enum_type)
    return values if field.has_presence or field.is_repeated else values.fill_null("")


def _numbers(words: pa.Array, enum: EnumDescriptor) -> pa.Array:
    """Return the numbers of the words of an enumeration; 0 of null."""
    listed = [value for value in enum.values if value.number]
    places = pc.index_in(words, pa.array([value.name for value in listed]))
    numbers = pc.take(pa.array([value.number for value in listed], pa.int32()), places)
    none = pa.scalar(_NO_NUMBER, pa.int32())
    return pc.if_else(pc.is_null(words), pa.scalar(0, pa.int32()), numbers.fill_null(none))


def _refusal(index: int, event: msgspec.Raw, reason: str) -> LakegateError:
    """Return what is wrong with the JSON of an event."""
    path = f"queries[{index}]"
    if twice := _TWICE.fullmatch(reason):
        return _invalid(
            Violation(path + twice["path"].replace("/[]", "[]").replace("/", "."), "is given twice")
        )
    try:
        fault = fault_of(value_of(bytes(event)), _EVENT, path)
    except RecursionError as error:
        return _malformed(error)
    return _invalid(fault or Violation(path, f"cannot be read: {reason}"))


def _no_object(message: str) -> LakegateError:
    """Return what is wrong with an array that has something else than objects."""
    element = re.search(r"got `(?P<type>\w+)` - at `\$\[(?P<index>[0-9]+)\]`", message)
    if element is None:
        return LakegateError(ErrorCode.BAD_REQUEST_BODY, message)
    found = _JSON_TYPES.get(element["type"], element["type"])
    return _invalid(Violation(f"queries[{element['index']}]", f"must be an object, not {found}"))


def _invalid(violation: Violation) -> LakegateError:
    return LakegateError(
        ErrorCode.INVALID_QUERY_EVENT,
        f"{violation.field} {violation.description}",
        violations=(violation,),
    )


def _malformed(error: Exception) -> LakegateError:
    match = _BYTE.fullmatch(str(error))
    if isinstance(error, RecursionError):
        reason = "it nests too deep"
    else:
        reason = f"{match[1]} at byte {match[2]}" if match else str(error)
    return LakegateError(ErrorCode.BAD_REQUEST_BODY, f"the body is malformed JSON: {reason}")
