"""What only a real Postgres can say of the ledger: rights, triggers, locks, waits."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

import asyncpg
import pytest

from demo.stack import Stack
from infra.postgres.ledger import PostgresLedger
from infra.postgres.logs import FIND, WANTED, PostgresLogs
from infra.system import SystemClock
from pipeline.errors import LogClosed, RetryableError
from pipeline.ports.ledger import SourceOffsets
from schemas.audit import CLOSED
from schemas.ids import TenantId
from tests.support.audit import recorded, request_id
from tests.support.ledger import (
    ENTROPY,
    Books,
    Database,
    database,
    new_tenant,
    opened,
)

pytestmark = pytest.mark.integration

TABLES = (
    "ledger_log",
    "ledger_head",
    "ledger_entry",
    "ledger_tile",
    "ledger_checkpoint",
)
WRITER = "sluice_ledger_writer"
SIGNER = "sluice_ledger_signer"
DELETER = "sluice_ledger_deleter"
TENANT_ROLE = "sluice_tenant"
CLAIM = """
    select set_config('role', $1, true),
           set_config('request.jwt.claims',
                      case when $2 = '' then '' else
                      jsonb_build_object('tenant_id', $2::text)::text end, true),
           set_config('sluice.tenant_id', $3, true)
"""
GRANTS = """
    select c.relname::text, r.rolname::text,
           string_agg(a.privilege_type, ' ' order by a.privilege_type)
      from pg_class c cross join lateral aclexplode(c.relacl) a
      join pg_roles r on r.oid = a.grantee
     where c.relname like 'ledger_%' and c.relkind = 'r' and r.rolname <> 'sluice_owner'
     group by 1, 2
"""
UNFENCED = """
    select relname::text from pg_class
     where relname like 'ledger_%' and relkind = 'r'
       and not (relrowsecurity and relforcerowsecurity)
"""
NOT_ALWAYS = """
    select tgname::text from pg_trigger t join pg_class c on c.oid = t.tgrelid
     where c.relname like 'ledger_%' and not tgisinternal and tgenabled <> 'A'
"""
DEFINERS = """
    select proname::text from pg_proc where proname like 'ledger_%' and prosecdef
"""
CALLS = """
    select proname::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace
     where nspname || '.' || proname ~ '^(auth.become|sluice.ledger_)'
"""
COLUMNS = """
    select c.relname::text || '.' || a.attname, x.privilege_type
      from pg_attribute a join pg_class c on c.oid = a.attrelid
     cross join lateral aclexplode(a.attacl) x join pg_roles r on r.oid = x.grantee
     where c.relname like 'ledger_%' and r.rolname = 'sluice_finder'
