"""Webhook endpoints in Postgres: each change in one transaction with its record."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
from typing_extensions import override

from infra.postgres.outbox import put
from infra.postgres.pool import Connection, as_tenant
from pipeline.acts import Act, acted
from pipeline.ports.system import Clock, Entropy
from pipeline.ports.webhooks import (
    MAX_ENDPOINTS,
    Change,
    Endpoint,
    Endpoints,
    Holder,
    SealedSecret,
)
from pipeline.webhooks import MAX_LIVE_SECRETS
from schemas.ids import EndpointId, TenantId

SOURCE: Final = "/sluice/webhooks"

_COLUMNS = """
select e.tenant_id, e.id, e.environment, e.name, e.url_sealed, e.event_types,
       e.disabled_reason, e.created_at, e.updated_at,
       (select s.hint from sluice.webhook_secret s
         where s.tenant_id = e.tenant_id and s.endpoint_id = e.id
           and s.not_after is null) as hint
  from sluice.webhook_endpoint e
"""
LOCK = "select pg_advisory_xact_lock(hashtextextended('webhook_endpoint:' || $1, 0))"
COUNT = "select count(*) from sluice.webhook_endpoint where environment = $1"
CREATE = """
insert into sluice.webhook_endpoint
  (id, environment, name, url_sealed, event_types, created_at, updated_at)
values ($1, $2, $3, $4, $5, $6, $6)
"""
ADD_KEY = """
insert into sluice.webhook_secret (id, endpoint_id, key_sealed, hint, created_at)
values ($1, $2, $3, $4, $5)
"""
ALL = _COLUMNS + " where e.environment = $1 order by e.created_at desc, e.id desc"
ONE = _COLUMNS + " where e.environment = $1 and e.id = $2"
UPDATE = """
update sluice.webhook_endpoint
   set name = coalesce($3, name), url_sealed = coalesce($4, url_sealed),
       event_types = coalesce($5, event_types), updated_at = $6,
       health = case when $4 is null and disabled_reason is null
                then health else '{}' end,
       disabled_reason = null
 where environment = $1 and id = $2
"""
TOUCH = """
update sluice.webhook_endpoint set updated_at = $3 where environment = $1 and id = $2
"""
DELETE = "delete from sluice.webhook_endpoint where environment = $1 and id = $2"
# Of the old ones the newest signs until $2; what was to end before that still does.
RETIRE = """
update sluice.webhook_secret s
   set not_after = case when s.not_after is null then $2 else least(s.not_after, $3) end
 where s.endpoint_id = $1
"""
DEAD = "delete from sluice.webhook_secret where endpoint_id = $1 and not_after <= $2"
SECRETS = """
select id, key_sealed, hint, not_after from sluice.webhook_secret
 where endpoint_id = $1 and (not_after is null or not_after > $2)
 order by created_at desc, id desc limit $3
