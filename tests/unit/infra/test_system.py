"""What a process that has started does with its memory."""

import gc
from collections.abc import Iterator

import pytest

from infra.system import YOUNG, settled


class Held:
    """Something that the collector can look at."""


@pytest.fixture
def thawed() -> Iterator[None]:
    """The collector looks at everything again, as often as before."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


@pytest.mark.usefixtures("thawed")
def test_what_is_there_is_looked_at_no_more() -> None:
    held = Held()
    settled()
    looked_at = gc.get_objects()

    assert not any(held is each for each in looked_at)


@pytest.mark.usefixtures("thawed")
def test_what_is_new_gathers_before_it_is_looked_at() -> None:
    settled()

    assert YOUNG == gc.get_threshold()[0]
