"""Postgres decides what a tenant sees: every table, read from the catalogue."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from demo.stack import Stack
from infra.postgres.admin import KEY_LIFE, Admin
from infra.postgres.credentials import PostgresCredentials
from infra.postgres.ledger import PostgresLedger
from infra.postgres.pool import as_door, as_steward, as_tenant, open_pool
from infra.postgres.requests import PostgresProviderCalls, PostgresRequests
from infra.postgres.roles import (
    KEYS,
    KEYSTORE,
    MAIN,
    SLUICE,
    Behind,
    dsn,
    refuse_behind,
    refuse_unsafe,
)
from infra.resources import open_resources
from infra.settings import DatabaseSettings, KafkaSettings, KeysSettings, Settings
from infra.system import SystemClock, SystemEntropy
from schemas.ids import Actor, TenantId
from schemas.requests import Route
from tests.support.audit import recorded
from tests.support.gateway import HeldClock
from tests.support.installation import (
    Installation,
    admitted,
    new_request_id,
    new_tenant,
)

pytestmark = pytest.mark.integration

TABLES = """
select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = 'sluice' and c.relkind in ('r', 'p') order by 1
"""
POLICIES = """
select tablename, policyname, permissive, roles::text[] from pg_policies
 where schemaname = 'sluice'
"""
# Policies beside fence and floor: who may look without being the tenant, and at what.
LOOKERS = {
    ("api_key_secret", "presented"),
    ("client", "presented"),
    ("outbox", "due"),
    ("request", "past"),
    ("tenant", "listed"),
    ("webhook_delivery", "due"),
    ("ledger_deleted", "any_deleted"),
    ("ledger_head", "any_head"),
    ("ledger_log", "any_log"),
}


FURNISHED = {
    "api_key", "api_key_secret", "client", "ledger_entry", "ledger_head", "ledger_log",
    "outbox", "policy", "provider_call", "request", "route", "tenant",
}  # fmt: skip


class NoKeys:
    """The keystore has tests of its own."""

    async def enrol(self, tenant: TenantId) -> None: ...


@pytest.fixture
async def worker(installation: Installation) -> AsyncIterator[asyncpg.Pool]:
    async with await open_pool(installation.urls["sluice_worker"], size=2) as pool:
        yield pool


@pytest.fixture
async def admin(installation: Installation) -> AsyncIterator[Admin]:
    async with await open_pool(installation.urls["sluice_operator"], size=2) as pool:
        yield Admin(
            pool=pool,
            keeper=NoKeys(),  # type: ignore[arg-type]  # only what a tenant needs
            subjects=NoKeys(),  # type: ignore[arg-type]  # as above
            clock=SystemClock(),
            entropy=SystemEntropy(),
            actor=Actor("user:test"),
        )


@pytest.fixture
async def root(installation: Installation) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(installation.superuser)
    yield connection
    await connection.close()


async def tables(root: asyncpg.Connection) -> list[str]:
    return [row["relname"] for row in await root.fetch(TABLES)]


async def furnished(admin: Admin) -> TenantId:
    """A tenant with a row in as many tables as operators fill."""
    tenant = await admin.create_tenant("Acme")
    await admin.set_route(tenant, "test", "echo", Route(provider="p", model="m"))
    await admin.create_key(tenant, "test", "key")
    await admin.create_client(tenant, "test", "client")
    return tenant


async def busy(tenant: TenantId, worker: asyncpg.Pool) -> None:
    """A request, a claim and a log of the tenant's own."""
    request = new_request_id()
    await PostgresRequests(worker).admit(admitted(tenant, request))
    await PostgresProviderCalls(worker).take(tenant, request, timedelta(seconds=1))
    ledger = PostgresLedger(pool=worker, domain="test", entropy=SystemEntropy())
    await ledger.append([recorded("one", tenant=tenant)])


async def test_every_table_is_fenced(root: asyncpg.Connection) -> None:
    found = {(r["tablename"], r["policyname"]): r for r in await root.fetch(POLICIES)}
    fenced = [name for name in await tables(root) if name not in SLUICE.shared]

    assert fenced
    for name in fenced:
        assert "PERMISSIVE" == found[name, "tenant_fence"]["permissive"], name
        assert "RESTRICTIVE" == found[name, "tenant_floor"]["permissive"], name
    others = {k for k in found if k[1] not in ("tenant_fence", "tenant_floor")}
    assert LOOKERS == others


