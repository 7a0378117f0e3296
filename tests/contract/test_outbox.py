"""The outbox: what its worker sees of its table, in Postgres and in the simulation."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Protocol

import asyncpg
import pytest
from typing_extensions import override

from infra.postgres import outbox
from infra.postgres.outbox import BATCH, Outbox
from infra.postgres.pool import as_tenant, open_pool
from pipeline.erasure import order
from pipeline.errors import RetryableError
from pipeline.ports.bus import Publisher, RawOutgoing
from schemas.ids import Actor, EventId, RequestId, TenantId, derived
from schemas.retention import ErasureOrdered
from schemas.topics import RETENTION_DUE, Outgoing
from tests.simulation.loop import Owner
from tests.simulation.outbox import Act, Table, connected
from tests.support.installation import Installation, known_tenant, new_tenant

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class House(Protocol):
    """A table, and what leads to it."""

    @property
    def pool(self) -> Any: ...

    async def put(self, kept: Sequence[Outgoing[Any]]) -> None:
        """In one transaction each, so that each is younger than those before."""
        ...


@dataclass
class Kept(Publisher):
    """Keeps what is published; ``away``: fails instead; ``gate``: waits for it."""

    alive = True
    ids: list[str] = field(default_factory=list)
    away: bool = False
    gate: asyncio.Event | None = None
    waits: asyncio.Event = field(default_factory=asyncio.Event)

    @override
    async def publish(self, outgoing: Sequence[Outgoing[Any]]) -> None:
        if self.gate is not None:
            self.waits.set()
            await self.gate.wait()
        if self.away:
            raise RetryableError("expected an answer")
        self.ids += [each.event.attributes.id for each in outgoing]

    @override
    async def publish_raw(self, outgoing: RawOutgoing) -> None:
        raise NotImplementedError


def event(tenant: TenantId, number: int = 1) -> Outgoing[Any]:
    job = EventId(derived(tenant, "job", str(number)))
    ref = RequestId(derived(tenant, "request", str(number)))
    data = ErasureOrdered(actor=Actor("user:operator"), scope="request", ref=ref)
    at = NOON + timedelta(seconds=number)
    return Outgoing(RETENTION_DUE, order(tenant, data, job, "/sluice/admin", at))


def ids(kept: Sequence[Outgoing[Any]]) -> list[str]:
    return [each.event.attributes.id for each in kept]


class OutboxContract:
    async def test_what_is_kept_is_published_once_the_oldest_first(
        self, house: House, tenant: TenantId
    ) -> None:
        kept = [event(tenant, number) for number in (3, 1, 2)]
        await house.put(kept)
        worker = Outbox(pool=house.pool, publisher=(out := Kept()))

        assert len(kept) == await worker.drain(tenant)
        assert ids(kept) == out.ids
        assert await worker.drain(tenant) == 0

    async def test_an_event_that_is_kept_twice_is_there_once(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.put([event(tenant), event(tenant)])

        worker = Outbox(pool=house.pool, publisher=Kept())

        assert await worker.drain(tenant) == 1

    async def test_another_tenants_events_are_not_seen(
        self, house: House, tenant: TenantId, other: TenantId
    ) -> None:
        await house.put([event(tenant)])
        worker = Outbox(pool=house.pool, publisher=Kept())

        assert await worker.drain(other) == 0
        assert await worker.drain(tenant) == 1

    async def test_a_round_reaches_every_tenant(
        self, house: House, tenant: TenantId, other: TenantId
    ) -> None:
        kept = [event(tenant), event(other)]
        await house.put(kept)
        out = Kept()

        assert not await Outbox(pool=house.pool, publisher=out).round()
        assert set(ids(kept)) <= set(out.ids)

    async def test_a_tenant_with_a_full_batch_holds_up_no_other(
        self,
        house: House,
        tenant: TenantId,
        other: TenantId,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(outbox, "BATCH", 1)
        kept = [event(tenant), event(other)]
        await house.put(kept)
        out = Kept()

        assert await Outbox(pool=house.pool, publisher=out).round()
        assert set(ids(kept)) <= set(out.ids)

    async def test_a_batch_is_no_larger_than_it_may_be(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.put([event(tenant, number) for number in range(BATCH + 1)])
        worker = Outbox(pool=house.pool, publisher=Kept())

        assert await worker.drain(tenant) == BATCH
        assert await worker.drain(tenant) == 1

    async def test_what_could_not_be_published_stays(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.put([event(tenant)])
        with pytest.raises(RetryableError):
            await Outbox(pool=house.pool, publisher=Kept(away=True)).drain(tenant)

        assert await Outbox(pool=house.pool, publisher=Kept()).drain(tenant) == 1

    async def test_what_one_copy_holds_another_passes_over(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.put([event(tenant, 1)])
        slow = Kept(gate=asyncio.Event())
        first = asyncio.create_task(
            Outbox(pool=house.pool, publisher=slow).drain(tenant)
        )
        await slow.waits.wait()
        await house.put([event(tenant, 2)])
        second = Kept()

        assert await Outbox(pool=house.pool, publisher=second).drain(tenant) == 1
        assert ids([event(tenant, 2)]) == second.ids
        assert slow.gate is not None
        slow.gate.set()
        assert await first == 1
        assert await Outbox(pool=house.pool, publisher=Kept()).drain(tenant) == 0

    async def test_a_copy_that_ends_in_the_middle_lets_go_of_what_it_held(
        self, house: House, tenant: TenantId
    ) -> None:
        await house.put([event(tenant)])
        slow = Kept(gate=asyncio.Event())
        ends = asyncio.create_task(
            Outbox(pool=house.pool, publisher=slow).drain(tenant)
        )
        await slow.waits.wait()
        ends.cancel()
        await asyncio.gather(ends, return_exceptions=True)

        assert await Outbox(pool=house.pool, publisher=Kept()).drain(tenant) == 1


@dataclass(frozen=True)
class TwinHouse:
    """The simulation's table, over a network that always answers."""

    table: Table = field(default_factory=Table)
    owner: Owner = field(default_factory=lambda: Owner("worker"))

    @property
    def pool(self) -> Any:
        return SimpleNamespace(
            acquire=lambda: connected(self.table, _answered, self.owner)
        )

    async def put(self, kept: Sequence[Outgoing[Any]]) -> None:
        for each in kept:
            self.table.put(each)


