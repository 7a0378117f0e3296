"""What operators do: each act in one transaction with the event that tells of it."""

from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final, Literal
from uuid import UUID

import asyncpg

from infra.postgres.outbox import put
from infra.postgres.pool import Connection, as_steward
from infra.postgres.telling import SOURCE, Teller
from pipeline.audit import ROOT
from pipeline.credentials import ApiKey, base62, make
from pipeline.erasure import order, ordered
from pipeline.errors import SluiceError
from pipeline.ports.keys import KeyKeeper, Subjects
from pipeline.ports.system import Clock, Entropy
from pipeline.ports.tenants import Environment
from schemas.ids import Actor, EventId, RequestId, TenantId
from schemas.policies import PolicyDocument
from schemas.requests import Route
from schemas.retention import ErasureOrdered
from schemas.topics import RETENTION_DUE, Outgoing

CAPABILITIES: Final = ("requests:send", "requests:read", "webhooks:manage")
KEY_LIFE: Final = timedelta(days=365)
SECRET_BYTES: Final = 64

TENANT = "insert into sluice.tenant (name) values ($1)"
TENANT_STATE = "select state from sluice.tenant where tenant_id = $1 for share"
TENANTS = "select tenant_id, name, state from sluice.tenant order by name"
ROUTE = """
insert into sluice.route (environment, model, provider, upstream_model)
values ($1, $2, $3, $4)
on conflict (tenant_id, environment, model) do update
  set provider = excluded.provider, upstream_model = excluded.upstream_model
"""
ROUTES = """
select environment, model, provider, upstream_model from sluice.route order by 1, 2
"""
NEXT_POLICY = "select coalesce(max(version), 0) + 1 from sluice.policy"
POLICY = "insert into sluice.policy (version, document, sha256) values ($1, $2, $3)"
PRESENT_POLICY = "select document from sluice.policy order by version desc limit 1"
KEY = """
insert into sluice.api_key (id, name, environment, capabilities, expires_at)
values ($1, $2, $3, $4, $5)
"""
ADD_HASH = """
insert into sluice.api_key_secret (public_id, key_id, sha256, not_before)
values ($1, $2, $3, $4)
"""
KEYS = """
select k.id, k.name, k.environment, k.expires_at, k.revoked_at, k.capabilities,
       array(select s.public_id from sluice.api_key_secret s where s.key_id = k.id
              order by s.not_before desc) as public_ids
  from sluice.api_key k order by k.created_at
"""
FIND_KEY = """
select environment from sluice.api_key
 where id = $1 and revoked_at is null and expires_at > $2
"""
RETIRE = """
update sluice.api_key_secret s
   set not_after = case when s.public_id = (
         select public_id from sluice.api_key_secret where key_id = $1
          order by not_before desc, public_id limit 1) then least(s.not_after, $2)
       else $3 end
 where s.key_id = $1 and (s.not_after is null or s.not_after > $3)
"""
REVOKE = (
    "update sluice.api_key set revoked_at = $2 where id = $1 and revoked_at is null"
)
CLIENT = """
insert into sluice.client (id, name, environment, capabilities, sha256)
values ($1, $2, $3, $4, $5)
"""
REVOKE_CLIENT = """
update sluice.client set revoked_at = $2, tokens_valid_after = $2
 where id = $1 and revoked_at is null
"""
RELEASE = """
insert into sluice.delivery_release (consumer_group) values ($1) returning id
"""