"""
REWRITES = (
    "update sluice.ledger_entry set actor = 'system:nobody'",
    "delete from sluice.ledger_entry",
    "truncate sluice.ledger_entry cascade",
    "update sluice.ledger_checkpoint set note = ''",
    "delete from sluice.ledger_checkpoint",
    "truncate sluice.ledger_checkpoint cascade",
    "update sluice.ledger_log set origin = 'other'",
    "delete from sluice.ledger_log",
    "truncate sluice.ledger_log cascade",
    "update sluice.ledger_tile set n = n + 1",
    "delete from sluice.ledger_tile",
    "truncate sluice.ledger_tile",
    "update sluice.ledger_head set size = size - 1",
    "update sluice.ledger_head set last_hash = range where size = 0 or true",
    "delete from sluice.ledger_head",
    "truncate sluice.ledger_head",
)


@pytest.fixture(scope="module")
def made(stack: Stack) -> Iterator[Database]:
    with database(stack.postgres_url) as made:
        yield made


@pytest.fixture
async def books(made: Database) -> AsyncIterator[Books]:
    async with opened(made) as books:
        yield books


@pytest.fixture
async def tenant(books: Books) -> TenantId:
    """A tenant with a log that has a full tile and a checkpoint row."""
    tenant = new_tenant()
    events = [recorded(str(each), tenant=tenant) for each in range(300)]
    await books.ledger.append(events)
    return tenant


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def claiming(
    dsn: str, role: str, claims: str, setting: str
) -> AsyncIterator[asyncpg.Connection]:
    async with connected(dsn) as connection, connection.transaction():
        await connection.execute(CLAIM, role, claims, setting)
        yield connection


# Rights and fences.


async def test_every_table_is_fenced_and_no_function_is_a_definer(
    made: Database,
) -> None:
    async with connected(made.admin) as connection:
        unfenced = await connection.fetch(UNFENCED)

        # Offsets of topics belong to no tenant.
        assert ["ledger_source"] == [row[0] for row in unfenced]
        assert [] == await connection.fetch(NOT_ALWAYS)
        assert [] == await connection.fetch(DEFINERS)


async def test_the_table_of_rights(made: Database) -> None:
    async with connected(made.admin) as connection:
        found = {(row[0], row[1]): row[2] for row in await connection.fetch(GRANTS)}

    expected = {(t, role): "SELECT" for t in TABLES for role in (TENANT_ROLE, SIGNER)}
    expected |= {(table, WRITER): "INSERT SELECT" for table in TABLES}
    expected["ledger_head", WRITER] = "INSERT SELECT UPDATE"
    expected["ledger_checkpoint", WRITER] = "SELECT"
    expected["ledger_checkpoint", SIGNER] = "INSERT SELECT"
    expected["ledger_anchor", TENANT_ROLE] = "SELECT"
    expected["ledger_anchor", SIGNER] = "INSERT SELECT"
    expected["ledger_source", WRITER] = "INSERT SELECT UPDATE"
    expected |= {(t, DELETER): "DELETE SELECT" for t in (*TABLES, "ledger_anchor")}
    readers = (TENANT_ROLE, WRITER, SIGNER, "sluice_finder")
    expected |= {("ledger_deleted", role): "SELECT" for role in readers}
    expected["ledger_deleted", DELETER] = "INSERT SELECT"
    assert expected == found


async def test_the_finder_has_rights_to_few_columns_and_everybody_to_no_function(
    made: Database,
) -> None:
    async with connected(made.admin) as connection:
        columns = await connection.fetch(COLUMNS)
        calls = f"{CALLS} and has_function_privilege('public', p.oid, 'execute')"
        everybodys = await connection.fetch(calls)

    seen = ("log.tenant_id", "log.origin", "head.tenant_id", "head.size")
    assert {(f"ledger_{each}", "SELECT") for each in seen} == {*map(tuple, columns)}
    assert [] == everybodys


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("role", [WRITER, SIGNER, TENANT_ROLE])
async def test_another_tenants_claim_reads_nothing(
    made: Database, tenant: TenantId, role: str, table: str
) -> None:
    other = new_tenant()
    count = f"select count(*) from sluice.{table} where tenant_id = $1"  # noqa: S608
    pairs = ((tenant, tenant), (other, other), (other, tenant), (tenant, other))

    seen = []
    for claims, setting in pairs:
        async with claiming(made.admin, role, claims, setting) as connection:
            seen.append(await connection.fetchval(count, tenant) > 0)

    whole = table != "ledger_checkpoint"
    assert [whole, False, False, False] == seen


async def test_no_claim_at_all_reads_nothing(made: Database, tenant: TenantId) -> None:
    """On a fresh connection; on a used one the settings are '' and the cast raises."""
    async with connected(made.admin) as connection, connection.transaction():
        await connection.execute(f"set local role {TENANT_ROLE}")

        assert [] == await connection.fetch("select * from sluice.ledger_entry")
    with pytest.raises(asyncpg.InvalidTextRepresentationError):
        async with claiming(made.admin, TENANT_ROLE, "", "") as connection:
            await connection.fetch("select * from sluice.ledger_entry")


async def test_claims_that_ended_read_nothing_and_raise_nothing(
    made: Database, tenant: TenantId
) -> None:
    """A local setting ends as '', which is no JSON: the floor takes it for none."""
    count = "select count(*) from sluice.ledger_entry"
    async with claiming(made.admin, TENANT_ROLE, "", tenant) as connection:
        assert 0 == await connection.fetchval(count)
        await connection.execute(CLAIM, TENANT_ROLE, tenant, tenant)
        assert 301 == await connection.fetchval(count)


async def test_a_record_cannot_be_locked(made: Database, tenant: TenantId) -> None:
    """That needs the right to update: hence a head in a table of its own."""
    lock = "select from sluice.ledger_{} where tenant_id = $1 for update"

    async with claiming(made.admin, WRITER, tenant, tenant) as connection:
        assert 1 == len(await connection.fetch(lock.format("head"), tenant))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch(lock.format("entry"), tenant)


HASH = "sha256('')"
WRITES = {
    "log": (WRITER, "(tenant_id, origin) values ($1, 'x')"),
    "head": (WRITER, f"values ($1, 0, {HASH}, '')"),
    "entry": (WRITER, f"values ($1, 9, $1, null, 'a', 'a', now(), 'x', {HASH})"),
    "tile": (WRITER, f"values ($1, 1, 0, repeat('x', 8192)::bytea, {HASH})"),
    "checkpoint": (SIGNER, "values ($1, 1, 'note', now())"),
    "anchor": (SIGNER, "values ($1, 1, 'copy', 'x', 'x', now())"),
}
"""Who writes a row of a table, and such a row."""


@pytest.mark.parametrize("table", WRITES)
@pytest.mark.parametrize("bent", ["claim", "setting", "row"])
async def test_a_row_for_another_tenant_is_refused(
    made: Database, tenant: TenantId, table: str, bent: str
) -> None:
    """Claim and setting both name the row's tenant, or it is not written.

    A record is looked at by a trigger first, which finds no log where they disagree.
    """
    role, row = WRITES[table]
    refusals = asyncpg.InsufficientPrivilegeError, asyncpg.ForeignKeyViolationError
    names = dict.fromkeys(("claim", "setting", "row"), tenant) | {bent: new_tenant()}
    insert = f"insert into sluice.ledger_{table} {row}"

    with pytest.raises(refusals, match=r"row-level|the log of the tenant"):
        async with claiming(
            made.admin, role, names["claim"], names["setting"]
        ) as connection:
            await connection.execute(insert, names["row"])


async def test_nothing_of_a_tenant_stays_on_a_connection(
    made: Database, tenant: TenantId
) -> None:
    """Whoever gets it next is nobody."""
    left = (
        "select current_user, current_setting('request.jwt.claims', true),"
        " current_setting('sluice.tenant_id', true)"
    )
    login = "sluice_checkpointer"
    async with asyncpg.create_pool(
        made.checkpointer, min_size=1, max_size=1, reset=nothing_to_undo
    ) as pool:
        logs = PostgresLogs(pool=pool, role="sluice_ledger_signer")
        await logs.head(tenant)
        assert (login, "", "") == tuple(*await pool.fetch(left))
        await logs.tenants()
        assert (login, "", "") == tuple(*await pool.fetch(left))
        ledger = PostgresLedger(pool=pool, domain="test.example", entropy=ENTROPY)
        await ledger.append([recorded("left", tenant=tenant)])
        assert (login, "", "") == tuple(*await pool.fetch(left))


async def nothing_to_undo(_: object) -> None:
    """As our pools do it: asyncpg's own reset would hide what was left."""


