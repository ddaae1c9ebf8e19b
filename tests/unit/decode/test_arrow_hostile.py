"""Arrow bodies that lie: they get their error, and never the memory that they claim."""

import random
import struct

import pyarrow as pa
import pytest
from tests.testing.decode.arrow_bodies import bad_body, decode, refusal, stream
from tests.testing.decode.arrow_memory import FLAT, MIB, arrow_memory_at_most

from lakegate.errors import ErrorCode


def test_a_compressed_buffer_may_not_become_more_than_a_body_may_be() -> None:
    body = stream({"z": pa.array([b"\0" * (256 * MIB)])}, "zstd")
    assert len(body) < MIB

    with arrow_memory_at_most(MIB):
        group = decode(body)

    assert refusal(group).code is ErrorCode.BODY_TOO_LARGE


@pytest.mark.parametrize("claim", [2**40, 2**62, -5])
def test_a_compressed_buffer_may_not_claim_what_it_likes(claim: int) -> None:
    text = b"x" * 1003
    body = stream({"z": pa.array([text])}, "zstd")
    size = struct.pack("<q", len(text))
    at = body.rindex(size)

    with arrow_memory_at_most(MIB):
        group = decode(body[:at] + struct.pack("<q", claim) + body[at + len(size) :])

    assert refusal(group).code in (ErrorCode.BODY_TOO_LARGE, ErrorCode.BAD_REQUEST_BODY)


def test_rows_that_no_buffer_has_are_refused() -> None:
    bodies = [stream({"n": pa.nulls(10**9)}), stream({"n": pa.nulls(1), "label": pa.array(["x"])})]

    with arrow_memory_at_most(MIB):
        group = decode(*bodies)

    assert "claims 1000000000 rows" in bad_body(group)
    assert group.outcomes[1] == 1


def encodings_of_one_long_text() -> dict[str, pa.Array]:
    texts = pa.array(["x" * MIB, "y"])
    zeros = pa.array([0] * 1000, pa.int32())
    _, view, text = texts[:1].cast(pa.string_view()).buffers()
    views = pa.py_buffer(view.to_pybytes()[:16] * 1000)
    lists = pa.ListViewArray.from_arrays(zeros, pa.array([1] * 1000, pa.int32()), texts)
    return {
        "dictionary": pa.DictionaryArray.from_arrays(zeros, texts),
        "string view": pa.Array.from_buffers(pa.string_view(), 1000, [None, views, text]),
        "list view": lists,
        "nested": pa.StructArray.from_arrays([lists], ["s"]),
        "runs": pa.RunEndEncodedArray.from_arrays(pa.array([1000], pa.int32()), texts[:1]),
    }


@pytest.mark.parametrize("name", encodings_of_one_long_text())
def test_one_value_may_not_be_wanted_a_thousand_times(name: str) -> None:
    body = stream({"c": encodings_of_one_long_text()[name]})
    assert len(body) < 4 * MIB

    with arrow_memory_at_most(FLAT):
        group = decode(body)

    assert refusal(group).code is ErrorCode.BODY_TOO_LARGE


@pytest.mark.parametrize(
    "body",
    [b"", b"\0" * 100, b"{}\n", b"\xff\xff\xff\xff" + b"\xff" * 8, b"ARROW1\0\0"],
)
def test_what_is_no_stream_is_refused(body: bytes) -> None:
    assert "no Arrow IPC stream" in bad_body(decode(body))


@pytest.mark.parametrize("legacy", [False, True], ids=["as it is", "before 0.15"])
def test_a_stream_is_taken_whole_or_not_at_all(legacy: bool) -> None:  # noqa: FBT001 - a parameter of the test
    table = pa.table({"label": ["x"] * 100, "n": list(range(100))})
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(use_legacy_format=legacy)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=50)
    body = sink.getvalue().to_pybytes()

    assert decode(body).rows.num_rows == 100
    for length in range(len(body)):
        bad_body(decode(body[:length]))


def test_a_stream_that_ends_between_two_batches_is_cut_short() -> None:
    end_marker = 8
    body = stream({"label": pa.array(["x"])})
    assert "cut short" in bad_body(decode(body[:-end_marker]))
    # Rows whose last bytes look like a marker are none.
    looks_like_one = stream({"n": pa.array([0x00000000FFFFFFFF] * 8, pa.int64())})
    without = looks_like_one[:-end_marker]
    assert without.endswith(looks_like_one[-end_marker:])
    assert "cut short" in bad_body(decode(without))


def test_what_follows_the_end_of_a_stream_is_refused_not_dropped() -> None:
    body = stream({"label": pa.array(["x"])})
    for more in (body, b"\0", body[-8:]):
        assert "after the end" in bad_body(decode(body + more))


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_bytes_changed_at_random_never_do_more_than_spoil_the_body(
    compression: str | None,
) -> None:
    table = pa.table(
        {
            "_timestamp": ["2026-05-02T10:00:00Z"] * 3,
            "d": pa.array(["x", "y", "x"]).dictionary_encode(),
            "l": pa.array([[1], None, [2, 3]]),
            "s": pa.array([{"a": 1, "b": "z"}, None, {"a": None, "b": ""}]),
            "v": pa.array(["x" * 20, None, ""], pa.string_view()),
            "m": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int8())),
        }
    )
    body = stream(table, compression)
    chance = random.Random(7)  # noqa: S311  # no secret

    with arrow_memory_at_most(FLAT):
        for _ in range(500):
            spoilt = bytearray(body)
            for _ in range(chance.randint(1, 3)):
                spoilt[chance.randrange(len(spoilt))] = chance.choice([0, 1, 127, 128, 255])
            group = decode(bytes(spoilt))
            if not isinstance(group.outcomes[0], int):
                assert refusal(group).code.value.http_status in (400, 413)
