"""Databases, roles and logins: what whoever provisions does once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from infra.postgres.migrate import migrate, missing
from pipeline.errors import Misconfigured, SluiceError

MAIN: Final = "sluice"
KEYSTORE: Final = "sluice_keystore"
LOGINS: Final = {
    MAIN: (
        "sluice_gateway",
        "sluice_worker",
        "sluice_operator",
        "sluice_checkpointer",
    ),
    KEYSTORE: ("sluice_keystore_app", "sluice_keystore_keeper"),
}
_INFRA: Final = Path(__file__).parents[1]
MIGRATIONS: Final = {
    MAIN: _INFRA / "postgres" / "migrations",
    KEYSTORE: _INFRA / "keystore" / "migrations",
}

LIMITS: Final = {
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": "30s",
    "tcp_keepalives_interval": "10s",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "60s",
}
"""Who stands still in a transaction, or whose machine is gone, keeps its locks for a
minute at most: a log's head is locked while it is appended to."""


def dsn(superuser: str, database: str, login: str = "", password: str = "") -> str:
    """The superuser's DSN for another database, and another login."""
    parts = urlsplit(superuser)
    place = parts.netloc
    if login:
        place = f"{login}:{password}@{place.rpartition('@')[2]}"
    return urlunsplit(parts._replace(netloc=place, path=f"/{database}"))


async def provision(
    superuser: str, passwords: Mapping[str, str], *, prefix: str = ""
) -> Mapping[str, str]:
    """Make both databases, migrate them, set the logins' passwords and limits.

    Repeatable: what is there stays.

    Args:
        superuser: DSN of who may make roles and databases.
        passwords: by login.
        prefix: names another pair of databases on the same server.

    Returns:
        DSNs by login.
    """
    urls: dict[str, str] = {}
    for base, logins in LOGINS.items():
        database = prefix + base
        await _create(superuser, database)
        admin = dsn(superuser, database)
        await migrate(admin, MIGRATIONS[base])
        connection = await asyncpg.connect(admin)
        try:
            await _passwords(connection, {login: passwords[login] for login in logins})
            await _may_ask(connection, logins)
            await _limit(connection, database, logins)
        finally:
            await connection.close()
        urls |= {
            login: dsn(superuser, database, login, passwords[login]) for login in logins
        }
    return urls


async def _create(superuser: str, database: str) -> None:
    connection = await asyncpg.connect(superuser)
    try:
        found = await connection.fetchval(
            "select 1 from pg_database where datname = $1", database
        )
        if not found:
            await connection.execute(f'create database "{database}"')
    finally:
        await connection.close()


async def _passwords(
    connection: asyncpg.Connection, passwords: Mapping[str, str]
) -> None:
    for login, password in passwords.items():
        statement = await connection.fetchval(
            "select format('alter role %I password %L', $1::text, $2::text)",
            login,
            password,
        )
        await connection.execute(statement)


async def _may_ask(connection: asyncpg.Connection, logins: Sequence[str]) -> None:
    """Let the logins see which migrations were applied: :func:`refuse_behind`."""
    names = ", ".join(logins)
    await connection.execute(
        f"grant usage on schema public to {names};"
        f" grant select on public.sluice_migration to {names}"
    )


async def _limit(
    connection: asyncpg.Connection, database: str, logins: Sequence[str]
) -> None:
    """Let the logins alone in, and bound their sessions, behind a pooler too."""
    names = ", ".join(logins)
    await connection.execute(
        f'revoke connect, temporary on database "{database}" from public;'
        f' grant connect on database "{database}" to {names}'
    )
    for login, (name, value) in product(logins, LIMITS.items()):
        whose = f'{login} in database "{database}"'
        await connection.execute(f"alter role {whose} set {name} = '{value}'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """How a database keeps tenants apart.

    Attributes:
        owner: who may change what row-level security says.
        shared: tables that hold nothing of a tenant.
    """

    schema: str
    owner: str
    shared: tuple[str, ...]


SLUICE: Final = Fence(
    schema="sluice",
    owner="sluice_owner",
    shared=("ledger_source", "delivery_release"),
)
KEYS: Final = Fence(
    schema="keystore", owner="sluice_keystore_owner", shared=("remains",)
)

UNSAFE = """
select rolsuper or rolbypassrls
    or (pg_has_role(current_user, $1, 'member') and not $2) as unsafe
  from pg_roles where rolname = current_user
"""
UNFENCED = """
with tables as (
  select c.*,
         array(select (polname, polpermissive)::text from pg_policy p
                where p.polrelid = c.oid) as policies
    from pg_class c
   where c.relnamespace = $1::regnamespace and c.relkind in ('r', 'p')
     and c.relname <> all ($2))
select relname from tables t
 where not (relrowsecurity and relforcerowsecurity)
    or policies <> '{}' and not (
       policies @> array['(tenant_fence,t)', '(tenant_floor,f)']
       and exists (
         select from pg_attribute a join pg_index i on i.indrelid = a.attrelid
          where a.attrelid = t.oid and a.attname = 'tenant_id' and a.attnotnull
            and i.indkey[0] = a.attnum))
"""
"""A table without any policy is closed to everyone: a day of keys, for example."""


async def refuse_unsafe(
    pool: asyncpg.Pool, fence: Fence = SLUICE, *, keeper: bool = False
) -> None:
    """Refuse to start with a login that row-level security does not bind.

    Args:
        pool: connections of the login.
        fence: what its database must look like.
        keeper: the login makes and drops tables, so it may become their owner, whom
            forced row-level security binds as well.

    Raises:
        Misconfigured: the login is a superuser, bypasses row-level security or is the
            owner, or a tenant table is not fenced or does not lead with its tenant;
            the text names it.
    """
    async with pool.acquire() as connection:
        if await connection.fetchval(UNSAFE, fence.owner, keeper):
            raise Misconfigured("the login is not bound by row-level security")
        unfenced = await connection.fetch(UNFENCED, fence.schema, list(fence.shared))
    if unfenced:
        names = ", ".join(row["relname"] for row in unfenced)
        raise Misconfigured(f"tables without row-level security: {names}")


class Behind(SluiceError):
    """A database lacks migrations that this version needs; the text names the first."""


async def refuse_behind(pool: asyncpg.Pool, database: str) -> None:
    """Refuse to start before the migrations: what needs them would be buried.

    Args:
        pool: connections of any login.
        database: ``MAIN`` or ``KEYSTORE``, whatever it is called there.

    Raises:
        Behind: one is not applied, or the database does not say.
    """
    if absent := await missing(pool, MIGRATIONS[database]):
        raise Behind(
            f"the database {database} lacks {len(absent)} migrations, from {absent[0]}"
            " on, or does not tell this login of them: provision it again with this"
            " version (docs/operations.md)"
        )
