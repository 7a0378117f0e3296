"""The end of a log in Postgres: deleted whole, by a role that may do nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from typing_extensions import override

from infra.postgres.logs import reading_as
from infra.postgres.pool import Connection
from pipeline.errors import IntegrityError
from pipeline.ports.ledger import Deleted, Deleter
from schemas.ids import TenantId

KEPT = """
select origin, record, proof, root_salt, root_seq from sluice.ledger_deleted
 where tenant_id = $1
"""
DELETE = "select sluice.ledger_delete($1, $2, $3, $4, $5, $6)"


@dataclass(frozen=True, slots=True)
class PostgresDeleter(Deleter):
    """One transaction a log; the database itself checks what is to be kept of it."""

    pool: asyncpg.Pool

    @override
    async def delete(self, kept: Deleted) -> None:
        async with deleting(self.pool, kept):
            pass


@asynccontextmanager
async def deleting(pool: asyncpg.Pool, kept: Deleted) -> AsyncIterator[Connection]:
    """The transaction in which a log is deleted; what tells of it goes along.

    Raises:
        IntegrityError, RetryableError: as :meth:`Deleter.delete` does.
    """
    rooted = kept.rooted
    row = (kept.origin, kept.record, kept.proof, rooted.salt, rooted.seq)
    async with reading_as(
        pool, "sluice_ledger_deleter", kept.tenant, readonly=False
    ) as connection:
        before = await _kept(connection, kept.tenant)
        if before is None:
            await _delete(connection, kept.tenant, row)
        elif tuple(before) != row:
            raise IntegrityError("another record was kept of this log")
        yield connection


async def _kept(
    connection: PoolConnectionProxy, tenant: TenantId
) -> asyncpg.Record | None:
    return await connection.fetchrow(KEPT, tenant)


async def _delete(
    connection: PoolConnectionProxy, tenant: TenantId, row: tuple[object, ...]
) -> None:
    try:
        await connection.execute(DELETE, tenant, *row)
    except asyncpg.CheckViolationError:
        raise IntegrityError("expected a log that was closed and signed") from None