async def test_with_a_wrong_claim_nothing_is_read_changed_or_deleted(
    admin: Admin, worker: asyncpg.Pool, root: asyncpg.Connection
) -> None:
    owner = await furnished(admin)
    await busy(owner, worker)
    seen = set()
    for name in await tables(root):
        if name in SLUICE.shared:
            continue
        async with as_tenant(worker, owner) as connection:
            own = await connection.fetchval(f"select count(*) from sluice.{name}")  # noqa: S608
        for statement in (
            f"delete from sluice.{name}",  # noqa: S608 - names of the catalogue
            f"table sluice.{name}",
            f"update sluice.{name} set tenant_id = tenant_id",  # noqa: S608 - as above
        ):
            assert await _rows_as(worker, new_tenant(), statement) == 0, name
        async with as_tenant(worker, owner) as connection:
            left = await connection.fetchval(f"select count(*) from sluice.{name}")  # noqa: S608
        assert own == left, name
        seen |= {name} if own else set()

    assert seen >= FURNISHED, "the test must have had rows to hide"


async def _rows_as(pool: asyncpg.Pool, tenant: TenantId, statement: str) -> int:
    """How many rows a statement reaches; 0 too where the right to it is missing."""
    try:
        async with as_tenant(pool, tenant) as connection:
            return int((await connection.execute(statement)).split()[-1])
    except asyncpg.InsufficientPrivilegeError:
        return 0


async def test_nobody_writes_into_another_tenant(
    admin: Admin, worker: asyncpg.Pool
) -> None:
    owner = await furnished(admin)

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with as_tenant(worker, new_tenant()) as connection:
            await connection.execute(
                "insert into sluice.route values ($1, 'test', 'x', 'p', 'm')", owner
            )


async def test_claims_of_one_tenant_with_the_setting_of_another_see_nothing(
    admin: Admin, worker: asyncpg.Pool
) -> None:
    owner = await furnished(admin)
    claims = json.dumps({"tenant_id": owner})
    for claim, setting in ((claims, new_tenant()), (json.dumps({}), owner)):
        async with worker.acquire() as connection, connection.transaction():
            await connection.execute(
                "select set_config('role', 'sluice_tenant', true),"
                " set_config('request.jwt.claims', $1, true),"
                " set_config('sluice.tenant_id', $2, true)",
                claim,
                setting,
            )

            assert [] == await connection.fetch("table sluice.tenant")


async def test_a_login_is_nothing_until_it_becomes_a_tenant(
    installation: Installation,
) -> None:
    for login in ("sluice_gateway", "sluice_worker", "sluice_operator"):
        async with await open_pool(installation.urls[login], size=1) as pool:
            await refuse_unsafe(pool)
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pool.fetch("table sluice.tenant")


LETS_IN = {
    "frozen": "update sluice.tenant set state = 'frozen'",
    "key": (
        "insert into sluice.api_key (id, name, environment, capabilities, expires_at)"
        " values (gen_random_uuid(), 'x', 'live', '{requests:send}', 'infinity')"
    ),
    "capabilities": "update sluice.api_key set capabilities = '{webhooks:manage}'",
    "secret": (
        "insert into sluice.api_key_secret (public_id, key_id, sha256)"
        " select gen_random_uuid()::text, id, sha256('') from sluice.api_key"
    ),
    "revived": "update sluice.api_key_secret set not_after = null",
    "client": "update sluice.client set sha256 = sha256(''), revoked_at = null",
    "route": "update sluice.route set provider = 'elsewhere'",
    "policy": (
        "insert into sluice.policy select tenant_id, version + 1, '{}', sha256"
        " from sluice.policy"
    ),
    "unrouted": "delete from sluice.route",
}
"""What changes who may ask, for what, and by which rules."""


async def refused(
    url: str, tenant: TenantId, statement: str, *, told: str, role: str
) -> None:
    """Neither as the tenant may this login do it, nor become the role that may."""
    async with await open_pool(url, size=1) as pool:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match=told):
            async with as_tenant(pool, tenant) as connection:
                await connection.execute(statement)
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="set role"):
            await pool.execute(f"set role {role}")


