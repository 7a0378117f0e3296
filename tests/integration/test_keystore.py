"""What only a real Postgres can say of the keystore: fences, locks, remains, caches."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from typing_extensions import override

from demo.stack import Stack
from infra.keystore import partitions
from infra.keystore.partitions import PostgresKeyPartitions
from infra.kms.file import FileKms
from infra.system import SystemClock
from pipeline.errors import IntegrityError, KeyDestroyed, RetryableError
from pipeline.keystore import TRANSIENT, Partition
from pipeline.ports.keys import Destroyed, NewKey, OfRequest
from pipeline.ports.kms import Wrapped
from pipeline.wrapping import SecretPurpose, SecretRef, secret_version
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
    select set_config('role', 'sluice_keystore_' || $3::text, true),
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
RIGHTS = """
    select c.relname::text, r.rolname::text,
           string_agg(a.privilege_type, ' ' order by a.privilege_type)
      from pg_class c cross join lateral aclexplode(c.relacl) a
      join pg_roles r on r.oid = a.grantee
     where c.relnamespace = 'keystore'::regnamespace and c.relkind in ('r', 'p')
       and r.rolname <> 'sluice_keystore_owner'
     group by 1, 2
"""
CALLS = """
    select proname::text from pg_proc
     where pronamespace = 'keystore'::regnamespace
       and has_function_privilege($1, oid, 'execute')
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


async def test_the_table_of_rights(keystore: Database, keys: Keys) -> None:
    """No key is ever changed, and no tombstone is ever taken away."""
    async with connected(keystore.admin) as admin:
        found = {(row[0], row[1]): row[2] for row in await admin.fetch(RIGHTS)}

    all_act = {
        "dek": "DELETE INSERT SELECT",
        "kek": "SELECT",
        "subject_key": "INSERT SELECT",
        "destroyed": "SELECT",
        "tenant_keys": "SELECT",
    }
    keeper_acts = {
        "kek": "DELETE INSERT",
        "subject_key": "DELETE",
        "destroyed": "INSERT",
        "tenant_keys": "INSERT UPDATE",
    }
    expected = {(t, "sluice_keystore_tenant"): each for t, each in all_act.items()}
    expected |= {
        (t, "sluice_keystore_destroyer"): each for t, each in keeper_acts.items()
    }
    assert expected == found


async def test_what_a_login_may_call(keystore: Database, keys: Keys) -> None:
    async with connected(keystore.admin) as admin:
        roles = ("public", "sluice_keystore_app", "sluice_keystore_keeper")
        found = [{r[0] for r in await admin.fetch(CALLS, role)} for role in roles]

    both = {"act_as", "claimed_tenant", "day_of", "class_of", "partitions"}
    both |= {"dek_create", "dek_fetch", "dek_forget", "dek_of", "kek_load"}
    both |= {"subject_key_load", "subject_key_keep"}
    keeper = {"kek_add", "dek_destroy_again", "tenant_close", "tenant_wipe"}
    keeper |= {"partition_add", "partition_counts"}
    assert [set(), both, both | keeper] == found


async def test_nothing_of_a_tenant_stays_on_a_connection(
    keystore: Database, keys: Keys, tenant: TenantId
) -> None:
    """Whoever gets it next is nobody."""
    async with connected(keystore.app) as app:
        await app.fetch("select keystore.subject_key_load($1)", tenant)
        left = await app.fetch(
            "select current_user, current_setting('request.jwt.claims', true),"
            " current_setting('sluice.tenant_id', true)"
        )

    assert ("sluice_keystore_app", "", "") == tuple(*left)


