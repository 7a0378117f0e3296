"""What time has passed over, in Postgres: first whose it is, then each tenant's own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg
from typing_extensions import override

from infra.postgres.logs import AS_FINDER, waiting
from infra.postgres.pool import as_tenant
from pipeline.keystore import KeyId
from pipeline.ports.keys import KeyRef
from pipeline.ports.requests import Overdue, Sweep
from schemas.ids import RequestId, TenantId
from schemas.requests import Terms

_OPEN: Final = " from sluice.request where finished_at is null and deadline < $1"
_PASSING: Final = (
    " from sluice.request where transient and deadline > $1 and deadline <= $2"
)
WHO: Final = "select distinct tenant_id"
_OPEN_LOG: Final = (
    " and tenant_id in (select tenant_id from sluice.tenant where state <> 'closed')"
)
OVERDUE: Final = "select id, terms" + _OPEN + " order by deadline limit $2"
PASSING: Final = "select id, terms ->> 'key_id' as key_id" + _PASSING


async def finding(pool: asyncpg.Pool, sql: str, *values: object) -> list[TenantId]:
    """The tenants that have something due.

    Raises:
        RetryableError: Postgres is away.
    """
    with waiting():
        async with pool.acquire() as connection, connection.transaction(readonly=True):
            await connection.execute(AS_FINDER)
            rows = await connection.fetch(sql, *values)
    return [TenantId(str(row["tenant_id"])) for row in rows]


@dataclass(frozen=True, slots=True)
class PostgresSweep(Sweep):
    """Reads through each tenant's own door."""

    pool: asyncpg.Pool

    @override
    async def overdue(self, before: datetime, limit: int) -> Sequence[Overdue]:
        found = []
        for tenant in await finding(self.pool, WHO + _OPEN, before):
            async with as_tenant(self.pool, tenant, readonly=True) as connection:
                rows = await connection.fetch(OVERDUE, before, limit)
            found += [_overdue(tenant, row) for row in rows]
        return found

    @override
    async def transient(self, since: datetime, until: datetime) -> Sequence[TenantId]:
        return await finding(self.pool, WHO + _PASSING + _OPEN_LOG, since, until)

    @override
    async def passing(self, since: datetime, until: datetime) -> Sequence[KeyRef]:
        found = []
        for tenant in await finding(self.pool, WHO + _PASSING, since, until):
            async with as_tenant(self.pool, tenant, readonly=True) as connection:
                rows = await connection.fetch(PASSING, since, until)
            found += [
                KeyRef(tenant, RequestId(str(row["id"])), KeyId(row["key_id"]))
                for row in rows
            ]
        return found


def _overdue(tenant: TenantId, row: asyncpg.Record) -> Overdue:
    terms = Terms.model_validate_json(row["terms"])
    return Overdue(tenant, RequestId(str(row["id"])), terms)
