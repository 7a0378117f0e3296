"""Webhook deliveries for the operator: listed from Postgres, and made due once more."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
from typing_extensions import override

from infra.postgres.admin import refuse_ended
from infra.postgres.pool import Connection, as_steward, as_tenant
from infra.postgres.telling import Teller
from pipeline.ports.repeats import Repeats
from pipeline.repeats import (
    DONE,
    Delivery,
    Repeated,
    Standing,
    Wanted,
    number,
    repeat,
)
from schemas.ids import EndpointId, TenantId

PLACE = """
select m.created_at from sluice.webhook_delivery d
  join sluice.webhook_message m on (m.tenant_id, m.id) = (d.tenant_id, d.message_id)
 where d.id = $1
"""
# What was tried is looked up for the rows of the page alone.
PAGE = """
select d.*, a.attempts, a.status, a.error, a.started_at
  from (select d.tenant_id, d.id, d.message_id, d.endpoint_id, d.state,
               d.next_attempt_at, m.kind, m.created_at
          from sluice.webhook_message m
          join sluice.webhook_delivery d
            on (d.tenant_id, d.message_id) = (m.tenant_id, m.id)
         where d.state = any ($1) {}
         order by m.created_at desc, d.id desc limit $2) d
  left join lateral (
       select count(*) over () as attempts, a.status, a.error, a.started_at
         from sluice.webhook_attempt a
        where a.tenant_id = d.tenant_id and a.delivery_id = d.id
        order by a.started_at desc limit 1) a on true
 order by d.created_at desc, d.id desc
"""
OF_ENDPOINT = "and d.endpoint_id = ${}"
BEHIND = "and m.created_at <= ${0} and (m.created_at, d.id) < (${0}, ${1})"
NAMED = """
select id from sluice.webhook_delivery
 where (id = $1 or message_id = $2) and ($3::uuid is null or endpoint_id = $3)
 order by id
"""
STANDS = """
select d.endpoint_id, d.state, d.attempt, d.lease_until, m.created_at,
       e.disabled_reason
  from sluice.webhook_delivery d
  join sluice.webhook_message m on (m.tenant_id, m.id) = (d.tenant_id, d.message_id)
  join sluice.webhook_endpoint e on (e.tenant_id, e.id) = (d.tenant_id, d.endpoint_id)
 where d.id = $1
   for no key update of d
"""
DUE = """
update sluice.webhook_delivery
   set state = 'due', attempt = $2, next_attempt_at = $3, lease_until = null
 where id = $1
"""


@dataclass(frozen=True, slots=True)
class PostgresRepeats(Repeats):
    """One tenant at a time, through its own door; the sweeper does the rest."""

    pool: asyncpg.Pool
    teller: Teller

    @override
    async def page(self, tenant: TenantId, wanted: Wanted) -> Sequence[Delivery] | None:
        async with as_tenant(self.pool, tenant, readonly=True) as connection:
            asked, given = "", [list[str](wanted.states), wanted.limit]
            if wanted.endpoint is not None:
                given.append(UUID(wanted.endpoint))
                asked += OF_ENDPOINT.format(len(given))
            if wanted.after is not None:
                place = await connection.fetchval(PLACE, UUID(wanted.after))
                if place is None:
                    return None
                given += [place, UUID(wanted.after)]
                asked += BEHIND.format(len(given) - 1, len(given))
            rows = await connection.fetch(PAGE.format(asked), *given)
        return [_delivery(row) for row in rows]

    @override
    async def retry(
        self, tenant: TenantId, name: str, endpoint: EndpointId | None, now: datetime
    ) -> Sequence[Repeated]:
        delivery = None if name.startswith("msg_") else UUID(name)
        of = None if endpoint is None else UUID(endpoint)
        async with as_tenant(self.pool, tenant, readonly=True) as connection:
            found = await connection.fetch(NAMED, delivery, name, of)
        # Each alone: who holds one row waits for no other, whoever deletes them.
        each = [await self._one(tenant, row["id"], now) for row in found]
        return [one for one in each if one is not None]

    async def _one(
        self, tenant: TenantId, delivery: UUID, now: datetime
    ) -> Repeated | None:
        async with as_steward(self.pool, tenant) as connection:
            await refuse_ended(connection, tenant)
            row = await connection.fetchrow(STANDS, delivery)
            if row is None:
                return None
            stands, endpoint = _standing(row, now), EndpointId(str(row["endpoint_id"]))
            became = repeat(stands)
            if became in DONE:
                await connection.execute(DUE, delivery, number(stands), now)
                await self._tell(connection, tenant, endpoint, delivery)
        return Repeated(str(delivery), endpoint, became)

    async def _tell(
        self,
        connection: Connection,
        tenant: TenantId,
        endpoint: EndpointId,
        delivery: UUID,
    ) -> None:
        about = f"{endpoint}:{delivery}"
        await self.teller.tell(connection, tenant, "webhook.retried", about)


def _standing(row: asyncpg.Record, now: datetime) -> Standing:
    return Standing(
        state=row["state"],
        attempt=row["attempt"],
        age=now - row["created_at"],
        leased=row["lease_until"] is not None and row["lease_until"] > now,
        disabled=row["disabled_reason"] is not None,
    )


def _delivery(row: asyncpg.Record) -> Delivery:
    status = row["status"]
    return Delivery(
        id=str(row["id"]),
        message_id=row["message_id"],
        kind=row["kind"],
        endpoint_id=EndpointId(str(row["endpoint_id"])),
        created_at=row["created_at"],
        state=row["state"],
        attempts=row["attempts"] or 0,
        last=row["error"] if status is None else str(status),
        last_at=row["started_at"],
        next_at=row["next_attempt_at"] if row["state"] == "due" else None,
    )