MISSHAPEN = {
    "last_hash": "head values ($1, 0, 'x', '')",
    "head_check": f"head values ($1, 1, {HASH}, '')",
    "seq": f"entry values ($1, -1, $1, null, 'a', 'a', now(), 'x', {HASH})",
    "body": f"entry values ($1, 9, $1, null, 'a', 'a', now(),"
    f" repeat('x', 49153)::bytea, {HASH})",
    "leaf_hash": "entry values ($1, 9, $1, null, 'a', 'a', now(), 'x', 'x')",
    "hashes": f"tile values ($1, 1, 0, 'x', {HASH})",
    "size": "checkpoint values ($1, 0, 'note', now())",
    "checkpoint_check": "checkpoint values ($1, 9, 'note', now(), null, 7)",
    "kind": "anchor values ($1, 1, 'rumour', 'x', 'x', now())",
    "given_by": "anchor values ($1, 1, 'copy', 'X', 'x', now())",
    "evidence": "anchor values ($1, 1, 'copy', 'x', '', now())",
}


@pytest.mark.parametrize("column", MISSHAPEN)
async def test_a_value_of_another_shape_is_refused(
    made: Database, tenant: TenantId, column: str
) -> None:
    """Also from a superuser."""
    async with connected(made.admin) as connection:
        with pytest.raises(asyncpg.CheckViolationError, match=column):
            await connection.execute(
                f"insert into sluice.ledger_{MISSHAPEN[column]}",
                tenant,
            )


async def test_two_logs_never_have_one_origin(made: Database, tenant: TenantId) -> None:
    again = "insert into sluice.ledger_log (tenant_id, origin) select $1, origin"
    async with connected(made.admin) as connection:
        with pytest.raises(asyncpg.UniqueViolationError, match="origin"):
            await connection.execute(
                f"{again} from sluice.ledger_log where tenant_id = $2",
                new_tenant(),
                tenant,
            )


