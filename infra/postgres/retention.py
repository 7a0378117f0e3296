"""Jobs of forgetting in Postgres, and the map of what lies in which table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import asyncpg
from typing_extensions import override

from infra.postgres.expired import SEALED
from infra.postgres.pool import as_purger, as_tenant
from pipeline.keystore import (
    KeyId,
    Partition,
    key_id_bytes,
    partition_named,
    partition_prefix,
)
from pipeline.ports.keys import KeyRef
from pipeline.ports.retention import Plan, Purges
from schemas.ids import EventId, RequestId, TenantId
from schemas.requests import Arrival, SealedContent
from schemas.retention import Forgotten, Target

BATCH = 1_000
"""Requests whose rows a transaction deletes at most: it holds no lock for long."""


class Holds(StrEnum):
    """What a table holds, as forgetting sees it."""

    CONTENT = "content"
    SETTINGS = "settings"
    EVIDENCE = "evidence"
    WORK = "work"


@dataclass(frozen=True, slots=True)
class Table:
    """A table, and how it forgets requests.

    Attributes:
        erase: deletes what is content of the requests ``$1``.
        left: counts in how many of them some is left.
    """

    holds: Holds
    erase: str = ""
    left: str = ""


ERASE = f"""
update sluice.request set finished = finished - 'answer' - 'findings'
 where id = any ($1) and {SEALED}
"""  # noqa: S608 - a constant
LEFT = f"""
select count(*) from sluice.request where id = any ($1) and {SEALED}
"""  # noqa: S608 - a constant
TABLES: Mapping[str, Table] = {
    "request": Table(Holds.CONTENT, erase=ERASE, left=LEFT),
    "provider_call": Table(
        Holds.CONTENT,
        erase="delete from sluice.provider_call where request_id = any ($1)",
        left="select count(*) from sluice.provider_call where request_id = any ($1)",
    ),
    "webhook_endpoint": Table(Holds.SETTINGS),
    "webhook_secret": Table(Holds.SETTINGS),
    "webhook_message": Table(Holds.WORK),
    "webhook_delivery": Table(Holds.WORK),
    "webhook_attempt": Table(Holds.WORK),
    "tenant": Table(Holds.SETTINGS),
    "route": Table(Holds.SETTINGS),
    "policy": Table(Holds.SETTINGS),
    "api_key": Table(Holds.SETTINGS),
    "api_key_secret": Table(Holds.SETTINGS),
    "client": Table(Holds.SETTINGS),
    "outbox": Table(Holds.WORK),
    "ledger_log": Table(Holds.EVIDENCE),
    "ledger_head": Table(Holds.EVIDENCE),
    "ledger_entry": Table(Holds.EVIDENCE),
    "ledger_tile": Table(Holds.EVIDENCE),
    "ledger_checkpoint": Table(Holds.EVIDENCE),
    "ledger_anchor": Table(Holds.EVIDENCE),
    "ledger_deleted": Table(Holds.EVIDENCE),
    "ledger_source": Table(Holds.WORK),
    "delivery_release": Table(Holds.WORK),
    "purge_job": Table(Holds.EVIDENCE),
}
"""Every table of the database; a test refuses one that is not here."""

BEGIN = """
insert into sluice.purge_job
  (id, scope, ref, requested_at, as_of, key_ids, request_ids, probe)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict do nothing
"""
PLAN = "select * from sluice.purge_job where id = $1"
COUNT = "select sluice.purge_count($1, $2, $3)"
ARRIVALS = """
select terms ->> 'arrival' as arrival, max(accepted_at) as last
  from sluice.request
 where id = any ($1) and terms ->> 'arrival' is not null
 group by 1
"""
SAMPLE = """
select id, terms ->> 'key_id' as key_id, finished -> 'answer' as answer
  from sluice.request
 where tenant_id = (select auth.tenant_id())
   and substr(terms ->> 'key_id', 5, 2) = $1 and substr(terms ->> 'key_id', 1, 4) = $2
   and jsonb_typeof(finished -> 'answer') = 'object'
 limit 1
"""
LEFT_OF_DAY = f"""
select count(*) from sluice.request
 where tenant_id = (select auth.tenant_id())
   and substr(terms ->> 'key_id', 5, 2) = $1 and substr(terms ->> 'key_id', 1, 4) = $2
   and {SEALED}
"""  # noqa: S608 - a constant
DELETE_DAY = f"""
with old as (
  select id from sluice.request
   where tenant_id = (select auth.tenant_id())
     and substr(terms ->> 'key_id', 5, 2) = $1 and substr(terms ->> 'key_id', 1, 4) = $2
     and {SEALED}
   limit $3 for update
)
update sluice.request r set finished = r.finished - 'answer' - 'findings' from old
 where r.id = old.id and r.tenant_id = (select auth.tenant_id())
"""  # noqa: S608 - a constant
ARRIVED_THAT_DAY = """
select terms ->> 'arrival' as arrival, max(accepted_at) as last
  from sluice.request
 where tenant_id = (select auth.tenant_id())
   and substr(terms ->> 'key_id', 5, 2) = $1 and substr(terms ->> 'key_id', 1, 4) = $2
   and terms ->> 'arrival' is not null
 group by 1
"""
FINISH = """
update sluice.purge_job set receipt = $2, finished_at = now()
 where id = $1 and receipt is null
