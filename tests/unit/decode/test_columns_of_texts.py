"""What is done to a column of texts at once is what would be done to each."""

import json

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from tests.testing.decode.generated_values import NAMES

from lakegate.decode.router import Router, Target
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


@given(st.sampled_from(TABLES), st.lists(fields_of_any_case, min_size=1, max_size=3))
def test_fields_find_their_columns(columns: list[str], sent: list[list[str]]) -> None:
    types = {"at": pa.timestamp("us", "UTC")}
    router = Router(pa.schema([(name, types.get(name, pa.string())) for name in columns]))
    names = pa.array([name for names in sent for name in names], pa.string())
    rows = pa.array([row for row, names in enumerate(sent) for _ in names], pa.int32())

    routes = router.routes_of(names.dictionary_encode(), rows)

    one_by_one = [route for names in sent for route in router.routes(names)]
    assert routes.slots.take(routes.slot).to_pylist() == [slot for _, slot in one_by_one]
    for flags, target in [
        (routes.is_source, Target.AT),
        (routes.is_column, Target.COLUMN),
        (routes.is_new, Target.NEW),
        (routes.is_settled, Target.PROPS),
    ]:
        assert flags.to_pylist() == [route.target is target for route in one_by_one]
    assert [routes.slots[i].as_py() for i in routes.at_sources] == [
        source for source in router.at_sources if source in routes.slots.to_pylist()
    ]