@pytest.mark.parametrize("login", ["sluice_gateway", "sluice_worker"])
@pytest.mark.parametrize("statement", LETS_IN.values(), ids=LETS_IN)
async def test_who_serves_a_tenant_lets_nobody_in(
    admin: Admin, installation: Installation, login: str, statement: str
) -> None:
    """No record would tell of it."""
    tenant, url = await furnished(admin), installation.urls[login]
    await refused(url, tenant, statement, told="denied for", role="sluice_steward")


PLAN = """
insert into sluice.purge_job
  (id, scope, ref, requested_at, as_of, key_ids, request_ids)
values (gen_random_uuid(), 'request', 'x', now(), now(), '{}', '{}')
"""
PLANS = (
    PLAN,
    "update sluice.purge_job set key_ids = '{}', request_ids = '{}'",
    "select sluice.purge_count(gen_random_uuid(), 'request', 1)",
)


@pytest.mark.parametrize("statement", PLANS)
@pytest.mark.parametrize("login", ["sluice_gateway", "sluice_operator"])
async def test_who_forgets_nothing_plans_nothing(
    admin: Admin, installation: Installation, login: str, statement: str
) -> None:
    """The first plan of an order stands, whoever wrote it."""
    tenant, url = await furnished(admin), installation.urls[login]
    await refused(url, tenant, statement, told="purge_job", role="sluice_purger")


@pytest.mark.parametrize("statement", LETS_IN.values(), ids=LETS_IN)
async def test_an_operator_may(admin: Admin, statement: str) -> None:
    """The control of the test before."""
    tenant = await furnished(admin)
    async with as_steward(admin.pool, tenant) as connection:
        assert (await connection.execute(statement)).endswith(" 1")


@pytest.mark.parametrize(
    "attribute", ["superuser", "bypassrls", "in role sluice_owner"]
)
async def test_a_login_that_nothing_binds_is_refused_at_start(
    installation: Installation, root: asyncpg.Connection, attribute: str
) -> None:
    main = installation.superuser.rpartition("/")[2]
    await root.execute(f"create role careless login password 'x' {attribute}")
    try:
        await root.execute(f'grant connect on database "{main}" to careless')
        careless = dsn(installation.superuser, main, "careless", "x")
        async with await open_pool(careless, size=1) as pool:
            with pytest.raises(ValueError, match="row-level security"):
                await refuse_unsafe(pool)
    finally:
        await root.execute("drop owned by careless")
        await root.execute("drop role careless")


async def test_an_unfenced_table_is_refused_at_start(
    stack: Stack, worker: asyncpg.Pool, root: asyncpg.Connection
) -> None:
    await root.execute("create table sluice.careless (tenant_id uuid)")
    try:
        with pytest.raises(ValueError, match="careless"):
            await refuse_unsafe(worker)
    finally:
        await root.execute("drop table sluice.careless")


FENCE = {
    "enabled": "alter table sluice.careless enable row level security",
    "forced": "alter table sluice.careless force row level security",
    "fence": "create policy tenant_fence on sluice.careless using (true)",
    "floor": (
        "create policy tenant_floor on sluice.careless as restrictive using (true)"
    ),
}


@pytest.mark.parametrize("form", ["", "partition by list (tenant_id)"])
@pytest.mark.parametrize("without", FENCE)
async def test_a_table_without_a_part_of_its_fence_is_refused_at_start(
    worker: asyncpg.Pool, root: asyncpg.Connection, without: str, form: str
) -> None:
    table = f"create table sluice.careless (tenant_id uuid primary key) {form}"
    await root.execute(table)
    try:
        for name, statement in FENCE.items():
            if name != without:
                await root.execute(statement)
        with pytest.raises(ValueError, match="careless"):
            await refuse_unsafe(worker)
        await root.execute(FENCE[without])
        await refuse_unsafe(worker)
    finally:
        await root.execute("drop table sluice.careless")


@pytest.mark.parametrize(
    "columns",
    [
        "id uuid primary key, tenant_id uuid not null",
        "tenant_id uuid",
        "tenant_id uuid unique",
    ],
)
async def test_a_table_that_does_not_lead_with_its_tenant_is_refused_at_start(
    worker: asyncpg.Pool, root: asyncpg.Connection, columns: str
) -> None:
    fenced = (f"create table sluice.careless ({columns})", *FENCE.values())
    await root.execute("; ".join(fenced))
    try:
        with pytest.raises(ValueError, match="careless"):
            await refuse_unsafe(worker)
        await root.execute("create index on sluice.careless (tenant_id)")
        await root.execute(
            "alter table sluice.careless alter column tenant_id set not null"
        )
        await refuse_unsafe(worker)
    finally:
        await root.execute("drop table sluice.careless")