"""
RECEIPT = "select receipt from sluice.purge_job where id = $1"
SINCE = """
select receipt from sluice.purge_job where receipt is not null and finished_at >= $1
"""
RECEIPTS = """
select receipt from sluice.purge_job where receipt is not null
 order by finished_at, id
"""


@dataclass(frozen=True, slots=True)
class PostgresPurges(Purges):
    """One tenant at a time, through its own door."""

    pool: asyncpg.Pool

    @override
    async def begin(self, plan: Plan) -> Plan:
        async with as_purger(self.pool, plan.tenant) as connection:
            await connection.execute(BEGIN, *_row(plan))
            (kept,) = await connection.fetch(PLAN, UUID(plan.job))
        return _plan(plan.tenant, kept)

    @override
    async def sample(
        self, tenant: TenantId, partition: Partition
    ) -> tuple[KeyRef, bytes] | None:
        async with as_tenant(self.pool, tenant, readonly=True) as connection:
            row = await connection.fetchrow(SAMPLE, *_day(partition))
        if row is None:
            return None
        answer = SealedContent.model_validate_json(row["answer"])
        ref = KeyRef(tenant, RequestId(str(row["id"])), KeyId(row["key_id"]))
        return ref, answer.sealed

    @override
    async def delete_rows(self, plan: Plan) -> Sequence[Target]:
        if plan.scope.kind == "class":
            return [await self._delete_day(plan)]
        content = [name for name, each in TABLES.items() if each.holds is Holds.CONTENT]
        return [await self._delete(plan, name) for name in sorted(content)]

    @override
    async def arrivals(self, plan: Plan) -> Mapping[Arrival, datetime]:
        async with as_tenant(self.pool, plan.tenant, readonly=True) as connection:
            if plan.scope.kind == "class":
                day = _day(partition_named(plan.scope.ref))
                rows = await connection.fetch(ARRIVED_THAT_DAY, *day)
            else:
                requests = sorted(map(UUID, plan.requests))
                rows = await connection.fetch(ARRIVALS, requests)
        return {Arrival(row["arrival"]): row["last"] for row in rows}

    @override
    async def finish(self, plan: Plan, receipt: str) -> str:
        async with as_purger(self.pool, plan.tenant) as connection:
            await connection.execute(FINISH, UUID(plan.job), receipt)
            kept: str = await connection.fetchval(RECEIPT, UUID(plan.job))
        return kept

    @override
    async def receipts_since(self, tenant: TenantId, since: datetime) -> Sequence[str]:
        async with as_tenant(self.pool, tenant, readonly=True) as connection:
            rows = await connection.fetch(SINCE, since)
        return [row["receipt"] for row in rows]

    @override
    async def receipts(self, tenant: TenantId) -> Sequence[str]:
        async with as_tenant(self.pool, tenant, readonly=True) as connection:
            rows = await connection.fetch(RECEIPTS)
        return [row["receipt"] for row in rows]

    async def _delete_day(self, plan: Plan) -> Target:
        day = _day(partition_named(plan.scope.ref))
        deleted, remaining, count = 0, 0, BATCH
        while count == BATCH:
            async with as_purger(self.pool, plan.tenant) as connection:
                status = await connection.execute(DELETE_DAY, *day, BATCH)
                count = int(status.rpartition(" ")[2])
                deleted = await connection.fetchval(
                    COUNT, UUID(plan.job), "request", count
                )
                remaining = await connection.fetchval(LEFT_OF_DAY, *day)
        return Target(
            store="postgres",
            object="request",
            method="delete",
            deleted=deleted,
            remaining=remaining,
        )

    async def _delete(self, plan: Plan, name: str) -> Target:
        table, requests = TABLES[name], sorted(map(UUID, plan.requests))
        deleted = remaining = 0
        for start in range(0, max(len(requests), 1), BATCH):
            some = requests[start : start + BATCH]
            async with as_purger(self.pool, plan.tenant) as connection:
                status = await connection.execute(table.erase, some)
                count = int(status.rpartition(" ")[2])
                deleted = await connection.fetchval(COUNT, UUID(plan.job), name, count)
                remaining += await connection.fetchval(table.left, some)
        return Target(
            store="postgres",
            object=name,
            method="delete",
            deleted=deleted,
            remaining=remaining,
        )


def _day(partition: Partition) -> tuple[str, str]:
    """Class and day, as key ids hold them."""
    prefix = partition_prefix(partition)
    return prefix[4:], prefix[:4]


def _row(plan: Plan) -> tuple[object, ...]:
    return (
        UUID(plan.job),
        plan.scope.kind,
        plan.scope.ref,
        plan.requested_at,
        plan.as_of,
        [key_id_bytes(ref.key_id) for ref in plan.keys],
        [UUID(ref.request_id) for ref in plan.keys],
        plan.probe,
    )


def _plan(tenant: TenantId, row: asyncpg.Record) -> Plan:
    keys = zip(row["request_ids"], row["key_ids"], strict=True)
    return Plan(
        job=EventId(str(row["id"])),
        tenant=tenant,
        scope=Forgotten(kind=row["scope"], ref=row["ref"]),
        requested_at=row["requested_at"],
        as_of=row["as_of"],
        keys=tuple(
            KeyRef(tenant, RequestId(str(request)), KeyId(key.hex()))
            for request, key in keys
        ),
        probe=row["probe"],
    )