async def test_the_finder_sees_which_logs_there_are_and_no_record(
    made: Database, books: Books, tenant: TenantId
) -> None:
    assert tenant in await books.logs.tenants()
    async with connected(made.checkpointer) as connection:
        await connection.execute("set role sluice_finder")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("select body from sluice.ledger_entry")


async def test_copy_is_refused_under_row_security(
    made: Database, tenant: TenantId
) -> None:
    """Hence unnest."""
    with pytest.raises(asyncpg.FeatureNotSupportedError):
        async with claiming(made.admin, WRITER, tenant, tenant) as connection:
            await connection.copy_records_to_table(
                "ledger_tile", schema_name="sluice", records=[], columns=["level"]
            )


# Append-only.


@pytest.mark.parametrize("statement", REWRITES)
@pytest.mark.parametrize("replication", ["origin", "replica"])
async def test_not_even_a_superuser_rewrites_by_mistake(
    made: Database, tenant: TenantId, statement: str, replication: str
) -> None:
    async with connected(made.admin) as connection:
        await connection.execute(
            "insert into sluice.ledger_checkpoint values ($1, 1, 'note', now())"
            " on conflict do nothing",
            tenant,
        )
        await connection.execute(f"set session_replication_role = {replication}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match=r"append|grows"):
            await connection.execute(statement)


# Locks, and what is not certain.


async def test_two_writers_leave_no_gap_and_no_repeat(made: Database) -> None:
    tenants = [new_tenant() for _ in range(4)]
    names = [str(each) for each in range(40)]
    batches = [[recorded(n, tenant=each) for each in tenants] for n in names]
    async with opened(made) as one, opened(made) as two:
        order = [pair for batch in batches for pair in ((one, batch), (two, batch))]
        await asyncio.gather(*(books.ledger.append(b) for books, b in order))

        for tenant in tenants:
            entries = await one.logs.read(tenant, 0, 100)
            assert list(range(41)) == [each.seq for each in entries]
            ids = {recorded(n, tenant=tenant).attributes.id for n in names}
            assert ids == {each.event_id for each in entries[1:]}


async def test_a_lock_that_somebody_holds_is_waited_for_until_the_deadline(
    made: Database, tenant: TenantId
) -> None:
    lock = "select from sluice.ledger_head where tenant_id = $1 for update"
    async with opened(made, deadline_s=0.3) as books:
        async with connected(made.admin) as connection, connection.transaction():
            await connection.execute(lock, tenant)
            with pytest.raises(RetryableError):
                await books.ledger.append([recorded("late", tenant=tenant)])

        appended = await books.ledger.append([recorded("late", tenant=tenant)])

        assert 1 == len(appended.places)


async def test_of_two_who_read_the_same_at_once_one_appends(made: Database) -> None:
    """No row is there yet that one could wait for."""
    topic = ENTROPY.bytes(4).hex()
    async with opened(made) as one, opened(made) as two, connected(made.admin) as held:
        async with held.transaction():
            await held.execute("lock table sluice.ledger_source in share mode")
            both = [
                asyncio.create_task(
                    books.ledger.append(
                        [recorded("a", tenant=new_tenant())],
                        SourceOffsets(topic, {0: 5}, after={}),
                    )
                )
                for books in (one, two)
            ]
            await waiting_for_locks(held, 2)
        outcomes = await asyncio.gather(*both, return_exceptions=True)

    refused = [each for each in outcomes if isinstance(each, BaseException)]
    assert [RetryableError] == [type(each) for each in refused]


async def test_who_waited_for_a_lock_sees_that_the_log_was_closed_meanwhile(
    made: Database, tenant: TenantId
) -> None:
    lock = "select from sluice.ledger_head where tenant_id = $1 for update"
    closing = recorded("closing", tenant=tenant, action=CLOSED)
    async with opened(made) as one, opened(made) as two, connected(made.admin) as held:
        async with held.transaction():
            await held.execute(lock, tenant)
            first = asyncio.create_task(one.ledger.append([closing]))
            await waiting_for_locks(held, 1)
            late = [recorded("late", tenant=tenant)]
            second = asyncio.create_task(two.ledger.append(late))
            await waiting_for_locks(held, 2)
        await first

        with pytest.raises(LogClosed):
            await second


async def waiting_for_locks(connection: asyncpg.Connection, count: int) -> None:
    waiters = "select count(*) from pg_locks where not granted"
    async with asyncio.timeout(10):
        while await connection.fetchval(waiters) < count:
            await SystemClock().sleep(0.01)


ONE = {
    "event_ids": "gen_random_uuid()::text",
    "request_ids": "'-'",
    "actions": "'a.b'",
    "actors": "'system:x'",
    "times": "now()::text",
    "bodies": "'{}'",
    "leaves": "sha256('')",
}
"""A record's columns."""

REFUSALS = (
    asyncpg.DataError,
    asyncpg.NotNullViolationError,
    asyncpg.CheckViolationError,
)


TILES = "array[0], array[]::smallint[], array[]::bigint[], array[]::bytea[]"


def appending(columns: Mapping[str, str]) -> str:
    """The statement that appends one tenant's records."""
    given = ", ".join(f"array[{each}]" for each in columns.values())
    return f"select sluice.ledger_append_texts($1, $2, $3, $4, $5, {given}, {TILES})"


def appending_lines(columns: Mapping[str, str]) -> str:
    """The same, of the version before."""
    given = ", ".join(columns.values())
    return f"select sluice.ledger_append_lines($1, $2, $3, $4, $5, {given}, {TILES})"


def appending_arrays(_: Mapping[str, str]) -> str:
    """A record, of the version before that."""
    given = (
        "array[gen_random_uuid()], array[null::uuid], array['a.b'], array['system:x'],"
        " array[now()], array['{}'::bytea], array[sha256('')]"
    )
    return f"select sluice.ledger_append($1, $2, $3, $4, $5, {given}, {TILES})"


@pytest.mark.parametrize("form", [appending, appending_lines, appending_arrays])
async def test_a_stale_writer_is_refused(
    made: Database, tenant: TenantId, form: Callable[[Mapping[str, str]], str]
) -> None:
    """One that goes on from a head that is not the log's any more."""
    stale = ([tenant], [1], [500], [bytes(32)], [bytes(32 * 6)])

    with pytest.raises(asyncpg.SerializationError):
        async with claiming(made.admin, WRITER, tenant, tenant) as connection:
            await connection.execute(form(ONE), *stale)


@pytest.mark.parametrize("form", [appending, appending_lines])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("column", ONE)
async def test_a_column_without_a_line_a_record_is_refused(
    made: Database,
    books: Books,
    column: str,
    count: int,
    form: Callable[[Mapping[str, str]], str],
) -> None:
    """Else what is of one record would stand in another's row. The head is sound."""
    tenant = new_tenant()
    await books.ledger.append([recorded("a", tenant=tenant)])
    twice = {name: f"{each} || E'\\n' || {each}" for name, each in ONE.items()}
    twice["leaves"] = f"{ONE['leaves']} || {ONE['leaves']}"
    whole, odd = (ONE, twice) if count == 1 else (twice, ONE)
    statement = form({**whole, column: odd[column]})
    size = 2 + count
    row = [tenant], [count], [size], [bytes(32)], [bytes(32 * size.bit_count())]

    with pytest.raises(REFUSALS):
        async with claiming(made.admin, WRITER, tenant, tenant) as connection:
            await connection.execute(statement, *row)


async def test_a_tile_is_made_of_the_roots_of_those_below_it_alone(
    made: Database, tenant: TenantId
) -> None:
    """Of one level, in order, whatever lies beside them and in which order it came."""
    beside = (
        "insert into sluice.ledger_tile select $1, level, n,"
        " decode(repeat('00', 8192), 'hex'),"
        " sha256(convert_to(level || '/' || n, 'UTF8'))"
        " from generate_series(0, 1) level, generate_series(515, 250, -1) n"
    )
    async with claiming(made.admin, WRITER, tenant, tenant) as connection:
        await connection.execute(beside, tenant)
        await connection.execute(
            "select sluice.ledger_fill($1, 2::smallint, 1::bigint, $2)",
            *(tenant, bytes(32)),
        )
        hashes = await connection.fetchval(
            "select hashes from sluice.ledger_tile where level = 2"
        )

    roots = [sha256(f"1/{n}".encode()).digest() for n in range(256, 512)]
    assert b"".join(roots) == hashes


@pytest.mark.parametrize(
    ("second", "refusal"),
    [
        ("'a.b'", asyncpg.InsufficientPrivilegeError),
        (f"'{CLOSED}'", asyncpg.UniqueViolationError),
    ],
)
async def test_nothing_comes_behind_the_end_in_one_statement_either(
    made: Database, books: Books, second: str, refusal: type[Exception]
) -> None:
    """The trigger on records looks before it: the head and an index look behind it."""
    tenant = new_tenant()
    await books.ledger.append([recorded("a", tenant=tenant)])
    twice = {name: f"{each} || E'\\n' || {each}" for name, each in ONE.items()}
    twice["leaves"] = f"{ONE['leaves']} || {ONE['leaves']}"
    statement = appending({**twice, "actions": f"'{CLOSED}' || E'\\n' || {second}"})
    row = [tenant], [2], [4], [bytes(32)], [bytes(32)]

    with pytest.raises(refusal, match=r"the log is closed|ledger_entry_closing"):
        async with claiming(made.admin, WRITER, tenant, tenant) as connection:
            await connection.execute(statement, *row)


async def test_a_place_on_a_log_is_taken_once_and_on_no_log_never(
    made: Database, tenant: TenantId
) -> None:
    """Whatever the head says: whoever may append may do so without its function."""
    insert = f"insert into sluice.ledger_entry {WRITES['entry'][1]}"
    nobody = new_tenant()

    with pytest.raises(asyncpg.UniqueViolationError, match="pkey"):
        async with claiming(made.admin, WRITER, tenant, tenant) as connection:
            await connection.execute(insert, tenant)
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        async with claiming(made.admin, WRITER, nobody, nobody) as connection:
            await connection.execute(insert, nobody)


async def test_what_anchors_no_checkpoint_is_refused(
    made: Database, tenant: TenantId
) -> None:
    insert = f"insert into sluice.ledger_anchor {WRITES['anchor'][1]}"

    with pytest.raises(asyncpg.ForeignKeyViolationError):
        async with claiming(made.admin, SIGNER, tenant, tenant) as connection:
            await connection.execute(insert, tenant)


async def test_workers_of_the_version_before_still_append(made: Database) -> None:
    """Theirs is the function that takes a column as an array."""
    tenant = new_tenant()
    row = [tenant], [1], [1], [bytes(32)], [bytes(32)]

    async with claiming(made.admin, WRITER, tenant, tenant) as connection:
        await connection.fetch(
            "select * from sluice.ledger_open($1, $2, $3, $4, $5)",
            *([tenant], ["ledger.before/x"], [1], [new_tenant()], [None]),
        )
        await connection.execute(appending_arrays(ONE), *row)
        count = await connection.fetchval(
            "select size from sluice.ledger_head where tenant_id = $1", tenant
        )

    assert 1 == count


async def test_workers_of_the_version_before_see_what_a_log_holds(
    made: Database, books: Books
) -> None:
    one, other = new_tenant(), new_tenant()
    for tenant in (one, other):
        end = recorded("a", "request.cancelled", tenant=tenant, request="r")
        await books.ledger.append([end])
    await books.ledger.append([recorded("end", CLOSED, tenant=other)])
    tenants, counts = sorted([one, other]), [2, 2]
    ids = [recorded(n, tenant=each).attributes.id for each in tenants for n in "xa"]
    ends = [None, request_id("r")] * 2

    async with claiming(made.admin, WRITER, one, one) as connection:
        rows = await connection.fetch(
            "select tenant, known_ids, ended, closed"
            " from sluice.ledger_open($1, $2, $3, $4, $5)",
            *(tenants, ["x", "y"], counts, ids, ends),
        )

    found = {str(row[0]): (*row[1], *row[2], row[3]) for row in rows}
    for tenant in (one, other):
        known = UUID(recorded("a", tenant=tenant).attributes.id)
        ended = UUID(request_id("r"))
        assert (known, ended, tenant == other) == found[tenant]


async def test_workers_that_send_a_text_a_batch_still_append(
    made: Database, books: Books
) -> None:
    """Theirs is ``ledger_append_lines``; two of the batch's logs fill a tile."""
    tenants = sorted(new_tenant() for _ in range(3))
    held = dict(zip(tenants, (254, 1, 254), strict=True))
    for tenant, count in held.items():
        names = map(str, range(count))
        await books.ledger.append([recorded(each, tenant=tenant) for each in names])
    leaves = [sha256(bytes([each])).digest() for each in range(3)]
    sizes = [1 + count + 1 for count in held.values()]
    ranges = [bytes(32 * size.bit_count()) for size in sizes]
    thrice = (
        f"{each} || E'\\n' || {each} || E'\\n' || {each}" for each in ONE.values()
    )
    columns = {**dict(zip(ONE, thrice, strict=True)), "leaves": "$6"}
    tiles = "array[1, 0, 1], array[0, 0]::smallint[], array[0, 0]::bigint[], $7"
    statement = appending_lines(columns).replace(TILES, tiles)
    roots = [bytes([each] * 32) for each in (1, 3)]

    async with claiming(made.admin, WRITER, tenants[0], tenants[0]) as connection:
        await connection.execute(
            statement,
            *(tenants, [1] * 3, sizes, [bytes(32)] * 3, ranges),
            *(b"".join(leaves), roots),
        )
        found = []
        for tenant in tenants:
            await connection.execute("select auth.become($1)", tenant)
            found.append(
                await connection.fetchrow(
                    "select seq, leaf_hash, size, (select root from sluice.ledger_tile)"
                    " from sluice.ledger_entry, sluice.ledger_head"
                    " order by seq desc limit 1"
                )
            )

    expected = [
        (size - 1, leaf, size, root)
        for size, leaf, root in zip(
            sizes, leaves, (roots[0], None, roots[1]), strict=True
        )
    ]
    assert expected == [tuple(row or ()) for row in found]


async def test_a_killed_session_is_waited_for(made: Database, books: Books) -> None:
    tenant = new_tenant()
    await books.ledger.append([recorded("a", tenant=tenant)])
    async with connected(made.admin) as connection:
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where usename = 'sluice_worker' and datname = current_database()"
        )

    outcomes = [await outcome(books, tenant) for _ in range(3)]

    assert outcomes[-1] == "appended"
    assert 3 == len(await books.logs.read(tenant, 0, 10))


