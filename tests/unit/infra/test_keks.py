"""Tenants' keys in memory: minutes, uses, epochs, and a bound."""

from dataclasses import dataclass

import pytest
from typing_extensions import override

from infra.keystore.keks import Kek, KekCache
from infra.system import SystemClock
from schemas.ids import TenantId

ONE = TenantId("018f3c1a-7c00-7000-8000-000000000001")
TWO = TenantId("018f3c1a-7c00-7000-8000-000000000002")


@dataclass
class Stopped(SystemClock):
    """A clock that moves when it is told to."""

    at: float = 0.0

    @override
    def monotonic(self) -> float:
        return self.at

    @override
    def cpu(self) -> float:
        return 0.0


def kek(
    tenant: TenantId = ONE, version: int = 1, epoch: int = 1, *, present: bool = True
) -> Kek:
    return Kek(tenant, version, epoch, present, b"secret" + bytes(26))


@pytest.fixture
def clock() -> Stopped:
    return Stopped()


def test_a_key_is_remembered_by_version_and_as_the_present_one(clock: Stopped) -> None:
    cache = KekCache(clock)
    cache.keep(kek())

    assert kek() == cache.present(ONE)
    assert kek() == cache.version(ONE, 1, 1)
    assert cache.version(ONE, 2, 1) is None
    assert cache.present(TWO) is None


def test_an_old_version_does_not_wrap_new_keys(clock: Stopped) -> None:
    cache = KekCache(clock)
    cache.keep(kek(version=1, present=False))

    assert cache.present(ONE) is None


def test_a_key_is_forgotten_after_five_minutes(clock: Stopped) -> None:
    cache = KekCache(clock)
    cache.keep(kek())

    clock.at = 299.9
    before = cache.present(ONE), cache.version(ONE, 1, 1)
    clock.at = 300.0

    assert (kek(), kek()) == before
    assert cache.present(ONE) is None
    assert cache.version(ONE, 1, 1) is None


def test_use_does_not_prolong_its_life(clock: Stopped) -> None:
    cache = KekCache(clock)
    cache.keep(kek())

    for clock.at in (100.0, 200.0, 299.0):
        assert cache.present(ONE)
    clock.at = 301.0

    assert cache.present(ONE) is None


def test_a_key_is_forgotten_when_it_is_used_up(clock: Stopped) -> None:
    cache = KekCache(clock, max_uses=2)
    cache.keep(kek())

    assert [kek(), kek(), None] == [cache.version(ONE, 1, 1) for _ in range(3)]


def test_a_key_of_an_older_epoch_is_dropped(clock: Stopped) -> None:
    cache = KekCache(clock)
    cache.keep(kek(epoch=4))

    assert kek(epoch=4) == cache.version(ONE, 1, 4)
    assert cache.version(ONE, 1, 5) is None
    assert cache.version(ONE, 1, 4) is None


def test_the_present_version_can_be_forgotten(clock: Stopped) -> None:
    cache = KekCache(clock)
    cache.keep(kek())

    cache.drop_present({ONE, TWO})

    assert cache.present(ONE) is None
    assert kek() == cache.version(ONE, 1, 1)


def test_the_least_lately_used_is_forgotten_beyond_the_bound(clock: Stopped) -> None:
    cache = KekCache(clock, max_keks=2)
    cache.keep(kek(ONE, present=False))
    cache.keep(kek(TWO, present=False))
    assert cache.version(ONE, 1, 1)

    cache.keep(kek(TWO, version=2, present=False))

    assert cache.version(ONE, 1, 1)
    assert cache.version(TWO, 1, 1) is None


def test_a_key_is_not_shown() -> None:
    assert "secret" not in repr(kek())