async def test_with_a_wrong_claim_nothing_is_read_or_deleted(
    keystore: Database, keys: Keys, tenant: TenantId
) -> None:
    new = await furnished(keys, tenant)
    other = new_tenant()
    forms = [(other, other), (other, tenant), (tenant, other)]
    seen = []

    async with connected(keystore.app) as app:
        for claimed, setting in forms:
            async with app.transaction():
                claims = f'{{"tenant_id": "{claimed}"}}'
                await app.fetch(CLAIM, claims, setting, "tenant")
                seen += [
                    await app.fetchval(f"select count(*) from keystore.{table}")  # noqa: S608 - a constant of this file
                    for table in FENCED
                ]
                seen.append(await app.execute("delete from keystore.dek"))

    assert [0, 0, 0, 0, 0, "DELETE 0"] * 3 == seen
    assert {ref(new): new.key} == await keys.store.fetch([ref(new)])


async def furnished(keys: Keys, tenant: TenantId) -> NewKey:
    """A row of the tenant's own in each table; the key that it has."""
    new, gone = new_key(tenant), new_key(tenant)
    await keys.store.create([new, gone])
    await erase(keys.keeper, OfRequest(tenant, gone.key.request_id))
    await keys.subjects.pseudonym(tenant, "anna")
    return new


async def test_with_the_right_claim_the_rows_are_there(
    keystore: Database, keys: Keys, tenant: TenantId
) -> None:
    """The control of the test before."""
    await furnished(keys, tenant)

    async with connected(keystore.app) as app, app.transaction():
        await app.fetch(CLAIM, f'{{"tenant_id": "{tenant}"}}', tenant, "tenant")
        counts = [
            await app.fetchval(f"select count(*) from keystore.{table}")  # noqa: S608 - a constant of this file
            for table in FENCED
        ]

    assert [1] * len(FENCED) == counts


WRITES = {
    "tenant_keys": "(tenant_id, version) values ($1, 1)",
    "kek": "(tenant_id, version, wrapped) values ($1, 9, 'x')",
    "dek": "values ('2026-11-22', 3, sha256('')::bytea, $1, $1, null, 1, 'x')",
    "destroyed": "(tenant_id, key_id, request_id, epoch) values ($1, 'x', $1, 1)",
    "subject_key": "(tenant_id, sealed) values ($1, 'x')",
}


@pytest.mark.parametrize("table", WRITES)
@pytest.mark.parametrize("bent", ["claim", "setting", "row"])
async def test_nobody_writes_another_tenants_row(
    keystore: Database, keys: Keys, tenant: TenantId, table: str, bent: str
) -> None:
    """Claim and setting both name the row's tenant, or it is not written."""
    names = dict.fromkeys(("claim", "setting", "row"), tenant) | {bent: new_tenant()}
    insert = f"insert into keystore.{table} {WRITES[table]}"
    async with connected(keystore.keeper) as keeper, keeper.transaction():
        claims = f'{{"tenant_id": "{names["claim"]}"}}'
        await keeper.fetch(CLAIM, claims, names["setting"], "destroyer")

        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level"):
            await keeper.execute(insert, names["row"])


@pytest.mark.parametrize(
    "statement",
    [
        "update keystore.tenant_keys set state = 'terminated'",
        "delete from keystore.tenant_keys",
        "delete from keystore.kek",
        "delete from keystore.subject_key",
        "delete from keystore.destroyed",
        "set role sluice_keystore_destroyer",
    ],
)
async def test_the_workers_login_destroys_nothing_of_a_tenant_it_acts_as(
    keystore: Database, keys: Keys, tenant: TenantId, statement: str
) -> None:
    async with connected(keystore.app) as app, app.transaction():
        await app.fetch("select keystore.act_as($1)", tenant)

        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "update keystore.remains set day = date '1970-01-01'",
        "update keystore.remains set deleted_by = '0'",
        "insert into keystore.remains values (1, date '1970-01-01')",
        "delete from keystore.remains",
        "table keystore.remains",
    ],
)
async def test_the_workers_login_keeps_no_deleted_keys_from_being_rewritten(
    keystore: Database, keys: Keys, tenant: TenantId, statement: str
) -> None:
    gone = new_key(tenant)
    await keys.store.create([gone])
    await keys.partitions.rewrite()
    await erase(keys.keeper, OfRequest(tenant, gone.key.request_id))
    async with connected(keystore.app) as app, app.transaction():
        await app.fetch("select keystore.act_as($1)", tenant)

        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute(statement)
    assert 1 == await keys.partitions.rewrite()