async def _answered(_: str, act: Act) -> Any:
    return await act()


class TestTwinOutbox(OutboxContract):
    @pytest.fixture
    def house(self) -> House:
        return TwinHouse()

    @pytest.fixture
    def tenant(self) -> TenantId:
        return new_tenant()

    @pytest.fixture
    def other(self) -> TenantId:
        return new_tenant()

    async def test_what_a_dead_process_held_is_free(self, tenant: TenantId) -> None:
        """Postgres ends a session whose connection is gone."""
        house = TwinHouse()
        await house.put([event(tenant)])
        slow = Kept(gate=asyncio.Event())
        held = asyncio.create_task(
            Outbox(pool=house.pool, publisher=slow).drain(tenant)
        )
        await slow.waits.wait()
        house.owner.dead = True
        after = TwinHouse(house.table)

        assert await Outbox(pool=after.pool, publisher=Kept()).drain(tenant) == 1
        held.cancel()


@dataclass(frozen=True)
class PostgresHouse:
    """The worker's login."""

    pool: asyncpg.Pool

    async def put(self, kept: Sequence[Outgoing[Any]]) -> None:
        for each in kept:
            tenant = each.event.attributes.tenant
            async with as_tenant(self.pool, tenant) as connection:
                await outbox.put(connection, each)


@pytest.mark.integration
class TestPostgresOutbox(OutboxContract):
    @pytest.fixture
    async def pool(self, installation: Installation) -> AsyncIterator[asyncpg.Pool]:
        url = installation.urls["sluice_worker"]
        async with await open_pool(url, size=4) as opened:
            yield opened

    @pytest.fixture
    def house(self, pool: asyncpg.Pool) -> House:
        return PostgresHouse(pool)

    @pytest.fixture
    async def tenant(self, installation: Installation) -> TenantId:
        return await known_tenant(installation)

    @pytest.fixture
    async def other(self, installation: Installation) -> TenantId:
        return await known_tenant(installation)

    async def test_what_began_first_goes_first_though_it_was_kept_last(
        self, house: House, tenant: TenantId
    ) -> None:
        first, second = event(tenant, 1), event(tenant, 2)
        async with as_tenant(house.pool, tenant) as connection:
            await house.put([second])
            await outbox.put(connection, first)
        out = Kept()
        await Outbox(pool=house.pool, publisher=out).drain(tenant)

        assert ids([first, second]) == out.ids
