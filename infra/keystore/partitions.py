"""Days of keys in Postgres: made ahead, detached without a wait, dropped, rewritten."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass

import asyncpg
from typing_extensions import override

from infra.keystore.errors import waiting
from pipeline.errors import IntegrityError, RetryableError
from pipeline.keystore import CLASSES, Partition
from pipeline.ports.keys import KeyPartitions
from schemas.ids import TenantId

ADD = "select keystore.partition_add($1, $2)"
ALL = "select * from keystore.partitions()"
ONE = "select * from keystore.partitions() where class = $1 and day = $2"
PENDING = (
    "select finalize from keystore.partitions()"
    " where class = $1 and finalize is not null"
)
COUNTS = "select * from keystore.partition_counts($1, $2)"
REMAINS = """
select class, day, since, keystore.unseen(deleted_by) as unseen
  from keystore.remains order by class, day
"""
CLEAN = "delete from keystore.remains where (class, day, since) = ($1, $2, $3)"
TRY = "select pg_try_advisory_lock(hashtext('keystore.partitions'))"
BECOME = "set role sluice_keystore_owner; set lock_timeout = '2s'"
LEAVE = "reset role; reset lock_timeout; select pg_advisory_unlock_all()"


@dataclass(frozen=True, slots=True)
class PostgresKeyPartitions(KeyPartitions):
    """Acts as the owner of the tables, who reads no row of them.

    A detach runs outside any transaction on a connection of its own, so the pool must
    reach Postgres itself, not a transaction pooler.
    """

    pool: asyncpg.Pool

    @override
    async def prepare(self, wanted: Sequence[Partition]) -> int:
        made = 0
        for each in wanted:
            with waiting():
                made += await self.pool.fetchval(ADD, *_named(each))
        return made

    @override
    async def there(self) -> Sequence[Partition]:
        with waiting():
            rows = await self.pool.fetch(ALL)
        return [Partition(CLASSES[row["class"]], row["day"]) for row in rows]

    @override
    async def detach(self, partition: Partition) -> Mapping[TenantId, int]:
        async with self._owner() as connection:
            await _finalize(connection, partition)
            steps = await connection.fetchrow(ONE, *_named(partition))
            if steps is None:
                return {}
            if steps["detach"]:
                await connection.execute(steps["detach"])
            rows = await connection.fetch(COUNTS, *_named(partition))
        return {TenantId(str(row["tenant_id"])): row["keys"] for row in rows}

    @override
    async def retire(self, partition: Partition) -> None:
        async with self._owner() as connection:
            steps = await connection.fetchrow(ONE, *_named(partition))
            if steps is None:
                return
            if steps["detach"] or steps["finalize"]:
                raise IntegrityError("expected a day of keys that was detached")
            await connection.execute(steps["retire"])

    @override
    async def rewrite(self) -> int:
        async with self._owner() as connection:
            remains = await connection.fetch(REMAINS)
            done = [await _rewritten(connection, row) for row in remains]
        if not all(done):
            raise RetryableError("somebody holds a day of keys; the others were done")
        return len(remains)

    @asynccontextmanager
    async def _owner(self) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy]:
        """A connection that is the owner until it is given back."""
        with waiting():
            async with self.pool.acquire() as connection:
                if not await connection.fetchval(TRY):
                    raise RetryableError("another copy is at the days of keys")
                try:
                    await connection.execute(BECOME)
                    yield connection
                finally:
                    await _left(connection)


async def _left(connection: asyncpg.pool.PoolConnectionProxy) -> None:
    """Nobody gets a connection that may still be the owner: it is given up."""
    with ExitStack() as unless_left:
        unless_left.callback(connection.terminate)
        await connection.execute(LEAVE)
        unless_left.pop_all()


async def _rewritten(
    connection: asyncpg.pool.PoolConnectionProxy, row: asyncpg.Record
) -> bool:
    """Rewrite one day; False: it was not free within seconds."""
    steps = await connection.fetchrow(ONE, row["class"], row["day"])
    if steps is not None:
        try:
            await connection.execute(steps["rewrite"])
        except asyncpg.LockNotAvailableError:
            return False
    if steps is None or row["unseen"]:
        await connection.execute(CLEAN, row["class"], row["day"], row["since"])
    return True


async def _finalize(
    connection: asyncpg.pool.PoolConnectionProxy, partition: Partition
) -> None:
    """Finish what was cut short: until then Postgres refuses the next detach."""
    code = partition.retention_class.code
    for row in await connection.fetch(PENDING, code):
        await connection.execute(row["finalize"])


def _named(partition: Partition) -> tuple[int, object]:
    return partition.retention_class.code, partition.day
