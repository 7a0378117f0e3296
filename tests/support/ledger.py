"""A database with the ledger in it, and its logins."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import asyncpg

from infra.postgres.deletion import PostgresDeleter
from infra.postgres.ledger import PostgresLedger
from infra.postgres.logs import PostgresLogs
from infra.postgres.migrate import migrate
from infra.postgres.roles import dsn
from infra.system import SystemEntropy
from pipeline.ports.ledger import Deleter, Ledger, SignedLogs
from schemas.ids import TenantId

MIGRATIONS = Path(__file__).parents[2] / "infra" / "postgres" / "migrations"
ENTROPY = SystemEntropy()
DOMAIN = "test.example"
SECRET = "made-up-for-tests"  # roles belong to the cluster, so all databases share it


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A migrated database: the superuser's DSN, and those of three logins."""

    admin: str
    worker: str
    checkpointer: str
    operator: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """The ports of one ledger."""

    ledger: Ledger
    logs: SignedLogs
    deleter: Deleter


def new_tenant() -> TenantId:
    return TenantId(ENTROPY.uuid7())


@contextmanager
def database(superuser: str) -> Iterator[Database]:
    """A new database with all migrations; dropped at the end."""
    name = f"ledger_{token_hex(6)}"
    made = Database(
        admin=dsn(superuser, name),
        worker=dsn(superuser, name, "sluice_worker", SECRET),
        checkpointer=dsn(superuser, name, "sluice_checkpointer", SECRET),
        operator=dsn(superuser, name, "sluice_operator", SECRET),
    )
    _apart(_make(superuser, made.admin, name))
    try:
        yield made
    finally:
        _apart(execute(superuser, f"drop database {name} with (force)"))


def _apart(work: Coroutine[Any, Any, None]) -> None:
    """Run in another thread: this one's event loop belongs to the tests."""
    with ThreadPoolExecutor(1) as threads:
        threads.submit(asyncio.run, work).result()


@asynccontextmanager
async def opened(
    made: Database, *, deadline_s: float = 10, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Books]:
    """The adapters, as their processes would open them."""
    async with (
        asyncpg.create_pool(
            made.worker, min_size=1, max_size=4, server_settings=dict(settings or {})
        ) as worker,
        asyncpg.create_pool(made.checkpointer, min_size=1, max_size=2) as reader,
        asyncpg.create_pool(made.operator, min_size=0, max_size=1) as operator,
    ):
        yield Books(
            ledger=PostgresLedger(
                pool=worker, domain=DOMAIN, entropy=ENTROPY, deadline_s=deadline_s
            ),
            logs=PostgresLogs(pool=reader, role="sluice_ledger_signer"),
            deleter=PostgresDeleter(operator),
        )


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _make(superuser: str, admin: str, name: str) -> None:
    await execute(superuser, f"create database {name}")
    await migrate(admin, MIGRATIONS)
    for login in ("sluice_worker", "sluice_checkpointer", "sluice_operator"):
        await execute(admin, f"alter role {login} password '{SECRET}'")
