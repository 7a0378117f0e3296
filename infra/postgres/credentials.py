"""Credentials in Postgres, seen through the door: one row, or none."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import compare_digest

import asyncpg
from typing_extensions import override

from infra.postgres.pool import as_door, as_tenant
from pipeline.credentials import ApiKey, parse
from pipeline.ports.system import Clock
from pipeline.ports.tenants import Credentials, Principal
from schemas.ids import Actor, TenantId

FRESH_S = 5.0
"""A revocation holds everywhere within so many seconds."""
CACHED = 10_000
_ALWAYS = datetime.min.replace(tzinfo=UTC)

PRESENTED_KEY = """
select tenant_id, key_id, sha256, not_before, not_after
  from sluice.api_key_secret
"""
KEY = """
select k.id, k.environment, k.capabilities, k.models
  from sluice.api_key k join sluice.tenant t using (tenant_id)
 where k.id = $1 and k.revoked_at is null and k.expires_at > $2 and t.state = 'active'
"""
PRESENTED_CLIENT = "select tenant_id, sha256 from sluice.client where id = $1"
CLIENT = """
select c.id, c.environment, c.capabilities, c.models, c.tokens_valid_after
  from sluice.client c join sluice.tenant t using (tenant_id)
 where c.id = $1 and c.revoked_at is null and t.state = 'active'
"""


@dataclass(slots=True)
class PostgresCredentials(Credentials):
    """Checked in the order that costs least: form, checksum, door, hash, state."""

    pool: asyncpg.Pool
    clock: Clock
    _cache: dict[bytes, tuple[float, Principal | None, datetime]] = field(
        default_factory=dict
    )

    @override
    async def api_key(self, presented: str) -> Principal | None:
        key = parse(presented)
        if key is None:
            return None
        cached = self._cache.get(key.digest)
        if cached is not None and self.clock.monotonic() - cached[0] < FRESH_S:
            return cached[1]
        principal = await self._key(key)
        self._remember(key.digest, principal)
        return principal

    def _remember(
        self,
        digest: bytes,
        principal: Principal | None,
        valid_after: datetime = _ALWAYS,
    ) -> None:
        if len(self._cache) >= CACHED:
            self._cache.clear()
        self._cache[digest] = (self.clock.monotonic(), principal, valid_after)

    async def _key(self, key: ApiKey) -> Principal | None:
        async with as_door(self.pool, key.public_id) as connection:
            row = await connection.fetchrow(PRESENTED_KEY)
        if row is None or not compare_digest(row["sha256"], key.digest):
            return None
        now = self.clock.now()
        if now < row["not_before"] or (row["not_after"] and now >= row["not_after"]):
            return None
        tenant = TenantId(str(row["tenant_id"]))
        async with as_tenant(self.pool, tenant, readonly=True) as connection:
            found = await connection.fetchrow(KEY, row["key_id"], now)
        if found is None or found["environment"] != key.environment:
            return None
        return self._principal(tenant, found, "key", "api_key")

    def _principal(
        self, tenant: TenantId, row: asyncpg.Record, kind: str, method: str
    ) -> Principal:
        return Principal(
            tenant_id=tenant,
            actor=Actor(f"{kind}:{row['id']}"),
            environment=row["environment"],
            capabilities=frozenset(row["capabilities"]),
            routes=None if row["models"] is None else frozenset(row["models"]),
            authenticated_at=self.clock.now(),
            methods=(method,),
        )

    @override
    async def client(self, client_id: str, secret: str) -> Principal | None:
        if "\0" in client_id:  # no text of Postgres holds it
            return None
        async with as_door(self.pool, client_id) as connection:
            row = await connection.fetchrow(PRESENTED_CLIENT, client_id)
        digest = sha256(secret.encode()).digest()
        if row is None or not compare_digest(row["sha256"], digest):
            return None
        return await self._client(TenantId(str(row["tenant_id"])), client_id)

    async def _client(self, tenant: TenantId, client_id: str) -> Principal | None:
        found = await self._client_row(tenant, client_id)
        if found is None:
            return None
        return self._principal(tenant, found, "client", "client_credentials")

    async def _client_row(
        self, tenant: TenantId, client_id: str
    ) -> asyncpg.Record | None:
        async with as_tenant(self.pool, tenant, readonly=True) as connection:
            return await connection.fetchrow(CLIENT, client_id)

    @override
    async def client_now(
        self, tenant: TenantId, client_id: str, issued_at: datetime
    ) -> Principal | None:
        digest = sha256(f"{tenant} {client_id}".encode()).digest()
        cached = self._cache.get(digest)
        if cached is None or self.clock.monotonic() - cached[0] >= FRESH_S:
            self._remember(digest, *await self._client_state(tenant, client_id))
        _, principal, valid_after = self._cache[digest]
        # A token holds whole seconds: one of the same second still stands.
        stands = issued_at + timedelta(seconds=1) > valid_after
        return principal if stands else None

    async def _client_state(
        self, tenant: TenantId, client_id: str
    ) -> tuple[Principal | None, datetime]:
        row = await self._client_row(tenant, client_id)
        if row is None:
            return None, _ALWAYS
        principal = self._principal(tenant, row, "client", "access_token")
        return principal, row["tokens_valid_after"] or _ALWAYS
