"""Webhook deliveries in Postgres."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg
from pydantic import TypeAdapter
from typing_extensions import override

from infra.postgres.endpoints import SOURCE, live_secrets
from infra.postgres.logs import waiting
from infra.postgres.outbox import put
from infra.postgres.pool import Connection, as_tenant
from infra.postgres.requests import counted
from infra.postgres.sweep import finding
from pipeline.acts import Act, acted
from pipeline.announcements import of_disabled
from pipeline.ports.webhooks import (
    PROBE,
    SWEPT_AFTER,
    Claimed,
    Deliveries,
    Due,
    Ended,
    Message,
    Settled,
)
from pipeline.webhooks import (
    Again,
    Attempt,
    Delivered,
    Health,
    Next,
    Why,
    by_topic,
    judge,
    opens_at,
)
from schemas.ids import Actor, EndpointId, TenantId, derived

ANNOUNCE = "select * from sluice.webhook_announce($1, $2, $3, $4, $5, $6, $7, $8)"
CLAIM = """
select d.message_id, d.state, d.attempt, d.lease_until, m.body, e.url_sealed,
       e.disabled_reason, e.health, e.probing_until
  from sluice.webhook_delivery d
  join sluice.webhook_message m on (m.tenant_id, m.id) = (d.tenant_id, d.message_id)
  join sluice.webhook_endpoint e on (e.tenant_id, e.id) = (d.tenant_id, d.endpoint_id)
 where d.id = $1
   for no key update of d
"""
LEASE = """
update sluice.webhook_delivery set lease_until = $2, next_attempt_at = $2 where id = $1
"""
PROBING = """
update sluice.webhook_endpoint set probing_until = $2
 where id = $1 and (probing_until is null or probing_until <= $3)
"""
# Not what somebody attempts: without its lease it would be attempted twice at once.
PARK = """
update sluice.webhook_delivery set next_attempt_at = $3, lease_until = null
 where id = $1 and attempt = $2 and state = 'due'
   and (lease_until is null or lease_until <= $3)
"""
END = """
update sluice.webhook_delivery set state = $3, lease_until = null
 where id = $1 and attempt = $2 and state = 'due'
"""
NEXT = """
update sluice.webhook_delivery
   set state = $3, attempt = $4, next_attempt_at = $5, lease_until = null
 where id = $1 and attempt = $2 and state = 'due'
"""
# Its endpoint may have been deleted meanwhile, and the delivery with it.
TRIED = """
insert into sluice.webhook_attempt (delivery_id, n, started_at, ms, status, error)
select id, $2, $3, $4, $5, $6 from sluice.webhook_delivery where id = $1
   for key share
    on conflict do nothing
"""
HEALTH = """
select health, url_sealed, updated_at, disabled_reason from sluice.webhook_endpoint
 where id = $1 for no key update
"""
FARES = """
update sluice.webhook_endpoint
   set health = $2, disabled_reason = $3, probing_until = null
 where id = $1
"""
SWEEP = """
update sluice.webhook_delivery d set next_attempt_at = $1 + $3, lease_until = null
  from (select id from sluice.webhook_delivery
         where state = 'due' and next_attempt_at <= $1
         order by next_attempt_at limit $2 for update skip locked) due
 where d.id = due.id
returning d.id, d.endpoint_id, d.attempt
"""
# One probe of the index for each tenant, however much of one of them is due; without
# the order, the planner takes a walk over the table for as short.
WHO_DUE = """
select t.tenant_id from sluice.tenant t,
       lateral (select from sluice.webhook_delivery d
                 where d.tenant_id = t.tenant_id and d.state = 'due'
                   and d.next_attempt_at <= $1
                 order by d.next_attempt_at limit 1) due
