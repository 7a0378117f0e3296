"""What lies in tables under keys whose time is over, beside who holds it.

What goes at all is the contract: ``tests/contract/test_expired.py``.
"""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from demo.stack import Stack
from infra.postgres import retention
from infra.postgres.expired import ANSWERS
from infra.postgres.pool import as_tenant, open_pool
from infra.postgres.retention import DELETE_DAY, LEFT_OF_DAY, PostgresPurges
from infra.system import SystemClock
from pipeline.keystore import Partition, class_named
from pipeline.ports.retention import Plan
from producers.expired import Expired
from schemas.ids import EventId, TenantId
from schemas.requests import Arrival
from schemas.retention import Forgotten
from tests.support.expired import (
    ANSWER,
    LONG_AGO,
    NOW,
    TODAY,
    World,
    a_day_ago,
    in_postgres,
)
from tests.support.installation import ENTROPY, new_tenant
from tests.support.ledger import Database, database

pytestmark = pytest.mark.integration

HOLD = "select from sluice.request where id = $1 for update"
HOLD_CALL = "select from sluice.provider_call where request_id = $1 for update"


@pytest.fixture(scope="module")
def made(stack: Stack) -> Iterator[Database]:
    with database(stack.postgres_url) as made:
        yield made


@pytest.fixture
async def pool(made: Database) -> AsyncIterator[asyncpg.Pool]:
    async with await open_pool(made.worker, size=3) as opened:
        yield opened


@pytest.fixture
async def world(pool: asyncpg.Pool, made: Database) -> World:
    return await in_postgres(pool, made.admin)


async def test_a_batch_leaves_what_another_holds(
    world: World, pool: asyncpg.Pool
) -> None:
    requests = [await world.ended("1d", LONG_AGO) for _ in range(5)]

    async with as_tenant(pool, world.tenant) as other:
        await other.fetch(HOLD, UUID(requests[0]))
        batches = [await world.expire(2) for _ in range(4)]

    assert [2, 2, 0, 0] == batches
    assert [True] + [False] * 4 == [await world.answered(each) for each in requests]
    assert 1 == await world.expire(2)


async def test_a_call_that_another_holds_is_left_for_later(
    world: World, pool: asyncpg.Pool
) -> None:
    calls = [await world.called(timedelta(days=2)) for _ in range(3)]

    async with as_tenant(pool, world.tenant) as other:
        await other.fetch(HOLD_CALL, UUID(calls[0]))
        deleted = await world.rows.calls(world.tenant, a_day_ago(), 10)

    begun = [await world.calls.begun(world.tenant, each) for each in calls]
    assert 2 == deleted
    assert [True, False, False] == begun


async def test_a_round_does_all_tenants_to_the_end(world: World) -> None:
    request = await world.ended("1d", LONG_AGO)
    call = await world.called(timedelta(days=2))

    async def tenants() -> list[TenantId]:
        return [new_tenant(), world.tenant]

    worker = Expired(rows=world.rows, tenants=tenants, clock=SystemClock())
    more = await worker.round()

    assert not more
    assert not await world.answered(request)
    assert not await world.calls.begun(world.tenant, call)


async def test_the_end_of_a_day_deletes_its_answers_and_knows_how_they_came(
    world: World, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where they are more than a transaction deletes."""
    monkeypatch.setattr(retention, "BATCH", 2)
    day, letter = TODAY - timedelta(days=2), Arrival.LETTER
    times = [NOW + hours * timedelta(hours=1) for hours in (1, 2, 0)]
    gone = [
        await world.ended("1d", day, findings=(ANSWER,), arrival=Arrival.PLAIN, at=at)
        for at in times
    ]
    stay = [
        await world.ended("1d", day - timedelta(days=1), arrival=letter),
        await world.ended("7d", day, arrival=letter),
    ]
    purges = PostgresPurges(pool)
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
    assert sample[0].request_id in gone
    assert ANSWER.sealed == sample[1]
    assert (3, 0) == (target.deleted, target.remaining)
    assert [target] == list(again)
    assert [False] * 3 == [await world.answered(each) for each in gone]
    assert [True, True] == [await world.answered(each) for each in stay]
    assert {Arrival.PLAIN: max(times)} == await purges.arrivals(plan)
    assert None is await purges.sample(world.tenant, partition)


MANY_MORE = """
select format(
    'insert into sluice.request (%s) select %s from sluice.request, '
    'generate_series(1, 3000) where tenant_id = %L',
    told, replace(told, ' id,', ' gen_random_uuid(),'), $1::uuid)
  from (select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute
         where attrelid = 'sluice.request'::regclass and attnum > 0
           and attgenerated = '' and not attisdropped) columns (told)
"""


@pytest.mark.parametrize(
    ("query", "given"),
    [
        (ANSWERS, (["00"], ["ffff"], 1_000)),
        (LEFT_OF_DAY, ("00", "ffff")),
        (DELETE_DAY, ("00", "ffff", 1_000)),
    ],
)
async def test_who_has_many_requests_without_any_is_not_read_as_a_whole(
    world: World,
    made: Database,
    pool: asyncpg.Pool,
    query: str,
    given: tuple[object, ...],
) -> None:
    await world.ended("1d", LONG_AGO, answer=None)
    root = await asyncpg.connect(made.admin)
    try:
        await root.execute(await root.fetchval(MANY_MORE, UUID(world.tenant)))
        await root.execute("vacuum analyze sluice.request")
    finally:
        await root.close()

    async with as_tenant(pool, world.tenant) as connection:
        plan = await connection.fetch(f"explain {query}", *given)

    assert not [line for (line,) in plan if "Seq Scan" in line]
