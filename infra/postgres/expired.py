"""Rows whose keys have expired, in Postgres: a bounded batch a transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import asyncpg
from typing_extensions import override

from infra.postgres.logs import waiting
from infra.postgres.pool import as_tenant
from pipeline.keystore import Partition, RetentionClass, partition_prefix
from pipeline.ports.retention import ExpiredRows
from schemas.ids import TenantId

LIMITS: Final = "set local lock_timeout = '1s'; set local statement_timeout = '5s'"
SEALED: Final = (
    "(jsonb_typeof(finished -> 'answer') = 'object'"
    " or jsonb_typeof(finished -> 'findings' -> 0) = 'object')"
)
"""A request that holds an answer or findings: as the index says it, or none is used."""
ANSWERS: Final = f"""
with old as (
  select r.id from sluice.request r
    join unnest($1::text[], $2::text[]) due (class, day)
      on substr(r.terms ->> 'key_id', 5, 2) = due.class
     and substr(r.terms ->> 'key_id', 1, 4) <= due.day
   where {SEALED}
     and r.tenant_id = (select auth.tenant_id())
   limit $3 for update of r skip locked
)
update sluice.request r set finished = r.finished - 'answer' - 'findings' from old
 where r.id = old.id and r.tenant_id = (select auth.tenant_id())
"""  # noqa: S608 - a constant
CALLS: Final = """
with old as (
  select c.request_id from sluice.provider_call c
   where c.lease_until < $1 and c.tenant_id = (select auth.tenant_id())
   limit $2 for update skip locked
)
delete from sluice.provider_call c using old
 where c.request_id = old.request_id and c.tenant_id = (select auth.tenant_id())
"""


@dataclass(frozen=True, slots=True)
class PostgresExpired(ExpiredRows):
    """One tenant at a time, through its own door; what is locked is left for later."""

    pool: asyncpg.Pool

    @override
    async def answers(
        self, tenant: TenantId, until: Mapping[RetentionClass, date], limit: int
    ) -> int:
        prefixes = [partition_prefix(Partition(*each)) for each in until.items()]
        classes = [prefix[4:] for prefix in prefixes]
        days = [prefix[:4] for prefix in prefixes]
        return await self._done(tenant, ANSWERS, classes, days, limit)

    @override
    async def calls(self, tenant: TenantId, before: datetime, limit: int) -> int:
        return await self._done(tenant, CALLS, before, limit)

    async def _done(self, tenant: TenantId, sql: str, *values: object) -> int:
        with waiting():
            async with as_tenant(self.pool, tenant) as connection:
                await connection.execute(LIMITS)
                status: str = await connection.execute(sql, *values)
        return int(status.rpartition(" ")[2])
