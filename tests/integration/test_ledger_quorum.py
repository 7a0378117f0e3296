"""A commit that no standby confirmed is never acknowledged, however it ends.

The server waits for a standby that does not exist, as it does when a zone is lost.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from demo import stack as local
from infra.system import SystemClock
from pipeline.errors import RetryableError
from tests.support.audit import recorded
from tests.support.ledger import Database, database, new_tenant, opened

pytestmark = [pytest.mark.integration, pytest.mark.serial]

WAITING = """
    select pid from pg_stat_activity
     where usename = 'sluice_worker' and wait_event = 'SyncRep'
"""


@pytest.fixture(scope="module")
def made() -> Iterator[Database]:
    with (
        local.temporary(durable=False) as running,
        database(running.postgres_url) as made,
    ):
        yield made


@asynccontextmanager
async def without_a_standby(made: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(made.admin)
    await connection.execute("set synchronous_commit = local")
    try:
        await wanted(connection, "ANY 1 (elsewhere)")
        yield connection
    finally:
        await wanted(connection, "")
        await connection.close()


async def wanted(connection: asyncpg.Connection, names: str) -> None:
    await connection.execute(f"alter system set synchronous_standby_names = '{names}'")
    await connection.execute("select pg_reload_conf()")
    while names != await connection.fetchval("show synchronous_standby_names"):
        await SystemClock().sleep(0.01)


async def waiting(connection: asyncpg.Connection) -> int:
    while True:
        pid: int | None = await connection.fetchval(WAITING)
        if pid is not None:
            return pid
        await SystemClock().sleep(0.01)


async def test_a_cancelled_wait_is_not_an_acknowledgement(made: Database) -> None:
    """The server answers the commit with success and a warning."""
    tenant = new_tenant()
    event = recorded("a", tenant=tenant)
    async with opened(made) as books:
        async with without_a_standby(made) as admin:
            task = asyncio.create_task(books.ledger.append([event]))
            pid = await waiting(admin)
            await admin.execute("select pg_cancel_backend($1)", pid)

            with pytest.raises(RetryableError, match="standbys"):
                await task
            seen = await books.logs.read(tenant, 0, 9)

        again = await books.ledger.append([event])

        # The rows were visible all the while: the repeat finds them.
        assert 2 == len(seen) == len(await books.logs.read(tenant, 0, 9))
        assert 1 == again.repeats


async def test_a_wait_beyond_the_deadline_is_not_an_acknowledgement(
    made: Database,
) -> None:
    tenant = new_tenant()
    event = recorded("a", tenant=tenant)
    async with opened(made, deadline_s=0.5) as books:
        async with without_a_standby(made):
            with pytest.raises(RetryableError):
                await books.ledger.append([event])

        appended = await books.ledger.append([event])

        assert 1 == appended.places[event.attributes.id].seq
        assert 2 == len(await books.logs.read(tenant, 0, 9))


async def test_the_servers_own_timeout_does_not_end_the_wait(made: Database) -> None:
    """So the deadline is ours: `statement_timeout` is over long before it."""
    tenant = new_tenant()
    event = recorded("a", tenant=tenant)
    limit = {"statement_timeout": "200ms"}
    async with opened(made, deadline_s=2, settings=limit) as books:
        async with without_a_standby(made) as admin:
            task = asyncio.create_task(books.ledger.append([event]))
            pid = await waiting(admin)
            await SystemClock().sleep(1)
            still = await waiting(admin)
            with pytest.raises(RetryableError, match="Timeout"):
                await task

        again = await books.ledger.append([event])

    assert pid == still
    assert 1 == again.repeats


async def test_a_server_that_stops_while_we_wait_is_not_an_acknowledgement(
    made: Database,
) -> None:
    tenant = new_tenant()
    async with opened(made) as books, without_a_standby(made) as admin:
        task = asyncio.create_task(books.ledger.append([recorded("a", tenant=tenant)]))
        pid = await waiting(admin)
        await admin.execute("select pg_terminate_backend($1)", pid)

        with pytest.raises(RetryableError):
            await task
