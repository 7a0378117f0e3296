"""Derived ids are UUIDs, version 5."""

from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import derived

NAMESPACE = UUID("5b1f0f6e-8e2c-5a52-9f61-6a0f6c1d7a11")
WORDS = st.lists(st.text(), min_size=1, max_size=4)


@given(WORDS)
def test_an_id_is_what_the_standard_library_makes_of_its_parts(
    parts: list[str],
) -> None:
    found = derived(*parts)

    assert str(uuid5(NAMESPACE, "\x1f".join(parts))) == found