"""
FORGET = "delete from sluice.webhook_message where created_at < $1"
WHO_ANY = "select tenant_id from sluice.tenant"

_HEALTH: Final = TypeAdapter(Health)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresDeliveries(Deliveries):
    """Announcements of many tenants share a round trip; the rest is by delivery."""

    pool: asyncpg.Pool

    @override
    async def announce(self, messages: Sequence[Message]) -> Sequence[Due]:
        with waiting():
            return await _announced(self.pool, messages)

    @override
    async def claim(self, due: Due, now: datetime, lease: timedelta) -> Claimed | None:
        async with as_tenant(self.pool, due.tenant_id) as connection:
            row = await connection.fetchrow(CLAIM, UUID(due.delivery))
            if row is None or not _is_ours(row, due, now):
                return None
            if row["disabled_reason"] is not None:
                await _end(connection, due, "skipped")
                return None
            if not await _let_through(connection, due, row, now):
                return None
            await connection.execute(LEASE, UUID(due.delivery), now + lease)
            return Claimed(
                due=due,
                message_id=row["message_id"],
                body=row["body"],
                url_sealed=row["url_sealed"],
                secrets=await live_secrets(connection, UUID(due.endpoint_id), now),
            )

    @override
    async def settle(
        self,
        due: Due,
        seen: Attempt,
        *,
        took: timedelta,
        now: datetime,
        jitter: float,
        asked: bytes | None = None,
    ) -> Settled:
        async with as_tenant(self.pool, due.tenant_id) as connection:
            # Before its delivery, as whoever deletes it: else each waits for the other.
            known = await connection.fetchrow(HEALTH, UUID(due.endpoint_id))
            moved = known is not None and asked not in {None, known["url_sealed"]}
            follows = judge(due.attempt, seen, jitter, moved=moved)
            await connection.execute(
                TRIED,
                UUID(due.delivery),
                due.attempt,
                now - took,
                round(took / timedelta(milliseconds=1)),
                seen.status,
                seen.error,
            )
            await connection.execute(NEXT, *_next(due, follows, now))
            why = None
            if known and not moved:
                why = await _fares(connection, due, follows, now, known)
            tenant, endpoint = due.tenant_id, due.endpoint_id
            messages = of_disabled(tenant, endpoint, why, now) if why else ()
            told = await _announced(connection, messages)
        return Settled(next=follows, disabled=why, told=told)

    @override
    async def park(self, due: Due, until: datetime) -> None:
        async with as_tenant(self.pool, due.tenant_id) as connection:
            await connection.execute(PARK, UUID(due.delivery), due.attempt, until)

    @override
    async def end(self, due: Due, state: Ended) -> None:
        async with as_tenant(self.pool, due.tenant_id) as connection:
            await _end(connection, due, state)

    @override
    async def sweep(self, now: datetime, limit: int) -> Sequence[Due]:
        found = []
        for tenant in await finding(self.pool, WHO_DUE, now):
            async with as_tenant(self.pool, tenant) as connection:
                rows = await connection.fetch(SWEEP, now, limit, SWEPT_AFTER)
            found += [
                Due(
                    tenant,
                    EndpointId(str(row["endpoint_id"])),
                    str(row["id"]),
                    row["attempt"],
                )
                for row in rows
            ]
        return found

    @override
    async def forget(self, before: datetime) -> int:
        gone = 0
        for tenant in await finding(self.pool, WHO_ANY):
            async with as_tenant(self.pool, tenant) as connection:
                done = await connection.execute(FORGET, before)
            gone += int(done.rpartition(" ")[2])
        return gone


async def _announced(
    there: asyncpg.Pool | Connection, messages: Sequence[Message]
) -> Sequence[Due]:
    if not messages:
        return ()
    ordered, tenants, counts = counted(messages, lambda each: each.tenant_id)
    rows = await there.fetch(
        ANNOUNCE,
        tenants,
        counts,
        [each.id for each in ordered],
        [each.environment for each in ordered],
        [each.kind for each in ordered],
        [each.body for each in ordered],
        [each.created_at for each in ordered],
        SWEPT_AFTER,
    )
    return [
        Due(
            TenantId(str(row["tenant"])),
            EndpointId(str(row["endpoint"])),
            str(row["delivery"]),
            1,
            str(row["message"]),
        )
        for row in rows
    ]


def _is_ours(row: asyncpg.Record, due: Due, now: datetime) -> bool:
    leased = row["lease_until"] is not None and row["lease_until"] > now
    return row["state"] == "due" and row["attempt"] == due.attempt and not leased


async def _let_through(
    connection: Connection, due: Due, row: asyncpg.Record, now: datetime
) -> bool:
    """Does the endpoint's breaker let it through? If not, it is parked until then."""
    breaker = _HEALTH.validate_json(row["health"]).breaker
    until = opens_at(breaker, row["probing_until"], now)
    if until is None and breaker.open_until is not None:
        endpoint = UUID(due.endpoint_id)
        done = await connection.execute(PROBING, endpoint, now + PROBE, now)
        until = None if done == "UPDATE 1" else now + PROBE
    if until is None:
        return True
    await connection.execute(PARK, UUID(due.delivery), due.attempt, until)
    return False


async def _end(connection: Connection, due: Due, state: Ended) -> None:
    await connection.execute(END, UUID(due.delivery), due.attempt, state)


def _next(due: Due, follows: Next, now: datetime) -> tuple[object, ...]:
    state, attempt, at = "exhausted", due.attempt, now
    match follows:
        case Delivered():
            state = "delivered"
        case Again(attempt=attempt, delay=delay):
            # What goes back by a topic is swept only if it is lost there.
            late = SWEPT_AFTER if by_topic(follows) else timedelta()
            state, at = "due", now + delay + late
        case _:
            pass
    return UUID(due.delivery), due.attempt, state, attempt, at


async def _fares(
    connection: Connection,
    due: Due,
    follows: Next,
    now: datetime,
    row: asyncpg.Record,
) -> Why | None:
    """Tell the endpoint's row; why that disabled it, if it did."""
    endpoint = UUID(due.endpoint_id)
    health = _HEALTH.validate_json(row["health"])
    health = health.after(now, success=isinstance(follows, Delivered))
    why = health.gives_up(follows, now, row["updated_at"])
    known = row["disabled_reason"]
    await connection.execute(FARES, endpoint, _HEALTH.dump_json(health), known or why)
    if why is None or known is not None:
        return None
    await put(connection, acted(_disabled(due, why, now)))
    return why


def _disabled(due: Due, why: Why, now: datetime) -> Act:
    return Act(
        id=derived(due.delivery, str(due.attempt), why),
        tenant=due.tenant_id,
        actor=Actor("system:webhooks"),
        stage="webhooks",
        action="endpoint.disabled",
        about=f"{due.endpoint_id}:{why}",
        source=SOURCE,
        at=now,
    )