async def test_the_workers_login_forgets_transient_keys_alone(
    keystore: Database, keys: Keys, tenant: TenantId
) -> None:
    passing_day = Partition(TRANSIENT, MONTH.day)
    await keys.partitions.prepare([passing_day])
    kept, passing = new_key(tenant), new_key(tenant, passing_day)
    await keys.store.create([kept, passing])
    async with connected(keystore.app) as app, app.transaction():
        await app.fetch("select keystore.act_as($1)", tenant)
        done = await app.execute("delete from keystore.dek")

    assert "DELETE 1" == done
    found = await keys.store.fetch([ref(kept), ref(passing)])
    assert {ref(kept): kept.key, ref(passing): Destroyed()} == found


SIXTY = "sha256('') || substr(sha256(''), 5)"
MISSHAPEN = {
    "state": "tenant_keys (tenant_id, version, state) values ($1, 1, 'x')",
    "key_id": f"dek values ('2026-11-22', 3, 'x', $1, $1, null, 1, {SIXTY})",
    "subject": f"dek values ('2026-11-22', 3, uuid_send($1), $1, $1, 'x', 1, {SIXTY})",
    "wrapped": "dek values ('2026-11-22', 3, uuid_send($1), $1, $1, null, 1, 'x')",
}


@pytest.mark.parametrize("column", MISSHAPEN)
async def test_a_value_of_another_shape_is_refused(
    keystore: Database, keys: Keys, column: str
) -> None:
    """Also from a superuser."""
    async with connected(keystore.admin) as admin:
        with pytest.raises(asyncpg.CheckViolationError, match=column):
            await admin.execute(
                f"insert into keystore.{MISSHAPEN[column]}",
                new_tenant(),
            )


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