async def test_the_keystore_is_fenced_too_and_its_keeper_alone_may_be_its_owner(
    installation: Installation,
) -> None:
    keystore = dsn(installation.superuser, installation.keystore)
    async with await open_pool(installation.urls["sluice_keystore_app"], size=1) as app:
        await refuse_unsafe(app, KEYS)
        connection = await asyncpg.connect(keystore)
        try:
            await connection.execute(
                "alter table keystore.kek no force row level security"
            )
            with pytest.raises(ValueError, match="kek"):
                await refuse_unsafe(app, KEYS)
            await connection.execute(
                "alter table keystore.kek force row level security"
            )
        finally:
            await connection.close()
    async with await open_pool(
        installation.urls["sluice_keystore_keeper"], size=1
    ) as keeper:
        await refuse_unsafe(keeper, KEYS, keeper=True)
        with pytest.raises(ValueError, match="row-level security"):
            await refuse_unsafe(keeper, KEYS)
    async with await open_pool(keystore, size=1) as superuser:
        with pytest.raises(ValueError, match="row-level security"):
            await refuse_unsafe(superuser, KEYS, keeper=True)


@pytest.mark.parametrize(
    ("login", "base"),
    [
        ("sluice_gateway", MAIN),
        ("sluice_worker", MAIN),
        ("sluice_checkpointer", MAIN),
        ("sluice_keystore_app", KEYSTORE),
    ],
)
async def test_a_database_that_lacks_a_migration_is_refused_at_start(
    installation: Installation, login: str, base: str
) -> None:
    """Else each record that needs it is a dead letter, until the brake holds."""
    name = {MAIN: installation.superuser, KEYSTORE: installation.keystore}[base]
    there = dsn(installation.superuser, name.rpartition("/")[2])
    connection = await asyncpg.connect(there)
    last = await connection.fetchval("select max(name) from public.sluice_migration")
    renamed = "update public.sluice_migration set name = $2 where name = $1"
    async with await open_pool(installation.urls[login], size=1) as pool:
        await refuse_behind(pool, base)
        await connection.execute(renamed, last, "absent")
        try:
            with pytest.raises(Behind, match=last):
                await refuse_behind(pool, base)
        finally:
            await connection.execute(renamed, "absent", last)
            await connection.close()


@pytest.mark.parametrize("base", [MAIN, KEYSTORE])
async def test_a_process_asks_both_its_databases_before_all_else(
    installation: Installation, tmp_path: Path, base: str
) -> None:
    urls = installation.urls
    where = DatabaseSettings(
        url=SecretStr(urls["sluice_worker"]),
        keystore_url=SecretStr(urls["sluice_keystore_app"]),
    )
    keys = KeysSettings(directory=tmp_path, root=tmp_path / "root", own=tmp_path)
    nowhere = KafkaSettings(bootstrap="127.0.0.1:1")
    settings = Settings(database=where, keys=keys, kafka=nowhere)
    name = {MAIN: installation.superuser, KEYSTORE: installation.keystore}[base]
    connection = await asyncpg.connect(
        dsn(installation.superuser, name.rpartition("/")[2])
    )
    hide = "update public.sluice_migration set name = $2 || name where name like $1"
    await connection.execute(hide, "0001_%", "x")
    try:
        with pytest.raises(Behind, match=f"database {base} lacks 1 .* 0001_"):
            async with open_resources(settings, "test"):
                pass
    finally:
        shown = "update public.sluice_migration set name = substr(name, 2)"
        await connection.execute(f"{shown} where name like 'x%'")
        await connection.close()


async def test_a_database_that_does_not_say_its_migrations_is_refused_at_start(
    worker: asyncpg.Pool, root: asyncpg.Connection
) -> None:
    """A version before this one provisioned it last."""
    await root.execute("revoke usage on schema public from sluice_worker")
    try:
        with pytest.raises(Behind, match="0001_foundation"):
            await refuse_behind(worker, MAIN)
    finally:
        await root.execute("grant usage on schema public to sluice_worker")


