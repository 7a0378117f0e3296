"""Days of keys come and go, on the twins."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from typing_extensions import override

from infra.memory.keystore import MemoryKeys
from infra.system import SystemClock, SystemEntropy
from pipeline.contents import Contents
from pipeline.errors import RetryableError
from pipeline.keystore import TRANSIENT, Partition, class_named
from pipeline.ports.bus import Publisher
from pipeline.ports.keys import Destroyed, KeyRef, NewKey
from pipeline.ports.retention import ExpiredRows
from producers.expired import BATCH, Expired
from producers.expiry import Expiry
from schemas.ids import RequestId, TenantId
from schemas.retention import ErasureOrdered
from schemas.topics import AUDIT_RECORDED, RETENTION_DUE, Outgoing, Topic

ENTROPY = SystemEntropy()
OTHER = TenantId(ENTROPY.uuid7())
FIRST = Partition(TRANSIENT, date(2026, 11, 22))
WEEK = Partition(class_named("7d"), date(2026, 11, 22))


@dataclass
class Calendar(SystemClock):
    """A clock that stands until it is moved."""

    at: datetime = datetime(2026, 11, 22, 12, tzinfo=UTC)

    @override
    def now(self) -> datetime:
        return self.at


@dataclass
class Published(Publisher):
    """Keeps what was published; fails while the bus is away."""

    sent: list[Outgoing[Any]] = field(default_factory=list)
    away: bool = False

    @override
    async def publish(self, outgoing: Sequence[Outgoing[Any]]) -> None:
        if self.away and outgoing:
            raise RetryableError("the bus is away")
        self.sent += outgoing

    def of(self, topic: Topic[Any], partition: Partition) -> list[Outgoing[Any]]:
        """What was published to a topic about a day of keys."""
        return [
            each
            for each in self.sent
            if each.topic == topic and _ref(each) == partition.name
        ]

    @override
    async def publish_raw(self, records: Any) -> None:
        raise NotImplementedError


def _ref(outgoing: Outgoing[Any]) -> str:
    data = outgoing.event.data
    return str(data.ref if isinstance(data, ErasureOrdered) else data.erase.ref)


@dataclass(frozen=True)
class World:
    clock: Calendar
    keys: MemoryKeys
    published: Published
    expiry: Expiry

    async def key(self) -> KeyRef:
        tenant = TenantId(ENTROPY.uuid7())
        await self.keys.enrol(tenant)
        key = Contents(ENTROPY).new_key(tenant, RequestId(ENTROPY.uuid7()), WEEK)
        assert [True] == await self.keys.create([NewKey(key)])
        return KeyRef(tenant, key.request_id, key.key_id)

    async def until_idle(self) -> int:
        rounds = 0
        while await self.expiry.round():
            rounds += 1
        return rounds


@pytest.fixture
async def here() -> World:
    clock, published = Calendar(), Published()
    keys = MemoryKeys(clock)

    async def users(partition: Partition) -> list[TenantId]:
        return [OTHER] if partition == FIRST else []

    expiry = Expiry(users=users, partitions=keys, publisher=published, clock=clock)
    await expiry.round()
    return World(clock, keys, published, expiry)


async def test_the_days_ahead_are_ready(here: World) -> None:
    there = await here.keys.there()

    assert {date(2026, 11, day) for day in range(22, 26)} == {
        each.day for each in there if each.retention_class is TRANSIENT
    }
    assert 7 * 5 - 1 == len(there)


async def test_content_is_read_for_its_period_and_not_a_day_longer(
    here: World,
) -> None:
    ref = await here.key()

    here.clock.at += timedelta(days=7, hours=11)
    await here.until_idle()
    before = (await here.keys.fetch([ref]))[ref]
    here.clock.at += timedelta(hours=1)
    await here.until_idle()

    assert Destroyed() != before
    assert Destroyed() == (await here.keys.fetch([ref]))[ref]
    assert WEEK not in await here.keys.there()


async def test_the_ledger_of_each_tenant_that_had_keys_is_told(here: World) -> None:
    refs = [await here.key() for _ in range(2)]

    here.clock.at += timedelta(days=30)
    await here.until_idle()

    told = here.published.of(AUDIT_RECORDED, WEEK)
    assert {ref.tenant_id for ref in refs} == {
        each.event.attributes.tenant for each in told
    }
    assert ["7d:2026-11-22"] * 2 == [each.event.data.erase.ref for each in told]
    assert {"retention.expired"} == {each.event.data.action for each in told}


async def test_a_day_goes_only_when_the_ledgers_were_told(here: World) -> None:
    ref = await here.key()
    here.clock.at += timedelta(days=7)
    await here.until_idle()
    here.clock.at += timedelta(hours=12)
    here.published.away = True
    with pytest.raises(RetryableError):
        await here.until_idle()
    unread = (await here.keys.fetch([ref]))[ref]
    there = await here.keys.there()

    here.published.away = False
    await here.until_idle()

    assert Destroyed() == unread
    assert WEEK in there
    assert [ref.tenant_id] == [
        each.event.attributes.tenant for each in here.published.of(AUDIT_RECORDED, WEEK)
    ]
    assert WEEK not in await here.keys.there()


async def test_a_receipt_is_ordered_for_each_tenant_that_had_keys(here: World) -> None:
    ref = await here.key()

    here.clock.at += timedelta(days=30)
    await here.until_idle()

    (due,) = here.published.of(RETENTION_DUE, WEEK)
    assert ref.tenant_id == due.event.attributes.tenant
    assert ("class", 1) == (due.event.data.scope, due.event.data.keys)


async def test_who_had_transient_keys_gets_one_for_the_day(here: World) -> None:
    here.clock.at += timedelta(days=30)
    await here.until_idle()

    (due,) = here.published.of(RETENTION_DUE, FIRST)
    assert OTHER == due.event.attributes.tenant
    assert 0 == due.event.data.keys


async def test_who_had_keys_of_both_kinds_is_told_of_those_that_were_counted(
    here: World,
) -> None:
    await here.keys.enrol(OTHER)
    key = Contents(ENTROPY).new_key(OTHER, RequestId(ENTROPY.uuid7()), FIRST)
    await here.keys.create([NewKey(key)])

    here.clock.at += timedelta(days=30)
    await here.until_idle()

    (due,) = here.published.of(RETENTION_DUE, FIRST)
    assert (OTHER, 1) == (due.event.attributes.tenant, due.event.data.keys)


async def test_a_day_that_could_not_go_is_told_again_in_the_same_words(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another process too, and later: one record and one order a tenant and day."""
    retire, refs = MemoryKeys.retire, [await here.key() for _ in range(2)]
    here.clock.at += timedelta(days=7, hours=12)
    with monkeypatch.context() as away:

        async def refused(keys: MemoryKeys, partition: Partition) -> None:
            if partition == WEEK:
                raise RetryableError("expected an answer")
            await retire(keys, partition)

        away.setattr(MemoryKeys, "retire", refused)
        with pytest.raises(RetryableError):
            await here.until_idle()
    first = _told(here)
    here.published.sent.clear()
    here.clock.at += timedelta(hours=1)
    await here.until_idle()

    assert first == _told(here)
    assert 2 * len(refs) == len(first)