async def test_a_tenant_whose_keys_are_being_destroyed_fails_no_other(
    keystore: Database, keys: Keys, tenant: TenantId, tmp_path: Path
) -> None:
    """Its epoch rises with each, also between a look and the insert behind it."""
    other = new_tenant()
    await keys.keeper.enrol(other)
    old = [new_key(tenant) for _ in range(4)]
    await keys.store.create(old)

    async def erased() -> None:
        await erase(keys.keeper, OfRequest(tenant, old.pop().key.request_id))

    provider = kms(tmp_path)
    erasing = Erasing(
        folder=provider.folder, entropy=provider.entropy, tenant=tenant, erased=erased
    )
    async with opened(keystore, erasing) as busy:
        news = [new_key(tenant), new_key(other)]
        created = await busy.store.create(news)
        found = await keys.store.fetch([ref(new) for new in news])

    assert len(old) < 4, "the control: keys were destroyed meanwhile"
    assert [True, True] == created
    assert [new.key for new in news] == list(found.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasing(FileKms):
    """Whoever unwraps this tenant's key finds, behind it, one more request erased."""

    tenant: TenantId
    erased: Callable[[], Awaitable[None]]

    @override
    async def unwrap(self, wrapped: Wrapped, aad: bytes) -> bytes:
        key = await FileKms.unwrap(self, wrapped, aad)
        if wrapped.ref.tenant_id == self.tenant:
            await self.erased()
        return key


async def test_a_key_that_is_sent_again_while_it_is_destroyed_stays_destroyed(
    keystore: Database, keys: Keys, tenant: TenantId
) -> None:
    """Its first answer was lost; the repeat waits for the row that is being deleted."""
    new = new_key(tenant)
    await keys.store.create([new])
    async with connected(keystore.keeper) as keeper:
        async with keeper.transaction():
            await keeper.fetch(
                "select keystore.dek_destroy_again($1, $2)",
                tenant,
                [bytes.fromhex(new.key.key_id)],
            )
            again = asyncio.create_task(keys.store.create([new]))
            await waiting_for_a_lock(keystore)
        created = await again

    assert {ref(new): Destroyed()} == await keys.store.fetch([ref(new)])
    assert [False] == created


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


async def test_who_opened_an_old_secret_seals_the_next_under_the_new_version(
    keystore: Database, keys: Keys, tenant: TenantId, tmp_path: Path
) -> None:
    """What it had to load for the old one is not the present key."""
    place = SecretRef(tenant, SecretPurpose.WEBHOOK_SECRET, "row")
    old = await keys.secrets.seal(place, b"old")
    await keys.keeper.rotate(tenant)
    async with opened(keystore, kms(tmp_path)) as other:
        assert b"old" == await other.secrets.open(place, old)
        new = await other.secrets.seal(place, b"new")

    assert [1, 2] == [secret_version(each) for each in (old, new)]


async def test_who_is_enrolled_again_after_a_rotation_keeps_the_new_version(
    keystore: Database, keys: Keys, tenant: TenantId, tmp_path: Path
) -> None:
    """An enrolment that is sent again says version 1."""
    await keys.keeper.rotate(tenant)
    await keys.keeper.enrol(tenant)
    async with opened(keystore, kms(tmp_path)) as other:
        place = SecretRef(tenant, SecretPurpose.WEBHOOK_SECRET, "row")
        sealed = await other.secrets.seal(place, b"new")

    assert 2 == secret_version(sealed)


async def test_keys_of_nothing_in_particular_are_none(
    keystore: Database, keys: Keys, tenant: TenantId
) -> None:
    """Whoever names neither a request nor a person does not mean all of a tenant's."""
    await keys.store.create([new_key(tenant)])
    async with connected(keystore.keeper) as keeper:
        found = await keeper.fetch(
            "select * from keystore.dek_of($1, null, null)", tenant
        )

    assert [] == found


async def test_a_tenant_that_is_closed_and_not_yet_wiped_opens_nothing(
    keystore: Database, keys: Keys, tenant: TenantId, tmp_path: Path
) -> None:
    """Its end was cut short before its provider's key was destroyed."""
    new, place = new_key(tenant), SecretRef(tenant, SecretPurpose.WEBHOOK_SECRET, "row")
    await keys.store.create([new])
    sealed = await keys.secrets.seal(place, b"whsec")
    async with connected(keystore.keeper) as keeper:
        await keeper.fetch("select keystore.tenant_close($1)", tenant)
        ids = [bytes.fromhex(new.key.key_id)]
        rows = await keeper.fetch(
            "select * from keystore.dek_fetch($1, $2, $3)", [tenant], [1], ids
        )

    assert [] == rows
    assert {ref(new): Destroyed()} == await keys.store.fetch([ref(new)])
    async with opened(keystore, kms(tmp_path)) as other:
        with pytest.raises(KeyDestroyed):
            await other.secrets.open(place, sealed)


async def test_nothing_of_a_tenant_that_ended_lies_in_the_keystore(
    keystore: Database, keys: Keys, tenant: TenantId
) -> None:
    """Nor is anything taken away from one that goes on."""
    other = new_tenant()
    await keys.keeper.enrol(other)
    for each in (tenant, other):
        await keys.store.create([new_key(each)])
        await keys.subjects.pseudonym(each, "anna")
    async with connected(keystore.keeper) as keeper:
        with pytest.raises(asyncpg.RaiseError, match="closed tenant"):
            await keeper.fetch("select keystore.tenant_wipe($1, 9)", other)

    await keys.keeper.terminate(tenant)

    async with connected(keystore.admin) as admin:
        counts = [
            await admin.fetchval(
                f"select count(*) from keystore.{table} where tenant_id = $1",  # noqa: S608 - a constant of this file
                each,
            )
            for each in (tenant, other)
            for table in ("dek", "kek", "subject_key")
        ]
    assert [0, 0, 0, 1, 1, 1] == counts


async def test_a_key_that_came_back_beside_its_tombstone_is_destroyed_again(
    keystore: Database, keys: Keys, tenant: TenantId
) -> None:
    new = new_key(tenant)
    await keys.store.create([new])
    async with connected(keystore.admin) as admin:
        await admin.execute("create temporary table held as table keystore.dek")
        await erase(keys.keeper, OfRequest(tenant, new.key.request_id))
        back = "insert into keystore.dek select * from held where tenant_id = $1"
        await admin.execute(back, tenant)

    again = await erase(keys.keeper, OfRequest(tenant, new.key.request_id))

    assert [new.key.key_id] == list(again)
    assert {ref(new): Destroyed()} == await keys.store.fetch([ref(new)])


async def test_a_key_that_came_back_beside_its_tombstone_fails_no_other(
    keystore: Database, keys: Keys, tenant: TenantId
) -> None:
    """Who sends it again shares a batch with many; it is refused, and alone."""
    new, fresh = new_key(tenant), new_key(tenant)
    await keys.store.create([new])
    async with connected(keystore.admin) as admin:
        await admin.execute("create temporary table held as table keystore.dek")
        await erase(keys.keeper, OfRequest(tenant, new.key.request_id))
        back = "insert into keystore.dek select * from held where tenant_id = $1"
        await admin.execute(back, tenant)

    assert [False, True] == await keys.store.create([new, fresh])


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


async def test_a_rewrite_beside_an_older_reader_is_repeated(
    keystore: Database, keys: Keys, tenant: TenantId
) -> None:
    """What an older snapshot may still see is copied by VACUUM, also by a full one."""
    gone = new_key(tenant)
    await keys.store.create([gone])
    await keys.partitions.rewrite()
    async with connected(keystore.admin) as admin, connected(keystore.admin) as backup:
        wrapped = await admin.fetchval(
            "select wrapped from keystore.dek where key_id = $1",
            bytes.fromhex(gone.key.key_id),
        )
        async with backup.transaction(isolation="repeatable_read", readonly=True):
            await backup.fetch("select from keystore.tenant_keys")
            await erase(keys.keeper, OfRequest(tenant, gone.key.request_id))
            await keys.partitions.rewrite()
            copied = wrapped in await heap(admin)
        await keys.partitions.rewrite()
        left = wrapped in await heap(admin)
        again = await keys.partitions.rewrite()

    assert copied, "the control: the reader keeps the bytes"
    assert not left
    assert 0 == again


async def test_a_day_that_somebody_holds_keeps_no_other_from_its_rewrite(
    keystore: Database, keys: Keys, tenant: TenantId
) -> None:
    later = replace(MONTH, day=MONTH.day + timedelta(days=2))
    await keys.partitions.prepare([later])
    both = [new_key(tenant, day) for day in (MONTH, later)]
    await keys.store.create(both)
    await keys.partitions.rewrite()
    for new in both:
        await erase(keys.keeper, OfRequest(tenant, new.key.request_id))

    async with connected(keystore.admin) as reader:
        async with reader.transaction():
            await reader.execute(
                "lock table keystore.dek_3_20261122 in access share mode"
            )
            with pytest.raises(RetryableError):
                await keys.partitions.rewrite()
        left = await reader.fetch("select day from keystore.remains")

    assert [MONTH.day] == [row[0] for row in left]
    assert 1 == await keys.partitions.rewrite()


async def heap(admin: asyncpg.Connection) -> bytes:
    """The file of the partition, as it lies on the disk."""
    await admin.execute("checkpoint")
    content: bytes = await admin.fetchval(
        "select pg_read_binary_file(pg_relation_filepath('keystore.dek_3_20261122'))"
    )
    return content


async def test_a_deletion_beside_a_rewrite_is_rewritten_later(
    keystore: Database, keys: Keys, tenant: TenantId
) -> None:
    """What the rewrite tidies away is what it found, not what came meanwhile."""
    first, second = new_key(tenant), new_key(tenant)
    await keys.store.create([first, second])
    await keys.partitions.rewrite()
    await erase(keys.keeper, OfRequest(tenant, first.key.request_id))
    async with connected(keystore.keeper) as keeper, keeper.transaction():
        await keeper.fetch(
            "select keystore.dek_destroy_again($1, $2)",
            tenant,
            [bytes.fromhex(second.key.key_id)],
        )
        beside = asyncio.create_task(keys.partitions.rewrite())
        await waiting_for_a_lock(keystore)

    rewritten = [await beside, *[await keys.partitions.rewrite() for _ in range(2)]]

    assert [1, 1, 0] == rewritten


async def waiting_for_a_lock(keystore: Database) -> None:
    waiters = "select count(*) from pg_locks where not granted"
    async with connected(keystore.admin) as admin, asyncio.timeout(10):
        while not await admin.fetchval(waiters):
            await SystemClock().sleep(0.01)


async def test_a_tenant_that_ends_while_its_key_is_rotated_gets_no_other(
    keystore: Database, keys: Keys, tenant: TenantId
) -> None:
    async with connected(keystore.admin) as admin:
        async with connected(keystore.keeper) as keeper, keeper.transaction():
            await keeper.fetch("select keystore.tenant_close($1)", tenant)
            rotated = asyncio.create_task(keys.keeper.rotate(tenant))
            await waiting_for_a_lock(keystore)
        with pytest.raises(KeyDestroyed):
            await rotated
        versions = await admin.fetch(
            "select version from keystore.kek where tenant_id = $1", tenant
        )

    assert [1] == [row[0] for row in versions]


async def test_who_is_at_the_days_of_keys_is_alone_there(
    keystore: Database, keys: Keys
) -> None:
    async with connected(keystore.admin) as admin:
        await admin.execute("select pg_advisory_lock(hashtext('keystore.partitions'))")
        with pytest.raises(RetryableError, match="another copy"):
            await keys.partitions.rewrite()


async def test_whoever_was_at_the_days_of_keys_leaves_nothing_on_its_connection(
    keystore: Database, keys: Keys
) -> None:
    left = (
        "select current_user, current_setting('lock_timeout'),"
        " count(*) filter (where locktype = 'advisory')"
        " from pg_locks where pid = pg_backend_pid()"
    )
    async with asyncpg.create_pool(
        keystore.keeper, min_size=1, max_size=1, reset=nothing_to_undo
    ) as pool:
        await PostgresKeyPartitions(pool).rewrite()
        (row,) = await pool.fetch(left)

    assert ("sluice_keystore_keeper", "0", 0) == tuple(row)


async def nothing_to_undo(_: object) -> None:
    """As our pools do it: asyncpg's own reset would hide what was left."""


async def test_a_day_that_cannot_be_made_now_is_made_later(
    keystore: Database, keys: Keys
) -> None:
    """Whoever makes days waits for a lock no longer than seconds."""
    day = replace(MONTH, day=MONTH.day + timedelta(days=30))
    async with connected(keystore.admin) as admin, admin.transaction():
        await admin.execute("lock table keystore.dek_3 in share update exclusive mode")
        with pytest.raises(RetryableError):
            await asyncio.wait_for(keys.partitions.prepare([day]), 9)

    assert 1 == await keys.partitions.prepare([day])


async def test_days_are_made_beside_long_readers_and_writers(
    keystore: Database, keys: Keys, tenant: TenantId
) -> None:
    day = replace(MONTH, day=MONTH.day + timedelta(days=1))
    async with connected(keystore.app) as app, app.transaction():
        await app.fetch(CLAIM, f'{{"tenant_id": "{tenant}"}}', tenant, "tenant")
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
        await app.fetch(CLAIM, f'{{"tenant_id": "{tenant}"}}', tenant, "tenant")
        await app.fetch("select from keystore.dek")

        with pytest.raises(RetryableError):
            await keys.partitions.detach(day)
        created = await asyncio.wait_for(keys.store.create([new_key(tenant)]), 1)
        with pytest.raises(IntegrityError):
            await keys.partitions.retire(day)
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
