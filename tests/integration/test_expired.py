"""What lies in tables under keys whose time is over, beside who holds it.

What goes at all is the contract: ``tests/contract/test_expired.py``.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from demo.stack import Stack
from infra.postgres.expired import PostgresExpired
from infra.postgres.pool import as_tenant, open_pool
from infra.postgres.retention import PostgresPurges
from pipeline.keystore import Partition, class_named, key_id
from pipeline.ports.retention import Plan
from pipeline.retention import last_expired
from producers.expired import Expired
from schemas.ids import EventId, RequestId, TenantId
from schemas.requests import Arrival
from schemas.retention import Forgotten
from tests.support.gateway import HeldClock
from tests.support.installation import ENTROPY, new_request_id, new_tenant, terms
from tests.support.ledger import Database, database

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TENANT = "insert into sluice.tenant (name) values ('somebody')"
REQUEST = """
insert into sluice.request
  (id, terms, fingerprint, accepted_at, deadline, finished_at, finished_by, finished)
values ($1, $2, sha256(''), now(), now(), now(), $1,
        jsonb_build_object('outcome', 'completed', 'answer', jsonb_build_object(
          'sealed', 'AA==', 'commit', repeat('0', 64))))
"""
CALL = """
insert into sluice.provider_call (request_id, lease_until, result)
values ($1, $2, 'sealed')
"""
ANSWERED = "select id from sluice.request where finished -> 'answer' is not null"
CALLED = "select request_id from sluice.provider_call"
HOLD = "select from sluice.request where id = $1 for update"


@dataclass(frozen=True, slots=True)
class World:
    pool: asyncpg.Pool
    rows: PostgresExpired
    tenant: TenantId

    async def answered(
        self, name: str, day: date, arrival: Arrival | None = None
    ) -> RequestId:
        """A request whose answer lies under a key of this class and day."""
        request = new_request_id()
        key = key_id(Partition(class_named(name), day), ENTROPY.bytes(13))
        known = terms(key_id=key, arrival=arrival).model_dump_json().encode()
        async with as_tenant(self.pool, self.tenant) as connection:
            await connection.execute(REQUEST, UUID(request), known)
        return request

    async def called(self, at: datetime) -> RequestId:
        request = new_request_id()
        async with as_tenant(self.pool, self.tenant) as connection:
            await connection.execute(CALL, UUID(request), at)
        return request

    async def left(self, sql: str) -> set[RequestId]:
        async with as_tenant(self.pool, self.tenant) as connection:
            return {RequestId(str(row[0])) for row in await connection.fetch(sql)}

    async def expire(self, limit: int = 1_000) -> int:
        return await self.rows.answers(self.tenant, last_expired(NOW), limit)


@pytest.fixture(scope="module")
def made(stack: Stack) -> Iterator[Database]:
    with database(stack.postgres_url) as made:
        yield made


@pytest.fixture
async def world(made: Database) -> AsyncIterator[World]:
    pool = await open_pool(made.worker, size=3)
    tenant = new_tenant()
    async with as_tenant(pool, tenant) as connection:
        await connection.execute(TENANT)
    try:
        yield World(pool, PostgresExpired(pool), tenant)
    finally:
        await pool.close()


async def test_a_batch_is_bounded_and_leaves_what_another_holds(world: World) -> None:
    old = NOW.date() - timedelta(days=30)
    requests = [await world.answered("1d", old) for _ in range(5)]

    async with as_tenant(world.pool, world.tenant) as other:
        await other.fetch(HOLD, UUID(requests[0]))
        batches = [await world.expire(2) for _ in range(4)]

    assert [2, 2, 0, 0] == batches
    assert {requests[0]} == await world.left(ANSWERED)
    assert 1 == await world.expire(2)


async def test_a_round_does_all_tenants_to_the_end(world: World) -> None:
    clock = HeldClock()
    old = clock.now().date() - timedelta(days=30)
    await world.answered("1d", old)
    await world.called(clock.now() - timedelta(days=2))

    async def tenants() -> list[TenantId]:
        return [new_tenant(), world.tenant]

    worker = Expired(rows=world.rows, tenants=tenants, clock=clock)
    more = await worker.round()

    assert not more
    assert set() == await world.left(ANSWERED)
    assert set() == await world.left(CALLED)


async def test_the_end_of_a_day_deletes_its_answers_and_knows_how_they_came(
    world: World,
) -> None:
    day = NOW.date() - timedelta(days=2)
    gone = await world.answered("1d", day, Arrival.PLAIN)
    stay = {
        await world.answered("1d", day - timedelta(days=1), Arrival.LETTER),
        await world.answered("7d", day, Arrival.LETTER),
    }
    purges = PostgresPurges(world.pool)
    partition = Partition(class_named("1d"), day)
    sample = await purges.sample(world.tenant, partition)
    plan = await purges.begin(
        Plan(
            job=EventId(ENTROPY.uuid7()),
            tenant=world.tenant,
            scope=Forgotten(kind="class", ref=partition.name),
            requested_at=NOW,
            as_of=NOW,
            keys=(sample[0],) if sample else (),
            probe=sample[1] if sample else None,
        )
    )

    (target,) = await purges.delete_rows(plan)
    again = await purges.delete_rows(plan)

    assert sample is not None
    assert (gone, b"\0") == (sample[0].request_id, sample[1])
    assert (1, 0) == (target.deleted, target.remaining)
    assert [target] == list(again)
    assert stay == await world.left(ANSWERED)
    assert [Arrival.PLAIN] == list(await purges.arrivals(plan))
    assert None is await purges.sample(world.tenant, partition)
