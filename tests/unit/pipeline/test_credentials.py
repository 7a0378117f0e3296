"""API keys: form and checksum."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.credentials import make, parse

VECTOR = "sluice_test_000000000000_000000000000000000000000000000000000000000041VwlM"
DIGEST = "d41f10840d92b2117079b6249b8b0c279d03fa48c6eb2333cda49cab09ea5935"


def test_the_vector() -> None:
    key = parse(VECTOR)

    assert key is not None
    assert ("test", "0" * 12, DIGEST) == (
        key.environment,
        key.public_id,
        key.digest.hex(),
    )
    assert VECTOR not in repr(key)
    assert "digest" not in repr(key)


@given(st.binary(min_size=64, max_size=64), st.sampled_from(["live", "test"]))
def test_what_is_made_parses(random: bytes, environment: str) -> None:
    made = make(environment, random)

    assert made == parse(made.text)


@given(st.binary(min_size=64, max_size=64), st.data())
def test_a_typo_is_no_key(random: bytes, data: st.DataObject) -> None:
    text = make("live", random).text
    at = data.draw(st.integers(12, len(text) - 1))
    other = data.draw(st.sampled_from("0aZ").filter(lambda c: c != text[at]))

    assert parse(text[:at] + other + text[at + 1 :]) is None


def test_too_little_randomness_is_refused() -> None:
    with pytest.raises(ValueError, match="64 random bytes"):
        make("live", b"short")
