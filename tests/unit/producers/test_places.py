"""Whoever fills the gateway leaves room for others."""

from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.gateway.places import SHARE, Places
from schemas.ids import TenantId

TENANTS = [TenantId(f"00000000-0000-4000-8000-{at:012}") for at in range(6)]


def filled(places: Places, tenant: TenantId, leaving: ExitStack, wanted: int) -> int:
    """How many it gets of ``wanted``."""
    for got in range(wanted):
        if not places.open_to(tenant):
            return got
        leaving.enter_context(places.taken(tenant))
    return wanted


@pytest.mark.parametrize(("count", "most"), [(1, 1), (8, 6), (2048, 1536)])
def test_one_alone_takes_three_quarters(count: int, most: int) -> None:
    with ExitStack() as leaving:
        assert most == filled(Places(count), TENANTS[0], leaving, count)


def test_who_left_holds_nothing_however_its_block_ended() -> None:
    places, got = Places(8), []

    def left() -> None:
        with ExitStack() as leaving:
            got.append(filled(places, TENANTS[0], leaving, 8))
            raise OSError("gone")

    for _ in range(3):
        with pytest.raises(OSError, match="gone"):
            left()

    assert [6, 6, 6] == got
    assert not places._taken, "a tenant that holds nothing is not kept in mind"


def test_who_leaves_with_one_of_many_holds_the_others_still() -> None:
    places = Places(8)
    with ExitStack() as leaving, ExitStack() as one:
        got = [
            filled(places, TENANTS[0], one, 1),
            filled(places, TENANTS[0], leaving, 8),
        ]
        one.close()
        got.append(filled(places, TENANTS[0], leaving, 8))

    assert [1, 5, 1] == got


def test_what_comes_free_goes_to_those_who_hold_less() -> None:
    places = Places(64)
    with ExitStack() as first, ExitStack() as rest:
        for tenant in TENANTS[:-1]:
            filled(places, tenant, first if tenant == TENANTS[0] else rest, 64)
        first.pop_all().close()
        again = filled(places, TENANTS[0], rest, 64)
        late = places.open_to(TENANTS[-1])

    assert 0 < again < 48
    assert late


@given(st.integers(1, 64), st.lists(st.integers(0, 5), max_size=200))
def test_never_more_than_there_are(count: int, asking: list[int]) -> None:
    places, held, free = Places(count), [0] * len(TENANTS), count
    with ExitStack() as leaving:
        for at in asking:
            got = filled(places, TENANTS[at], leaving, 1)
            assert bool(got) == (held[at] < SHARE * free)
            held[at] += got
            free -= got
    assert 0 <= free
    assert all(places.open_to(tenant) for tenant in TENANTS)