"""


async def live_secrets(
    connection: Connection, endpoint: UUID, now: datetime
) -> list[SealedSecret]:
    """The secrets that sign now, newest first."""
    rows = await connection.fetch(SECRETS, endpoint, now, MAX_LIVE_SECRETS)
    return [
        SealedSecret(str(row["id"]), row["key_sealed"], row["hint"], row["not_after"])
        for row in rows
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresEndpoints(Endpoints):
    """One tenant at a time, through its own door."""

    pool: asyncpg.Pool
    clock: Clock
    entropy: Entropy

    @override
    async def create(
        self, endpoint: Endpoint, secret: SealedSecret, by: Holder
    ) -> bool:
        async with as_tenant(self.pool, endpoint.tenant_id) as connection:
            await connection.execute(LOCK, endpoint.tenant_id)
            if await connection.fetchval(COUNT, by.environment) >= MAX_ENDPOINTS:
                return False
            await connection.execute(
                CREATE,
                UUID(endpoint.id),
                endpoint.environment,
                endpoint.name,
                endpoint.url_sealed,
                list(endpoint.event_types),
                endpoint.created_at,
            )
            await _keep(connection, endpoint.id, secret, endpoint.created_at)
            await self._told(connection, by, "endpoint.created", endpoint.id)
        return True

    @override
    async def all(self, of: Holder) -> Sequence[Endpoint]:
        async with as_tenant(self.pool, of.tenant_id, readonly=True) as connection:
            rows = await connection.fetch(ALL, of.environment)
        return [_endpoint(row) for row in rows]

    @override
    async def get(self, endpoint: EndpointId, of: Holder) -> Endpoint | None:
        async with as_tenant(self.pool, of.tenant_id, readonly=True) as connection:
            return await _one(connection, endpoint, of)

    @override
    async def update(
        self, endpoint: EndpointId, change: Change, now: datetime, by: Holder
    ) -> Endpoint | None:
        async with as_tenant(self.pool, by.tenant_id) as connection:
            types = None if change.event_types is None else list(change.event_types)
            done = await connection.execute(
                UPDATE,
                by.environment,
                UUID(endpoint),
                change.name,
                change.url_sealed,
                types,
                now,
            )
            if done == "UPDATE 0":
                return None
            await self._told(connection, by, "endpoint.updated", endpoint)
            return await _one(connection, endpoint, by)

    @override
    async def delete(self, endpoint: EndpointId, by: Holder) -> bool:
        async with as_tenant(self.pool, by.tenant_id) as connection:
            done = await connection.execute(DELETE, by.environment, UUID(endpoint))
            if done == "DELETE 0":
                return False
            await self._told(connection, by, "endpoint.deleted", endpoint)
        return True

    @override
    async def rotate(
        self,
        endpoint: EndpointId,
        secret: SealedSecret,
        *,
        now: datetime,
        old_until: datetime,
        by: Holder,
    ) -> Endpoint | None:
        async with as_tenant(self.pool, by.tenant_id) as connection:
            done = await connection.execute(TOUCH, by.environment, UUID(endpoint), now)
            if done == "UPDATE 0":
                return None
            await connection.execute(RETIRE, UUID(endpoint), old_until, now)
            await connection.execute(DEAD, UUID(endpoint), now)
            await _keep(connection, endpoint, secret, now)
            await self._told(connection, by, "endpoint.rotated", endpoint)
            return await _one(connection, endpoint, by)

    @override
    async def secrets(
        self, tenant: TenantId, endpoint: EndpointId, now: datetime
    ) -> Sequence[SealedSecret]:
        async with as_tenant(self.pool, tenant, readonly=True) as connection:
            return await live_secrets(connection, UUID(endpoint), now)

    async def _told(
        self, connection: Connection, by: Holder, action: str, about: str
    ) -> None:
        act = Act(
            id=self.entropy.uuid7(),
            tenant=by.tenant_id,
            actor=by.actor,
            stage="webhooks",
            action=action,
            about=about,
            source=SOURCE,
            at=self.clock.now(),
        )
        await put(connection, acted(act))


async def _keep(
    connection: Connection, endpoint: EndpointId, secret: SealedSecret, now: datetime
) -> None:
    await connection.execute(
        ADD_KEY, UUID(secret.id), UUID(endpoint), secret.sealed, secret.hint, now
    )


async def _one(
    connection: Connection, endpoint: EndpointId, of: Holder
) -> Endpoint | None:
    row = await connection.fetchrow(ONE, of.environment, UUID(endpoint))
    return None if row is None else _endpoint(row)


def _endpoint(row: asyncpg.Record) -> Endpoint:
    return Endpoint(
        tenant_id=TenantId(str(row["tenant_id"])),
        id=EndpointId(str(row["id"])),
        environment=row["environment"],
        name=row["name"],
        url_sealed=row["url_sealed"],
        event_types=tuple(row["event_types"]),
        hint=row["hint"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        disabled_reason=row["disabled_reason"],
    )
