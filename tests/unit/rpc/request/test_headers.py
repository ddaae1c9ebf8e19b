"""The options of a request, from its headers."""

import pytest

from lakegate.errors import ErrorCode, LakegateError
from lakegate.model import TableName
from lakegate.rpc.request.headers import boolean, idempotency, idempotency_key, table_name


def test_the_database_has_a_default_and_the_table_has_none() -> None:
    assert table_name("", "orders") == TableName("default", "orders")
    with pytest.raises(LakegateError) as refusal:
        table_name("sales", "")
    assert refusal.value.code is ErrorCode.MISSING_TABLE_HEADER


@pytest.mark.parametrize(
    "name",
    ["Orders", "1st", "a-b", "a.b", "a/b", "../etc", 'a"b', "a'; --", "a b", "ä", "a\n", "a" * 64],
)
def test_what_is_no_name_is_refused(name: str) -> None:
    for database, table in ((name, "orders"), ("sales", name)):
        with pytest.raises(LakegateError) as refusal:
            table_name(database, table)
        assert refusal.value.code is ErrorCode.INVALID_ARGUMENT


@pytest.mark.parametrize("name", ["a", "_", "orders", "_1", "a" * 63])
def test_names_are_taken_as_they_are(name: str) -> None:
    assert table_name(name, name) == TableName(name, name)


def test_a_boolean_is_true_false_or_its_default() -> None:
    assert boolean({"x-auto-create": "FALSE"}, "X-Auto-Create", default=True) is False
    assert boolean({"x-auto-create": "true"}, "X-Auto-Create", default=False) is True
    for yes, no in (("1", "0"), ("yes", "No"), ("ON", "off")):
        assert boolean({"x-auto-create": yes}, "X-Auto-Create", default=False) is True
        assert boolean({"x-auto-create": no}, "X-Auto-Create", default=True) is False
    assert boolean({}, "X-Auto-Create", default=True) is True
    assert boolean({"x-auto-create": ""}, "X-Auto-Create", default=False) is False


@pytest.mark.parametrize("value", ["maybe", "2", "y", "tru"])
def test_what_is_no_boolean_is_refused_by_the_headers_name(value: str) -> None:
    with pytest.raises(LakegateError, match="X-Schema-Evolve must be true or false"):
        boolean({"x-schema-evolve": value}, "X-Schema-Evolve", default=True)


def test_an_idempotency_key_has_at_most_255_characters() -> None:
    assert idempotency_key("") is None
    assert idempotency_key("k" * 255) == "k" * 255
    with pytest.raises(LakegateError) as refusal:
        idempotency_key("k" * 256)
    assert refusal.value.code is ErrorCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("abc", "abc"),
        ('"abc"', "abc"),
        (' "a b" ', "a b"),
        (r'"a\"b\\c"', r'a"b\c'),
        ('a"b', 'a"b'),
        ('""', None),
        ("", None),
    ],
)
def test_an_idempotency_key_is_a_structured_string_or_its_bare_text(
    value: str, key: str | None
) -> None:
    assert idempotency({"idempotency-key": value}) == (key, key is not None)


@pytest.mark.parametrize("value", ['"', '"a', '"a"b', r'"\a"', '"a"b"', '"ä"', "k" * 256])
def test_what_is_no_structured_string_is_refused(value: str) -> None:
    with pytest.raises(LakegateError) as refusal:
        idempotency({"idempotency-key": value})
    assert refusal.value.code is ErrorCode.INVALID_ARGUMENT


def test_only_the_header_of_the_standard_binds_the_key_to_the_body() -> None:
    assert idempotency({}) == (None, False)
    assert idempotency({"x-idempotency-key": '"k"'}) == ('"k"', False)
    assert idempotency({"idempotency-key": '"k"', "x-idempotency-key": "k"}) == ("k", True)


def test_two_keys_for_one_request_are_refused() -> None:
    with pytest.raises(LakegateError) as refusal:
        idempotency({"idempotency-key": '"k"', "x-idempotency-key": "l"})
    assert refusal.value.code is ErrorCode.INVALID_ARGUMENT
