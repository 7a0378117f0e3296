"""What only a real Postgres can say of the keystore: fences, locks, remains, caches."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from demo.stack import Stack
from infra.keystore import partitions
from infra.keystore.partitions import PostgresKeyPartitions
from pipeline.errors import RetryableError
from pipeline.keystore import Partition
from pipeline.ports.keys import Destroyed, NewKey, OfRequest
from schemas.ids import TenantId
from tests.support.keystore import (
    MONTH,
    Database,
    Keys,
    database,
    erase,
    kms,
    new_key,
    new_tenant,
    opened,
    ref,
)

pytestmark = pytest.mark.integration

FENCED = ("tenant_keys", "kek", "dek", "destroyed", "subject_key")
CLAIM = """
    select set_config('role', 'sluice_keystore_tenant', true),
           set_config('request.jwt.claims', $1, true),
           set_config('sluice.tenant_id', $2, true)
"""
UNFENCED = """
    select relname::text from pg_class
     where relnamespace = 'keystore'::regnamespace and relkind in ('r', 'p')
       and not (relrowsecurity and relforcerowsecurity)
"""
GRANTS = """
    select c.relname::text, r.rolname::text from pg_class c
      cross join lateral aclexplode(c.relacl) a join pg_roles r on r.oid = a.grantee
     where c.relnamespace = 'keystore'::regnamespace
       and r.rolname <> 'sluice_keystore_owner' and c.relname ~ '^dek_[0-9]'
"""
CUT = """
    select pg_terminate_backend(pid) from pg_stat_activity
     where usename = 'sluice_keystore_app' and state = 'active'
"""
LOGINS = """
    select rolname::text from pg_roles where rolname ~ '^sluice_keystore'
       and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication)
