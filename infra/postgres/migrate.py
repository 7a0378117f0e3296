"""Migrations: numbered plain SQL, each applied once, in order, in a transaction."""

import hashlib
from pathlib import Path
from typing import Final

import asyncpg

from pipeline.errors import IntegrityError

_LOCK = 7_305_201_936
_REWRITTEN: Final = {
    "0024_findings.sql": (
        "fc55f625bba72900c6afa8e57c1caa44977c3fad071bec6121db09aaeb0a5cd3"
    )
}
"""SHA-256 of a file's text before; a later one makes of it what the new text does."""
_TABLE = """
create table if not exists public.sluice_migration (
  name text primary key, sha256 text not null, applied_at timestamptz default now())
"""


async def migrate(dsn: str, folder: Path) -> list[str]:
    """Apply what is missing; the names of what was applied.

    Several may run at once: one works, the others wait for it.

    Raises:
        IntegrityError: a file that was applied is no longer what it was.
    """
    files = _files(folder)
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("select pg_advisory_lock($1)", _LOCK)
        await connection.execute(_TABLE)
        return [name for name, text in files if await _apply(connection, name, text)]
    finally:
        await connection.close()


async def missing(pool: asyncpg.Pool, folder: Path) -> list[str]:
    """The names of what is not applied; all, where the login may not ask."""
    try:
        rows = await pool.fetch("select name from public.sluice_migration")
    except (asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError):
        rows = []
    applied = {row["name"] for row in rows}
    return [name for name, _ in _files(folder) if name not in applied]


async def _apply(connection: asyncpg.Connection, name: str, text: str) -> bool:
    digest = hashlib.sha256(text.encode()).hexdigest()
    found = await connection.fetchval(
        "select sha256 from public.sluice_migration where name = $1", name
    )
    if found not in {None, digest, _REWRITTEN.get(name)}:
        raise IntegrityError(f"migration {name} was changed after it was applied")
    if found is not None:
        return False
    async with connection.transaction():
        await connection.execute(text)
        await connection.execute("reset role")
        await connection.execute(
            "insert into public.sluice_migration (name, sha256) values ($1, $2)",
            name,
            digest,
        )
    return True


def _files(folder: Path) -> list[tuple[str, str]]:
    return [(path.name, path.read_text()) for path in sorted(folder.glob("*.sql"))]
