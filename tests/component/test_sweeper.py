"""What time has passed over is ended and forgotten, on the twins."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from typing_extensions import override

from infra.memory.keystore import MemoryKeys
from infra.memory.requests import MemoryRequests
from infra.system import SystemEntropy
from pipeline.contents import Contents
from pipeline.errors import RetryableError
from pipeline.keystore import TRANSIENT, Partition
from pipeline.ports.bus import Publisher
from pipeline.ports.keys import Destroyed, KeyRef, NewKey
from pipeline.ports.requests import NewRequest
from pipeline.reasons import Reason
from pipeline.retention import ahead
from producers.sweeper import BATCH, GRACE, TOLD_AGAIN, Sweeper
from schemas.events import Event
from schemas.ids import RequestId, TenantId
from schemas.requests import RequestFinished, Retention
from schemas.topics import REPLIES, REQUESTS_FINISHED, Outgoing
from tests.support.audit import NOON
from tests.support.gateway import HeldClock
from tests.support.installation import admitted, ended, new_request_id, terms

TENANT = TenantId("00000000-0000-7000-8000-000000000001")
DUE = NOON + timedelta(minutes=1)


@dataclass
class Published(Publisher):
    """Keeps what was published."""

    sent: list[Outgoing[Any]] = field(default_factory=list)

    @override
    async def publish(self, outgoing: Sequence[Outgoing[Any]]) -> None:
        self.sent += outgoing

    @override
    async def publish_raw(self, records: Any) -> None:
        raise NotImplementedError

    def ends(self) -> list[Event[RequestFinished]]:
        return [each.event for each in self.sent if each.topic is REQUESTS_FINISHED]


@dataclass(frozen=True)
class World:
    clock: HeldClock
    requests: MemoryRequests
    keys: MemoryKeys
    published: Published
    sweeper: Sweeper

    async def transient(self) -> KeyRef:
        """A request whose key is kept; it is due a minute after noon."""
        request = new_request_id()
        day = Partition(TRANSIENT, NOON.date())
        key = Contents(SystemEntropy()).new_key(TENANT, request, day)
        await self.keys.create([NewKey(key, None)])
        retention = Retention(retention_class="transient", day="2026-01-01")
        known = terms(retention=retention, key_id=key.key_id)
        await self.requests.admit(replace(admitted(TENANT, request), terms=known))
        return KeyRef(TENANT, request, key.key_id)


@pytest.fixture
async def world() -> World:
    clock = HeldClock()
    requests, keys, published = MemoryRequests(), MemoryKeys(clock), Published()
    await keys.enrol(TENANT)
    await keys.prepare(ahead(NOON))
    sweeper = Sweeper(sweep=requests, keystore=keys, publisher=published, clock=clock)
    return World(clock, requests, keys, published, sweeper)


def copy(world: World) -> Sweeper:
    """A sweeper in another process."""
    return Sweeper(
        sweep=world.requests,
        keystore=world.keys,
        publisher=world.published,
        clock=world.clock,
    )


def at(world: World, moment: timedelta) -> None:
    world.clock.elapsed = DUE + moment - NOON


async def test_an_overdue_request_is_ended_on_its_own_terms(world: World) -> None:
    request = new_request_id()
    known = terms(reply_partition=3)
    await world.requests.admit(replace(admitted(TENANT, request), terms=known))
    at(world, GRACE + timedelta(seconds=1))

    more = await world.sweeper.round()

    (end,) = world.published.ends()
    assert not more
    assert (request, TENANT) == (end.attributes.subject, end.attributes.tenant)
    assert ("failed", Reason.DEADLINE_EXCEEDED, known) == (
        end.data.outcome,
        end.data.reason,
        end.data.terms,
    )
    (reply,) = [each for each in world.published.sent if each.topic is REPLIES]
    assert 3 == reply.partition


async def test_a_stage_has_a_while_to_be_the_one_that_ends_it(world: World) -> None:
    await world.requests.admit(admitted(TENANT, new_request_id()))
    at(world, GRACE)

    await world.sweeper.round()

    assert [] == world.published.sent


async def test_copies_and_repeats_tell_the_same_end(world: World) -> None:
    await world.requests.admit(admitted(TENANT, new_request_id()))
    at(world, 2 * GRACE)

    await world.sweeper.round()
    await copy(world).round()

    first, second = world.published.ends()
    assert first.attributes.id == second.attributes.id
    assert [True] == list(await world.requests.finish([first]))
    assert [True] == list(await world.requests.finish([second]))


async def test_what_has_ended_is_left_alone(world: World) -> None:
    request = new_request_id()
    await world.requests.admit(admitted(TENANT, request))
    await world.requests.finish([ended(TENANT, request)])
    at(world, 2 * GRACE)

    await world.sweeper.round()

    assert [] == world.published.sent


async def test_a_full_batch_asks_for_another_round(world: World) -> None:
    ids = [RequestId(f"00000000-0000-7000-8000-{n:012}") for n in range(BATCH)]
    for request in ids:
        made: NewRequest = admitted(TENANT, request)
        await world.requests.admit(made)
    at(world, 2 * GRACE)

    assert await world.sweeper.round()
    assert BATCH == len(world.published.ends())


async def test_while_nobody_writes_the_ends_they_are_told_once_in_a_while(
    world: World,
) -> None:
    """The group is away, however long: its topic is not filled with one batch."""
    ids = [RequestId(f"00000000-0000-7000-8000-{n:012}") for n in range(BATCH + 1)]
    for request in ids:
        await world.requests.admit(admitted(TENANT, request))
    at(world, 2 * GRACE)
    rounds = [await world.sweeper.round() for _ in range(5)]
    told = len(world.published.ends())
    await world.requests.finish([ended(TENANT, request) for request in ids[:BATCH]])
    await world.sweeper.round()
    behind = [each.attributes.subject for each in world.published.ends()[told:]]
    at(world, 2 * GRACE + TOLD_AGAIN)
    await world.sweeper.round()

    assert ([True, False, False, False, False], BATCH) == (rounds, told)
    assert [ids[-1]] == behind
    assert BATCH + 2 == len(world.published.ends())


async def test_an_answer_that_nobody_took_is_forgotten(world: World) -> None:
    ref = await world.transient()
    at(world, GRACE - timedelta(seconds=1))
    await world.sweeper.round()
    kept = (await world.keys.fetch([ref]))[ref]
    at(world, GRACE)

    await world.sweeper.round()

    assert not isinstance(kept, Destroyed)
    assert isinstance((await world.keys.fetch([ref]))[ref], Destroyed)


async def test_all_that_nobody_took_is_forgotten_however_many_there_are(
    world: World,
) -> None:
    """More than are destroyed at once; no later round asks for them again."""
    refs = [await world.transient() for _ in range(BATCH + 1)]
    at(world, GRACE)

    await world.sweeper.round()

    found = {
        **await world.keys.fetch(refs[:BATCH]),
        **await world.keys.fetch(refs[BATCH:]),
    }
    assert [Destroyed()] * len(refs) == [found[ref] for ref in refs]


async def test_a_fresh_process_forgets_what_passed_before_it_began(
    world: World,
) -> None:
    ref = await world.transient()
    at(world, timedelta(hours=1))

    await copy(world).round()

    assert isinstance((await world.keys.fetch([ref]))[ref], Destroyed)


@dataclass(frozen=True, slots=True)
class Asked(MemoryRequests):
    """Remembers of which times it was asked what passed."""

    spans: list[tuple[datetime, datetime]] = field(default_factory=list)

    @override
    async def passing(self, since: datetime, until: datetime) -> Sequence[KeyRef]:
        self.spans.append((since, until))
        return await MemoryRequests.passing(self, since, until)


async def test_a_round_goes_on_where_the_last_one_ended(world: World) -> None:
    asked = Asked()
    sweeper = replace(world.sweeper, sweep=asked)
    for minutes in range(3):
        at(world, GRACE + timedelta(minutes=minutes))
        await sweeper.round()

    ends = [until for _, until in asked.spans]
    assert [DUE + timedelta(minutes=each) for each in range(3)] == ends
    assert ends[:-1] == [since for since, _ in asked.spans[1:]]


async def test_what_could_not_be_forgotten_is_forgotten_by_the_next_round(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref, forget, away = await world.transient(), world.keys.forget, [True]

    async def forgotten(keys: Sequence[KeyRef]) -> None:
        if away and away.pop():
            raise RetryableError("expected an answer")
        await forget(keys)

    monkeypatch.setattr(MemoryKeys, "forget", staticmethod(forgotten))
    at(world, GRACE)
    with pytest.raises(RetryableError):
        await world.sweeper.round()
    await world.sweeper.round()

    assert isinstance((await world.keys.fetch([ref]))[ref], Destroyed)


async def test_an_end_that_could_not_be_told_is_told_by_the_next_round(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.requests.admit(admitted(TENANT, new_request_id()))
    at(world, 2 * GRACE)
    with monkeypatch.context() as away:

        async def refused(*_: object) -> None:
            raise RetryableError("expected acknowledgements")

        away.setattr(Published, "publish", refused)
        with pytest.raises(RetryableError):
            await world.sweeper.round()
    await world.sweeper.round()

    assert 1 == len(world.published.ends())
