"""Databases, roles and logins: what whoever provisions does once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from infra.postgres.migrate import migrate

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
    """Make both databases, migrate them, set the logins' passwords; DSNs by login.

    Repeatable: what is there stays. ``passwords`` by login; ``prefix`` names another
    pair of databases on the same server.
    """
    urls: dict[str, str] = {}
    for base, logins in LOGINS.items():
        database = prefix + base
        await _create(superuser, database)
        admin = dsn(superuser, database)
        await migrate(admin, MIGRATIONS[base])
        await _passwords(admin, {login: passwords[login] for login in logins})
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


async def _passwords(admin: str, passwords: Mapping[str, str]) -> None:
    connection = await asyncpg.connect(admin)
    try:
        for login, password in passwords.items():
            statement = await connection.fetchval(
                "select format('alter role %I password %L', $1::text, $2::text)",
                login,
                password,
            )
            await connection.execute(statement)
    finally:
        await connection.close()


UNSAFE = """
select rolsuper or rolbypassrls
    or pg_has_role(current_user, 'sluice_owner', 'member') as unsafe
  from pg_roles where rolname = current_user
"""
UNFENCED = """
select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = 'sluice' and c.relkind in ('r', 'p')
   and (not (c.relrowsecurity and c.relforcerowsecurity)
        or 2 <> (select count(*) from pg_policy p where p.polrelid = c.oid
                  and (p.polname, p.polpermissive) in
                      (('tenant_fence', true), ('tenant_floor', false))))
   and c.relname <> all ($1)
"""
SHARED: Final = ("ledger_source", "delivery_release")
"""Tables that hold nothing of a tenant."""


async def refuse_unsafe(pool: asyncpg.Pool) -> None:
    """Refuse to start with a login that row-level security does not bind.

    Raises:
        ValueError: the login is a superuser, bypasses row-level security or is the
            owner, or a tenant table is not fenced; the text names it.
    """
    async with pool.acquire() as connection:
        if await connection.fetchval(UNSAFE):
            raise ValueError("the login is not bound by row-level security")
        unfenced = await connection.fetch(UNFENCED, list(SHARED))
    if unfenced:
        names = ", ".join(row["relname"] for row in unfenced)
        raise ValueError(f"tables without row-level security: {names}")