@dataclass(frozen=True, slots=True)
class NewSecret:
    """What is shown once: an id, and the secret that goes with it."""

    id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admin:
    """The operator's acts; ``SluiceError`` for a tenant that is not there, or closed.

    Attributes:
        actor: who acts, as the ledger names them.
    """

    pool: asyncpg.Pool
    keeper: KeyKeeper
    subjects: Subjects
    clock: Clock
    entropy: Entropy
    actor: Actor

    async def create_tenant(self, name: str) -> TenantId:
        """A tenant with a key of its own and the default policy."""
        tenant = TenantId(self.entropy.uuid7())
        await self.keeper.enrol(tenant)
        async with as_steward(self.pool, tenant) as connection:
            await connection.execute(TENANT, name)
            await self._told(connection, tenant, "tenant.created", tenant)
            await self._policy(connection, tenant, PolicyDocument())
        return tenant

    async def tenants(self) -> list[asyncpg.Record]:
        """Ids, names and states of all tenants."""
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute("set local role sluice_finder")
            return await connection.fetch(TENANTS)

    async def set_route(
        self, tenant: TenantId, environment: Environment, model: str, route: Route
    ) -> None:
        """Bind a model name; at most 5 s later every gateway knows."""
        async with as_steward(self.pool, tenant) as connection:
            await connection.execute(
                ROUTE, environment, model, route.provider, route.model
            )
            about = f"{environment}:{route.provider}"
            await self._told(connection, tenant, "route.set", about, model)

    async def routes(self, tenant: TenantId) -> list[asyncpg.Record]:
        """All routes of a tenant."""
        return await self._rows(tenant, ROUTES)

    async def set_policy(self, tenant: TenantId, policy: PolicyDocument) -> int:
        """A new version; the one in force for what is admitted from now on."""
        async with as_steward(self.pool, tenant) as connection:
            return await self._policy(connection, tenant, policy)

    async def _policy(
        self, connection: Connection, tenant: TenantId, policy: PolicyDocument
    ) -> int:
        version: int = await connection.fetchval(NEXT_POLICY)
        document = policy.model_copy(update={"version": version})
        raw = document.model_dump_json().encode()
        digest = sha256(raw).hexdigest()
        await connection.execute(POLICY, version, raw, digest)
        await self._told(connection, tenant, "policy.set", digest)
        return version

    async def policy(self, tenant: TenantId) -> PolicyDocument | None:
        """The policy in force; None: no such tenant."""
        async with as_steward(self.pool, tenant, readonly=True) as connection:
            raw = await connection.fetchval(PRESENT_POLICY)
        return None if raw is None else PolicyDocument.model_validate_json(raw)

    async def create_key(
        self, tenant: TenantId, environment: Environment, name: str
    ) -> NewSecret:
        """An API key; its text is not kept."""
        key_id = self.entropy.uuid7()
        made = self._make(environment)
        async with as_steward(self.pool, tenant) as connection:
            expires = self.clock.now() + KEY_LIFE
            await connection.execute(
                KEY, UUID(key_id), name, environment, list(CAPABILITIES), expires
            )
            await self._secret(connection, key_id, made)
            await self._told(connection, tenant, "key.created", key_id)
        return NewSecret(key_id, made.text)

    async def rotate_key(
        self, tenant: TenantId, key_id: str, grace: timedelta
    ) -> NewSecret | None:
        """A new secret; the one before works for ``grace`` more, older ones no more.

        None: no such key, or its time is over, which no rotation makes longer.
        """
        async with as_steward(self.pool, tenant) as connection:
            now = self.clock.now()
            environment = await connection.fetchval(FIND_KEY, UUID(key_id), now)
            if environment is None:
                return None
            made = self._make(environment)
            await connection.execute(RETIRE, UUID(key_id), now + grace, now)
            await self._secret(connection, key_id, made)
            await self._told(connection, tenant, "key.rotated", key_id)
        return NewSecret(key_id, made.text)

    async def revoke_key(self, tenant: TenantId, key_id: str) -> bool:
        """At most 5 s later it works nowhere. False: no such key, or revoked."""
        return await self._revoked(tenant, REVOKE, UUID(key_id), "key.revoked")

    async def keys(self, tenant: TenantId) -> list[asyncpg.Record]:
        """All keys of a tenant, without their secrets."""
        return await self._rows(tenant, KEYS)

    async def create_client(
        self, tenant: TenantId, environment: Environment, name: str
    ) -> NewSecret:
        """OAuth client credentials for producers with a Kafka client of their own."""
        number = int.from_bytes(self.entropy.bytes(SECRET_BYTES))
        digits = base62(number, 64)
        client_id, secret = "client_" + digits[:16].lower(), digits[16:]
        digest = sha256(secret.encode()).digest()
        async with as_steward(self.pool, tenant) as connection:
            await connection.execute(
                CLIENT, client_id, name, environment, ["requests:send"], digest
            )
            await self._told(connection, tenant, "client.created", client_id)
        return NewSecret(client_id, secret)

    async def revoke_client(self, tenant: TenantId, client_id: str) -> bool:
        """Its tokens end with it, at most 5 s later."""
        return await self._revoked(tenant, REVOKE_CLIENT, client_id, "client.revoked")

    async def erase_request(self, tenant: TenantId, request: RequestId) -> EventId:
        """Order that a request be forgotten; the job's id."""
        return await self._order(tenant, "request", request)

    async def erase_subject(self, tenant: TenantId, person: str) -> EventId:
        """Order that all requests that named a person be forgotten; the job's id."""
        pseudonym = await self.subjects.pseudonym(tenant, person)
        return await self._order(tenant, "subject", pseudonym.hex())

    async def record_replay(self, tenant: TenantId, letter: str) -> bool:
        """Tell the ledger that a dead letter, by its id, is about to be put back.

        False: its tenant was closed, so no log takes a record of it.
        """
        async with as_steward(self.pool, tenant) as connection:
            if await connection.fetchval(TENANT_STATE, UUID(tenant)) == "closed":
                return False
            await self.teller.tell(connection, tenant, "record.replayed", letter)
        return True

    async def release(self, group: str) -> int:
        """Let a consumer group that is held or halted go on; the release's number.

        It is of no tenant, so the root log tells of it.
        """
        async with as_steward(self.pool, ROOT) as connection:
            await self.teller.tell(connection, ROOT, "delivery.released", group)
            await connection.execute("set local role none")  # the login itself may
            number: int = await connection.fetchval(RELEASE, group)
        return number

    async def _order(
        self, tenant: TenantId, scope: Literal["request", "subject"], ref: str
    ) -> EventId:
        job = EventId(self.entropy.uuid7())
        data = ErasureOrdered(actor=self.actor, scope=scope, ref=ref)
        event = order(tenant, data, job, SOURCE, self.clock.now())
        async with as_steward(self.pool, tenant) as connection:
            await refuse_ended(connection, tenant)
            await put(connection, Outgoing(RETENTION_DUE, event))
            await put(connection, ordered(event))
        return job

    async def _revoked(
        self, tenant: TenantId, statement: str, name: Any, action: str
    ) -> bool:
        async with as_steward(self.pool, tenant) as connection:
            done = await connection.execute(statement, name, self.clock.now())
            if done == "UPDATE 0":
                return False
            await self._told(connection, tenant, action, str(name))
        return True

    async def _rows(self, tenant: TenantId, query: str) -> list[asyncpg.Record]:
        async with as_steward(self.pool, tenant, readonly=True) as connection:
            return await connection.fetch(query)

    def _make(self, environment: str) -> ApiKey:
        return make(environment, self.entropy.bytes(SECRET_BYTES))

    async def _secret(self, connection: Connection, key_id: str, made: ApiKey) -> None:
        now = self.clock.now()
        await connection.execute(
            ADD_HASH, made.public_id, UUID(key_id), made.digest, now
        )

    @property
    def teller(self) -> Teller:
        """Tells logs what this operator does."""
        return Teller(self.clock, self.entropy, self.actor)

    async def _told(
        self,
        connection: Connection,
        tenant: TenantId,
        action: str,
        about: str,
        model: str | None = None,
    ) -> None:
        await refuse_ended(connection, tenant)
        await self.teller.tell(connection, tenant, action, about, model)


async def refuse_ended(connection: Connection, tenant: TenantId) -> None:
    """Nothing is done of which no log would ever tell.

    Raises:
        SluiceError: the tenant is not there, or was closed.
    """
    state = await connection.fetchval(TENANT_STATE, UUID(tenant))
    if state is None:
        raise SluiceError("expected a tenant's id, as `sluice tenant list` shows it")
    if state == "closed":
        raise SluiceError("expected a tenant that was not closed")
