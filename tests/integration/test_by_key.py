"""A batch reads what it names, in tables that nobody analysed yet as in any other."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from demo.stack import Stack
from infra.keystore.store import PostgresKeyStore
from infra.postgres.ledger import PostgresLedger
from infra.postgres.pool import open_pool
from infra.postgres.requests import PostgresProviderCalls, PostgresRequests
from infra.system import SystemEntropy
from tests.support.audit import recorded
from tests.support.installation import (
    Installation,
    admitted,
    ended,
    known_tenant,
    new_request_id,
    new_tenant,
)
from tests.support.keystore import MONTH, Database, database, kms, new_key, opened, ref

pytestmark = pytest.mark.integration

MANY, FEW = 600, 5
"""How many rows a tenant has, and how many of them a batch names."""
LEASE = timedelta(seconds=60)
ENTRIES = """
    select sum(i.read + t.read) from
      (select sum(idx_tup_read) from pg_stat_user_indexes) i (read),
      (select sum(seq_tup_read) from pg_stat_user_tables) t (read)
"""


@pytest.fixture(scope="module")
def keystore(stack: Stack) -> Iterator[Database]:
    with database(stack.postgres_url) as made:
        yield made


@pytest.fixture
async def pool(installation: Installation) -> AsyncIterator[asyncpg.Pool]:
    async with await open_pool(installation.urls["sluice_worker"], size=1) as opened:
        yield opened


async def read_by(
    pool: asyncpg.Pool, admin: str, batch: Callable[[], Awaitable[object]]
) -> int:
    """Entries of indexes and rows of tables that a batch reads in this database."""
    before = await _read(pool, admin)
    await batch()
    return await _read(pool, admin) - before


async def _read(pool: asyncpg.Pool, admin: str) -> int:
    await pool.execute("select pg_stat_force_next_flush()")
    connection = await asyncpg.connect(admin)
    try:
        return int(await connection.fetchval(ENTRIES))
    finally:
        await connection.close()


async def test_what_was_admitted_is_claimed_and_ended_by_key(
    installation: Installation, pool: asyncpg.Pool
) -> None:
    tenant = await known_tenant(installation)
    requests, calls = PostgresRequests(pool), PostgresProviderCalls(pool)
    made = [admitted(tenant, new_request_id()) for _ in range(MANY)]
    ids = [each.request_id for each in made]

    async def admit(first: int) -> None:
        await asyncio.gather(*(requests.admit(each) for each in made[first:]))

    async def take(first: int) -> None:
        await asyncio.gather(*(calls.take(tenant, each, LEASE) for each in ids[first:]))

    async def finish(first: int) -> None:
        await requests.finish([ended(tenant, each) for each in ids[first:]])

    for step in (admit, take, finish):
        await step(0)
        read = await read_by(pool, installation.superuser, partial(step, -FEW))
        assert MANY > read


async def test_what_the_ledger_has_of_a_batch_is_looked_for_by_id(
    installation: Installation, pool: asyncpg.Pool
) -> None:
    tenant = new_tenant()
    ledger = PostgresLedger(pool=pool, domain="by-key", entropy=SystemEntropy())
    made = [recorded(f"{n}", tenant=tenant, request=f"{n}") for n in range(MANY)]
    await ledger.append(made)

    async def again() -> None:
        assert FEW == (await ledger.append(made[-FEW:])).repeats

    assert MANY > await read_by(pool, installation.superuser, again)


async def test_keys_are_fetched_by_id(keystore: Database, tmp_path: Path) -> None:
    tenant = new_tenant()
    async with opened(keystore, kms(tmp_path)) as keys:
        await keys.partitions.prepare([MONTH])
        await keys.keeper.enrol(tenant)
        new = [new_key(tenant) for _ in range(MANY)]
        await keys.store.create(new)
        few = [ref(each) for each in new[-FEW:]]
        assert isinstance(keys.store, PostgresKeyStore)

        read = await read_by(
            keys.store.pool, keystore.admin, lambda: keys.store.fetch(few)
        )

    assert MANY > read