def _told(here: World) -> set[str]:
    """What was said of the day of keys, by its ids."""
    topics: list[Topic[Any]] = [AUDIT_RECORDED, RETENTION_DUE]
    return {
        each.event.attributes.id
        for topic in topics
        for each in here.published.of(topic, WEEK)
    }


async def test_files_in_which_destroyed_keys_lie_are_rewritten(here: World) -> None:
    ref = await here.key()
    await here.keys.destroy_keys(ref.tenant_id, [ref.key_id])
    lay = set(here.keys._remains)
    more = await here.expiry.rewrite()

    assert ({WEEK}, set(), False) == (lay, here.keys._remains, more)


@dataclass
class Rows(ExpiredRows):
    """Nothing but results of calls, more than one batch of them."""

    left: int

    @override
    async def answers(self, *_: object) -> int:
        return 0

    @override
    async def calls(self, *_: object) -> int:
        now, self.left = min(self.left, BATCH), max(0, self.left - BATCH)
        return now


async def test_results_of_calls_go_however_many_there_are() -> None:
    rows = Rows(3 * BATCH)

    async def tenants() -> list[TenantId]:
        return [TenantId("00000000-0000-7000-8000-000000000001")]

    await Expired(rows=rows, tenants=tenants, clock=SystemClock()).round()

    assert 0 == rows.left
