"""One value has one string of bytes, and what is outside the profile has none."""

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from pipeline.canonical import canonical, parse
from pipeline.errors import InvalidMessage
from schemas.base import MAX_INTEGER

words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
keys = st.from_regex(r"[a-z0-9_]+", fullmatch=True)
numbers = st.integers(-MAX_INTEGER, MAX_INTEGER)
values = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner),
    max_leaves=20,
)
objects = st.dictionaries(keys, values)


@given(objects)
def test_inside_the_profile_three_serialisers_agree(value: dict[str, Any]) -> None:
    written = canonical(value)

    assert rfc8785.dumps(value) == written
    plain = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert plain.encode() == written


@given(objects)
def test_what_was_written_is_read_again(value: dict[str, Any]) -> None:
    assert value == parse(canonical(value))


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1.5},
        {"a": float("nan")},
        {"a": MAX_INTEGER + 1},
        {"a": -MAX_INTEGER - 1},
        {"a": "\0"},
        {"a": "\ud800"},
        {"A": 1},
        {"": 1},
        {"a-b": 1},
        {1: 1},
        {"a": b"bytes"},
        {"a": [{"b": ["\0"]}]},
    ],
    ids=repr,
)
def test_outside_the_profile_nothing_is_written(value: dict[str, Any]) -> None:
    with pytest.raises(InvalidMessage):
        canonical(value)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":1}',
        b'{"b":1,"a":1}',
        b'{"a": 1}',
        b'{"a":1}\n',
        b'{"a":"\\u0041"}',
        b'{"a":"\\/"}',
        b'{"a":1.0e0}',
        b'{"a":01}',
        b'{"a":"\xff"}',
        b"[]",
        b"",
    ],
    ids=repr,
)
def test_another_form_of_the_same_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidMessage):
        parse(raw)
