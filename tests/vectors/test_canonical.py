"""RFC 8785 as its author tests it: inside our profile equal, outside refused."""

import json
import re
from typing import Any

import pytest
import rfc8785

from pipeline.canonical import canonical
from pipeline.errors import InvalidMessage
from tests.support.shared import shared

pytestmark = pytest.mark.shared
CASES = ("arrays", "french", "structures", "unicode", "values", "weird")
INSIDE = {"arrays"}
"""The others have keys beyond [a-z0-9_]+, or numbers that are no integers."""


def vector(name: str) -> tuple[Any, bytes]:
    """What is written, and how."""
    folder = shared("vectors", "jcs", "testdata")
    value = json.loads((folder / "input" / f"{name}.json").read_text())
    return value, (folder / "output" / f"{name}.json").read_bytes()


def narrowed(value: Any) -> Any:
    """The same inside our profile: other keys, and numbers as integers."""
    match value:
        case dict():
            names = (re.sub(r"[^a-z0-9_]", "_", key) or "_" for key in value)
            pairs = zip(names, value.values(), strict=True)
            return {f"{k}{n}": narrowed(v) for n, (k, v) in enumerate(pairs)}
        case list():
            return [narrowed(each) for each in value]
        case float():
            return 56
        case _:
            return value


@pytest.mark.parametrize("name", CASES)
def test_the_oracle_is_right_about_the_specification(name: str) -> None:
    value, written = vector(name)

    assert written == rfc8785.dumps(value)


@pytest.mark.parametrize("name", CASES)
def test_what_is_outside_the_profile_is_refused_and_the_rest_is_equal(
    name: str,
) -> None:
    value, written = vector(name)

    if name in INSIDE:
        assert b'{"value":' + written + b"}" == canonical({"value": value})
    else:
        with pytest.raises(InvalidMessage):
            canonical({"value": value})


@pytest.mark.parametrize("name", CASES)
def test_inside_the_profile_each_is_written_as_the_oracle_does(name: str) -> None:
    value = {"value": narrowed(vector(name)[0])}

    assert rfc8785.dumps(value) == canonical(value)