"""


@pytest.fixture(scope="module")
def keystore(stack: Stack) -> Iterator[Database]:
    with database(stack.postgres_url) as made:
        yield made


@pytest.fixture
async def keys(keystore: Database, tmp_path: Path) -> AsyncIterator[Keys]:
    async with opened(keystore, kms(tmp_path)) as keys:
        await keys.partitions.prepare([MONTH])
        yield keys


@pytest.fixture
async def tenant(keys: Keys) -> TenantId:
    tenant = new_tenant()
    await keys.keeper.enrol(tenant)
    return tenant


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def test_every_table_is_fenced_but_the_list_of_remains(
    keystore: Database, keys: Keys
) -> None:
    async with connected(keystore.admin) as admin:
        unfenced = [row[0] for row in await admin.fetch(UNFENCED)]
        granted = await admin.fetch(GRANTS)
        logins = await admin.fetch(LOGINS)

    assert ["remains"] == unfenced
    assert [] == granted
    assert [] == logins


async def test_with_a_wrong_claim_nothing_is_read_or_deleted(
    keystore: Database, keys: Keys, tenant: TenantId
) -> None:
    new = new_key(tenant)
    await keys.store.create([new])
    other = new_tenant()
    forms = [(other, other), (other, tenant), (tenant, other)]
    seen = []

    async with connected(keystore.app) as app:
        for claimed, setting in forms:
            async with app.transaction():
                claims = f'{{"tenant_id": "{claimed}"}}'
                await app.fetch(CLAIM, claims, setting)
                seen += [
                    await app.fetchval(f"select count(*) from keystore.{table}")  # noqa: S608 - a constant of this file
                    for table in FENCED
                ]
                seen.append(await app.execute("delete from keystore.dek"))

    assert [0, 0, 0, 0, 0, "DELETE 0"] * 3 == seen
    assert {ref(new): new.key} == await keys.store.fetch([ref(new)])


async def test_with_the_right_claim_the_rows_are_there(
    keystore: Database, keys: Keys, tenant: TenantId
) -> None:
    """The control of the test before."""
    await keys.store.create([new_key(tenant)])

    async with connected(keystore.app) as app, app.transaction():
        await app.fetch(CLAIM, f'{{"tenant_id": "{tenant}"}}', tenant)
        count = await app.fetchval("select count(*) from keystore.dek")

    assert 1 == count


async def test_nobody_writes_another_tenants_row(
    keystore: Database, keys: Keys, tenant: TenantId
) -> None:
    foreign = (
        "insert into keystore.destroyed (tenant_id, key_id, request_id, epoch)"
        " values (gen_random_uuid(), 'x', gen_random_uuid(), 1)"
    )
    async with connected(keystore.app) as app, app.transaction():
        await app.fetch(CLAIM, f'{{"tenant_id": "{tenant}"}}', tenant)

        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute(foreign)


@pytest.mark.parametrize(
    "statement",
    [
        "select from keystore.dek",
        "select from keystore.kek",
        "select from keystore.dek_3_20261122",
        "truncate keystore.dek",
        "drop table keystore.dek",
        "set role sluice_keystore_owner",
        "select keystore.tenant_close(gen_random_uuid())",
        "select keystore.tenant_wipe(gen_random_uuid(), 1)",
        "select keystore.dek_destroy_again(gen_random_uuid(), array[]::bytea[])",
        "select keystore.partition_add(3::smallint, '2030-01-01')",
    ],
)
async def test_the_workers_login_may_not(
    keystore: Database, keys: Keys, statement: str
) -> None:
    async with connected(keystore.app) as app:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute(statement)


async def test_the_owner_reads_nothing(
    keystore: Database, keys: Keys, tenant: TenantId
) -> None:
    await keys.store.create([new_key(tenant)])

    async with connected(keystore.keeper) as keeper:
        await keeper.execute("set role sluice_keystore_owner")
        counts = [
            await keeper.fetchval(f"select count(*) from keystore.{table}")  # noqa: S608 - a constant of this file
            for table in (*FENCED, "dek_3_20261122")
        ]

    assert [0] * 6 == counts


async def test_another_process_sees_an_erasure_at_once(
    keystore: Database, keys: Keys, tenant: TenantId, tmp_path: Path
) -> None:
    gone, stays = new_key(tenant), new_key(tenant)
    wanted = [ref(gone), ref(stays)]
    async with opened(keystore, kms(tmp_path)) as other:
        await other.store.create([gone, stays])
        before = await other.store.fetch(wanted)

        await erase(keys.keeper, OfRequest(tenant, gone.key.request_id))
        after = await other.store.fetch(wanted)

        await keys.keeper.terminate(tenant)
        ended = await other.store.fetch(wanted)
        refused = await other.store.create([new_key(tenant)])

    assert [gone.key, stays.key] == list(before.values())
    assert [Destroyed(), stays.key] == list(after.values())
    assert [Destroyed(), Destroyed()] == list(ended.values())
    assert [False] == refused


async def test_every_process_has_the_same_pseudonyms(
    keystore: Database, keys: Keys, tenant: TenantId, tmp_path: Path
) -> None:
    async with opened(keystore, kms(tmp_path)) as other:
        found = await asyncio.gather(
            *(
                each.subjects.pseudonym(tenant, "anna")
                for each in (keys, other, keys, other)
            )
        )

    assert 1 == len(set(found))


async def test_another_process_wraps_under_the_new_version_at_once(
    keystore: Database, keys: Keys, tenant: TenantId, tmp_path: Path
) -> None:
    old, new = new_key(tenant), new_key(tenant)
    async with opened(keystore, kms(tmp_path)) as other:
        await other.store.create([old])
        await keys.keeper.rotate(tenant)
        await other.store.create([new])

    async with connected(keystore.admin) as admin:
        versions = await admin.fetch(
            "select kek_version from keystore.dek where tenant_id = $1 order by 1",
            tenant,
        )

    assert [1, 2] == [row[0] for row in versions]


async def test_a_destroyed_keys_bytes_lie_in_the_file_until_the_rewrite(
    keystore: Database, keys: Keys, tenant: TenantId
) -> None:
    gone = new_key(tenant)
    # The last in its page: VACUUM moves what lies behind one that it takes away.
    await keys.store.create([new_key(tenant), gone])
    async with connected(keystore.admin) as admin:
        wrapped = await admin.fetchval(
            "select wrapped from keystore.dek where key_id = $1",
            bytes.fromhex(gone.key.key_id),
        )
        await erase(keys.keeper, OfRequest(tenant, gone.key.request_id))
        await admin.execute("vacuum keystore.dek_3_20261122")
        vacuumed = wrapped in await heap(admin)

        await keys.partitions.rewrite()
        rewritten = wrapped in await heap(admin)

    assert vacuumed, "the control: neither DELETE nor VACUUM takes the bytes away"
    assert not rewritten


async def heap(admin: asyncpg.Connection) -> bytes:
    """The file of the partition, as it lies on the disk."""
    await admin.execute("checkpoint")
    content: bytes = await admin.fetchval(
        "select pg_read_binary_file(pg_relation_filepath('keystore.dek_3_20261122'))"
    )
    return content


async def test_days_are_made_beside_long_readers_and_writers(
    keystore: Database, keys: Keys, tenant: TenantId
) -> None:
    day = replace(MONTH, day=MONTH.day + timedelta(days=1))
    async with connected(keystore.app) as app, app.transaction():
        await app.fetch(CLAIM, f'{{"tenant_id": "{tenant}"}}', tenant)
        await app.execute("delete from keystore.dek")

        made = await asyncio.wait_for(keys.partitions.prepare([day]), 1)

    assert 1 == made


async def test_a_drop_behind_a_long_reader_holds_up_nobody_and_is_finished_later(
    keystore: Database, keys: Keys, tenant: TenantId
) -> None:
    """The detach times out and stays pending; the next run finishes it."""
    day = replace(MONTH, day=MONTH.day - timedelta(days=9))
    later = replace(MONTH, day=MONTH.day - timedelta(days=8))
    await keys.partitions.prepare([day, later])
    await keys.store.create([new_key(tenant, day)])
    async with connected(keystore.app) as app, app.transaction():
        await app.fetch(CLAIM, f'{{"tenant_id": "{tenant}"}}', tenant)
        await app.fetch("select from keystore.dek")

        with pytest.raises(RetryableError):
            await keys.partitions.detach(day)
        created = await asyncio.wait_for(keys.store.create([new_key(tenant)]), 1)
    there = await keys.partitions.there()

    counts = [await keys.partitions.detach(each) for each in (later, day)]
    for each in (later, day):
        await keys.partitions.retire(each)

    assert [True] == created
    assert day in there
    assert [{}, {tenant: 1}] == counts
    assert not {day, later} & set(await keys.partitions.there())


async def test_a_day_that_was_detached_but_not_dropped_is_dropped_later(
    keystore: Database, keys: Keys, tenant: TenantId
) -> None:
    day = replace(MONTH, day=MONTH.day - timedelta(days=7))
    await keys.partitions.prepare([day])
    await keys.store.create([new_key(tenant, day)])
    name = f"keystore.dek_3_{day.day:%Y%m%d}"
    async with connected(keystore.admin) as admin:
        await admin.execute(f"alter table keystore.dek_3 detach partition {name}")

    assert day in await keys.partitions.there()
    assert {tenant: 1} == await keys.partitions.detach(day)


async def test_copies_of_the_worker_do_not_meet(
    keystore: Database, keys: Keys, tenant: TenantId, tmp_path: Path
) -> None:
    days = [replace(MONTH, day=MONTH.day - timedelta(days=n)) for n in range(20, 25)]
    async with opened(keystore, kms(tmp_path)) as other:
        copies = [keys.partitions, other.partitions]
        made = await asyncio.gather(*(copy.prepare(days) for copy in copies))
        counts = await asyncio.gather(
            *(copy.detach(days[0]) for copy in copies), return_exceptions=True
        )

    assert 5 == sum(made)
    assert {} in counts
    assert {dict, RetryableError} >= {type(each) for each in counts}


async def test_cut_connections_lose_nothing_that_was_answered(
    keystore: Database, keys: Keys, tenant: TenantId
) -> None:
    """A failed batch is sent again as it is: what was kept already stays the same."""
    batches = [[new_key(tenant) for _ in range(20)] for _ in range(30)]
    failures = 0

    async def keep(batch: list[NewKey]) -> Sequence[bool]:
        nonlocal failures
        while True:
            try:
                return await keys.store.create(batch)
            except RetryableError:
                failures += 1

    async with connected(keystore.admin) as admin:
        keeping = asyncio.gather(*map(keep, batches))
        for _ in range(8):
            await admin.execute("select pg_sleep(0.004)")
            await admin.execute(CUT)
        answers = await keeping
    found = await keys.store.fetch([ref(new) for batch in batches for new in batch])

    assert [[True] * 20] * 30 == answers
    assert [new.key for batch in batches for new in batch] == list(found.values())
    assert failures, "the control: connections were cut while they worked"


async def test_an_absent_keystore_is_waited_for(tmp_path: Path, keys: Keys) -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/nowhere"
    away = Database(admin=nowhere, app=nowhere, keeper=nowhere)

    with pytest.raises(RetryableError):
        async with opened(away, kms(tmp_path), least=0) as other:
            await other.store.fetch([ref(new_key(new_tenant()))])


async def test_a_partition_is_planned_alone_however_many_there_are(
    keystore: Database, keys: Keys, tenant: TenantId
) -> None:
    """A fetch opens and locks one day, not all of them."""
    days = [replace(MONTH, day=MONTH.day + timedelta(days=n)) for n in range(2, 12)]
    await keys.partitions.prepare(days)
    new = new_key(tenant, Partition(MONTH.retention_class, days[4].day))
    await keys.store.create([new])
    async with connected(keystore.app) as app, app.transaction():
        await app.fetch(
            "select * from keystore.dek_fetch($1, $2, $3)",
            [tenant],
            [1],
            [bytes.fromhex(new.key.key_id)],
        )
        locked = await app.fetch(
            "select distinct relation::regclass::text from pg_locks"
            " where pid = pg_backend_pid() and locktype = 'relation'"
            " and relation::regclass::text ~ '^keystore.dek_3_[0-9]+$'"
        )

    assert [f"keystore.dek_3_{days[4].day:%Y%m%d}"] == [row[0] for row in locked]


async def test_a_connection_that_may_still_be_the_owner_serves_nobody(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What undoes it fails, as it does where its caller is cancelled in between."""
    assert isinstance(keys.partitions, PostgresKeyPartitions)
    pool = keys.partitions.pool
    monkeypatch.setattr(partitions, "LEAVE", "select 1 / 0")

    with pytest.raises((asyncpg.PostgresError, RetryableError)):
        await keys.partitions.detach(MONTH)
    users = {await pool.fetchval("select current_user") for _ in range(8)}

    assert "sluice_keystore_owner" not in users
