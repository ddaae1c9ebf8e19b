"""Which rows are read one by one: few, or alone in it."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pyarrow as pa
import pytest

from lakegate.decode.ndjson import reader
from lakegate.decode.ndjson.decoder import NdjsonDecoder
from lakegate.decode.values.json_text import parse_line
from lakegate.errors import ErrorCode, LakegateError
from lakegate.model import Body, DecodedGroup

SECONDS = 60  # after which a test has failed
SCHEMA = NdjsonDecoder.default_schema
FEW = b'{"label":"few"}\n'
# No shape has a name twice, and they nest deeper than a mix may.
MANY_DEEP = b'{"label":"deep","Label":1,"x":' + b"[" * 100 + b"]" * 100 + b"}\n"


def decode(decoder: NdjsonDecoder, data: bytes) -> DecodedGroup:
    return decoder.decode([Body(data)], SCHEMA)


def event(i: int) -> dict[str, object]:
    fields = {f"f{i % 100}_{k}": f"välue {i}" for k in range(i % 7)}
    return {"label": f"type {i % 100}", **fields, "nested": {"ids": [i, i / 4], "x y": "a  b"}}


@pytest.mark.parametrize("ascii_only", [True, False])
def test_rows_of_many_shapes_are_not_read_one_by_one(
    monkeypatch: pytest.MonkeyPatch, *, ascii_only: bool
) -> None:
    lines = [json.dumps(event(i), ensure_ascii=ascii_only) for i in range(500)]
    odd = [
        "{}",
        "{ }",
        '{"a":1.10,"A":1e400,"a":null}',
        '{"_timestamp":1777716000000000005,"at":1777716000000000007}',
        ' {"?":[ ]}',
    ]
    monkeypatch.setattr(reader, "parse_line", pytest.fail)

    rows = decode(NdjsonDecoder(), "\n".join(odd * 100 + lines).encode()).rows.to_pylist()

    assert len(rows) == 1000
    assert [row["label"] for row in rows[500:]] == [f"type {i % 100}" for i in range(500)]
    assert rows[507]["nested"] == '{"ids":[7,1.75],"x y":"a  b"}'
    assert rows[2]["a"] == "1.10"
    assert rows[2]["props"] == '{"A":1e400,"a":null}'
    assert rows[3]["props"] == '{"_timestamp":1777716000000000005}'


def test_a_bad_line_among_many_shapes_is_named() -> None:
    lines = [json.dumps(event(i)) for i in range(1000)]
    lines[700] = lines[700][:-1] + ",}"

    [outcome] = decode(NdjsonDecoder(), "\n".join(lines).encode()).outcomes

    assert "line 701: Expected a field name in double quotes" in str(outcome)


def test_of_long_passes_there_is_one_at_a_time_and_short_ones_do_not_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoder = NdjsonDecoder()
    in_a_pass, may_go_on, in_another = Event(), Event(), Event()

    def wait_in_the_first_pass(line: str | None) -> list[tuple[str, str]]:
        if line is not None and "deep" in line:
            if in_a_pass.is_set() and not may_go_on.is_set():
                in_another.set()
            in_a_pass.set()
            may_go_on.wait(SECONDS)
        return parse_line(line)

    monkeypatch.setattr(reader, "parse_line", wait_in_the_first_pass)
    with ThreadPoolExecutor(2) as pool:
        passes = [pool.submit(decode, decoder, MANY_DEEP * 500) for _ in range(2)]
        assert in_a_pass.wait(SECONDS)
        assert decode(decoder, FEW).outcomes == [1]
        assert not in_another.is_set()
        may_go_on.set()
        assert [done.result().outcomes for done in passes] == [[500], [500]]


def test_no_rows_are_lost_however_they_are_read() -> None:
    parts = [FEW * 2000, MANY_DEEP * 200, b"{}\n" * 300, b'{"a":1.10}\n{"b":"\\u00e9"}\n' * 500]

    decoded = decode(NdjsonDecoder(), b"".join(parts))

    assert decoded.outcomes == [3500]
    labels = decoded.rows["label"].to_pylist()
    assert labels == ["few"] * 2000 + ["deep"] * 200 + [None] * 1300
    assert decoded.rows["a"].to_pylist()[2500:] == ["1.10", None] * 500
    assert decoded.rows["b"].to_pylist()[2500:] == [None, "é"] * 500
    assert pa.types.is_string(decoded.rows["a"].type)


MIB = 1024 * 1024


def too_large(outcome: int | LakegateError) -> str:
    assert isinstance(outcome, LakegateError)
    assert outcome.code is ErrorCode.BODY_TOO_LARGE
    return outcome.message


def test_a_line_may_have_a_hundred_thousand_fields() -> None:
    def line(fields: int) -> bytes:
        return b"{" + b",".join(b'"field_%07d":1' % i for i in range(fields)) + b"}"

    good, bad = (decode(NdjsonDecoder(), line(fields)) for fields in (100_000, 100_001))
    assert good.outcomes == [1]
    assert len(json.loads(good.rows["props"][0].as_py())) == 100_000 - 32
    assert too_large(bad.outcomes[0]) == "line 1: It has more than 100000 fields"
    assert len(bad.rows) == 0


def test_a_line_may_be_as_long_as_a_body() -> None:
    line = b'{"label":"%b"}' % (b"x" * 64 * MIB)
    good = decode(NdjsonDecoder(), FEW + line[: -len(FEW) - 14] + b'"}')
    assert good.outcomes == [2]


def test_a_line_may_have_eight_million_items() -> None:
    line = b'{"label":[%b1]}' % (b"1," * (8 * MIB + 1))
    bad = decode(NdjsonDecoder(), FEW + line)
    assert too_large(bad.outcomes[0]) == "line 2: It has more than 8388608 items"


@pytest.mark.parametrize("end", [b"]" * 40 + b"}", b""])
def test_a_long_line_that_no_column_can_be_proven_of_is_refused(end: bytes) -> None:
    line = b'{"label":"' + b"x" * MIB + b'","a":' + b"[" * 40 + end
    [outcome] = decode(NdjsonDecoder(), line).outcomes
    assert "line 1: It is not a JSON object, or it nests deeper than 32 levels" in str(outcome)
