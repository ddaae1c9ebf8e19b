"""What is done to a column of texts at once is what would be done to each."""

import json

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from tests.testing.decode.generated_values import NAMES

from lakegate.decode.router import Router
from lakegate.decode.values.json_column import quote, unquote, write_string

TABLES = [
    ["at", "label", "body", "props"],
    ["A", "a", "Foo Bar", "timestamp", "STATUS"],
    [],
]
texts = st.lists(st.one_of(st.none(), st.text(max_size=5), st.sampled_from('\\"\0\x1f\n\t/\x7f')))
fields = st.lists(st.one_of(st.sampled_from(NAMES), st.text(max_size=3)))
fields_of_any_case = fields.map(lambda names: names + [name.swapcase() for name in names])


@given(texts)
def test_texts_are_quoted_and_unquoted(values: list[str | None]) -> None:
    quoted = [None if value is None else write_string(value) for value in values]

    assert quote(pa.array(values, pa.string())).to_pylist() == quoted
    assert unquote(pa.array(quoted, pa.string())).to_pylist() == values


@given(texts)
def test_strings_are_unquoted_however_they_were_written(values: list[str | None]) -> None:
    written = [None if value is None else json.dumps(value) for value in values]

    assert unquote(pa.array([*written, "1.10"], pa.string())).to_pylist() == [*values, "1.10"]


@given(st.sampled_from(TABLES), fields_of_any_case)
def test_fields_find_their_columns(columns: list[str], sent: list[str]) -> None:
    types = {"at": pa.timestamp("us", "UTC")}
    router = Router(pa.schema([(name, types.get(name, pa.string())) for name in columns]))

    slots = router.slots(pa.array(sent, pa.string())).to_pylist()

    assert slots == [router.slot(name) for name in sent]
    known = router.known.to_pylist()
    assert [slot in known for slot in slots if slot] == [
        router.is_known(slot) for slot in slots if slot
    ]