async def outcome(books: Books, tenant: TenantId) -> str:
    try:
        await books.ledger.append([recorded("b", tenant=tenant)])
    except RetryableError:
        return "away"
    return "appended"


async def test_a_session_cannot_append_without_waiting_for_the_disk(
    made: Database,
) -> None:
    tenant = new_tenant()
    async with opened(made, settings={"synchronous_commit": "off"}) as books:
        ledger = books.ledger
        assert isinstance(ledger, PostgresLedger)
        async with ledger._transaction() as connection:
            shown = await connection.fetchval("show synchronous_commit")

        assert "on" == shown
        await books.ledger.append([recorded("a", tenant=tenant)])


async def test_a_cancelled_append_takes_its_connection_along(
    made: Database, tenant: TenantId
) -> None:
    async with opened(made) as books:
        event = recorded("x", tenant=tenant)
        task = asyncio.create_task(books.ledger.append([event]))
        await SystemClock().sleep(0.002)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        later = replace(event.attributes, time=event.attributes.time + timedelta(1))
        await books.ledger.append([event, replace(event, attributes=later)])

        entries = await books.logs.read(tenant, 0, 1000)
        assert 1 == sum(each.event_id == later.id for each in entries)


INDEXED = {
    "action": ("key.created", "ledger_entry_of_action"),
    "actor": ("system:ledger", "ledger_entry_of_actor"),
    "request": (request_id("r"), "ledger_entry_of_request"),
}


@pytest.mark.parametrize("wanted", INDEXED)
async def test_what_is_asked_for_is_found_by_an_index(
    made: Database, books: Books, tenant: TenantId, wanted: str
) -> None:
    """Ten thousand records, of which few are wanted, under row-level security."""
    value, index = INDEXED[wanted]
    for batch in range(10):
        many = [recorded(f"{batch}-{each}", tenant=tenant) for each in range(1_000)]
        await books.ledger.append(many)
    few = recorded("few", "key.created", tenant=tenant, request="r")
    await books.ledger.append([few])
    statement = "explain " + FIND.format(WANTED[wanted].format(4))
    async with connected(made.admin) as connection:
        await connection.execute("analyze sluice.ledger_entry")
    async with claiming(made.admin, TENANT_ROLE, tenant, tenant) as tenants:
        plan = await tenants.fetch(statement, tenant, 0, 50, value)

    assert index in "".join(row[0] for row in plan)
