"""RFC 8785 as its author tests it, where it lies inside our profile."""

import json

import orjson
import pytest
import rfc8785

from pipeline.canonical import canonical
from pipeline.errors import InvalidMessage
from tests.support.shared import shared

pytestmark = pytest.mark.shared
CASES = ("arrays", "french", "structures", "unicode", "values", "weird")


@pytest.mark.parametrize("name", CASES)
def test_what_is_outside_the_profile_is_refused_and_the_rest_is_equal(
    name: str,
) -> None:
    folder = shared("vectors", "jcs", "testdata")
    value = json.loads((folder / "input" / f"{name}.json").read_text())
    expected = (folder / "output" / f"{name}.json").read_bytes()

    # The oracle of the property test is itself right about the specification.
    assert expected == rfc8785.dumps(value)
    with pytest.raises(InvalidMessage):
        canonical(value if isinstance(value, dict) else {"value": value, "Bad": 1})


def test_french_strings_are_written_as_the_specification_has_them() -> None:
    folder = shared("vectors", "jcs", "testdata")
    words = list(json.loads((folder / "input" / "french.json").read_text()).values())
    written = (folder / "output" / "french.json").read_bytes()

    assert all(orjson.dumps(word) in written for word in words)
    assert canonical({"words": words}) == rfc8785.dumps({"words": words})