async def test_a_key_has_at_most_two_live_secrets(
    admin: Admin, installation: Installation
) -> None:
    tenant = await admin.create_tenant("Acme")
    made = await admin.create_key(tenant, "test", "key")
    hour = timedelta(hours=1)
    second = await admin.rotate_key(tenant, made.id, hour)
    third = await admin.rotate_key(tenant, made.id, hour)
    assert second is not None
    assert third is not None
    async with await open_pool(installation.urls["sluice_gateway"], size=2) as pool:
        credentials = PostgresCredentials(pool, SystemClock())
        live = [
            await credentials.api_key(secret) is not None
            for secret in (made.secret, second.secret, third.secret)
        ]

    assert [False, True, True] == live


async def test_the_door_sees_the_presented_credential_alone(
    admin: Admin, installation: Installation
) -> None:
    first = await admin.create_key(await furnished(admin), "test", "one")
    await furnished(admin)
    async with await open_pool(installation.urls["sluice_gateway"], size=1) as pool:
        async with as_door(pool, first.secret.split("_")[2]) as connection:
            assert 1 == len(await connection.fetch("table sluice.api_key_secret"))
        async with as_door(pool, "nobody") as connection:
            assert [] == await connection.fetch("table sluice.api_key_secret")


async def test_the_finder_sees_who_has_work_and_no_more(
    admin: Admin, worker: asyncpg.Pool
) -> None:
    await furnished(admin)
    async with worker.acquire() as connection, connection.transaction():
        await connection.execute("set local role sluice_finder")

        assert await connection.fetch("select distinct tenant_id from sluice.outbox")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("select value from sluice.outbox")


async def test_keys_live_rotate_and_end(
    admin: Admin, installation: Installation
) -> None:
    clock = HeldClock()
    tenant = await admin.create_tenant("Acme")
    admin = Admin(
        pool=admin.pool,
        keeper=admin.keeper,
        subjects=admin.subjects,
        clock=clock,
        entropy=admin.entropy,
        actor=admin.actor,
    )
    made = await admin.create_key(tenant, "test", "key")
    async with await open_pool(installation.urls["sluice_gateway"], size=2) as pool:
        credentials = PostgresCredentials(pool, clock)
        holder = await credentials.api_key(made.secret)
        assert holder is not None
        assert (tenant, f"key:{made.id}") == (holder.tenant_id, holder.actor)

        newer = await admin.rotate_key(tenant, made.id, timedelta(seconds=60))
        assert newer is not None
        assert await credentials.api_key(newer.secret) is not None
        assert await credentials.api_key(made.secret) is not None
        await clock.sleep(61)
        assert await credentials.api_key(made.secret) is None
        assert await credentials.api_key(newer.secret) is not None

        assert await admin.revoke_key(tenant, made.id)
        await clock.sleep(6)
        assert await credentials.api_key(newer.secret) is None
        assert not await admin.revoke_key(tenant, made.id)


async def test_a_key_whose_time_is_over_gets_no_new_secret(
    admin: Admin, installation: Installation
) -> None:
    """It would be shown as one that works, and be refused by every gateway."""
    clock = HeldClock()
    admin = replace(admin, clock=clock)
    tenant = await admin.create_tenant("Acme")
    made = await admin.create_key(tenant, "test", "key")
    await clock.sleep(KEY_LIFE.total_seconds() - 1)
    before = await admin.rotate_key(tenant, made.id, timedelta())
    await clock.sleep(1)

    after = await admin.rotate_key(tenant, made.id, timedelta())

    assert before is not None
    assert after is None
    async with await open_pool(installation.urls["sluice_gateway"], size=2) as pool:
        credentials = PostgresCredentials(pool, clock)
        assert await credentials.api_key(before.secret) is None, "the control"


@pytest.mark.parametrize(
    "wrong", ["", "sluice_test_x", "sluice_live_000000000000_" + "0" * 49]
)
async def test_what_is_no_key_costs_no_query(wrong: str) -> None:
    credentials = PostgresCredentials(pool=None, clock=SystemClock())  # type: ignore[arg-type]

    assert await credentials.api_key(wrong) is None


async def test_a_client_that_no_row_can_name_is_no_error() -> None:
    credentials = PostgresCredentials(pool=None, clock=SystemClock())  # type: ignore[arg-type]

    assert await credentials.client("client\0", "secret") is None
