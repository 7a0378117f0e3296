"""What a process that has started does with its memory."""

import gc
from collections.abc import Iterator

import pytest

from infra.system import settled


class Held:
    """Something that the collector can look at."""


@pytest.fixture
def thawed() -> Iterator[None]:
    """The collector looks at everything again."""
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("thawed")
def test_what_is_there_is_looked_at_no_more() -> None:
    held = Held()
    settled()
    looked_at = gc.get_objects()

    assert not any(held is each for each in looked_at)
