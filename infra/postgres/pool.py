"""Connections, and the one door to a tenant's rows."""

import socket
from asyncio import Transport
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

import asyncpg
import orjson

from infra.postgres.logs import waiting
from pipeline.errors import Misconfigured, RetryableError
from schemas.ids import TenantId

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
else:
    Connection = asyncpg.pool.PoolConnectionProxy

_AS_TENANT = """
select set_config('role', 'sluice_tenant', true),
       set_config('request.jwt.claims', $1, true),
       set_config('sluice.tenant_id', $2, true)
"""
_AS_STEWARD = _AS_TENANT.replace("sluice_tenant", "sluice_steward")
_AS_PURGER = _AS_TENANT.replace("sluice_tenant", "sluice_purger")
_AS_DOOR = """
select set_config('role', 'sluice_door', true),
       set_config('sluice.presented', $1, true)
"""


UNKNOWN_THERE = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    ValueError,
)
GONE_S = 60
_ALIVE = (
    ("SOL_SOCKET", "SO_KEEPALIVE", 1),
    ("IPPROTO_TCP", "TCP_KEEPIDLE", GONE_S // 2),
    ("IPPROTO_TCP", "TCP_KEEPINTVL", GONE_S // 6),
    ("IPPROTO_TCP", "TCP_KEEPCNT", 3),
    ("IPPROTO_TCP", "TCP_USER_TIMEOUT", 1000 * GONE_S),
)
ALIVE = [
    (getattr(socket, level), getattr(socket, name), value)
    for level, name, value in _ALIVE
    if hasattr(socket, name)  # the last is Linux's alone
]
"""A database whose machine is gone says nothing: the kernel would wait for a quarter of
an hour, and for ever where nothing is to be sent (RFC 5482; tcp(7))."""
ADDRESS = "expected postgresql://login:password@host:port/name of a login that may"


async def open_pool(
    dsn: str,
    *,
    size: int,
    name: str = "database",
    statement_cache: bool = True,
    connect_s: float = 60,
) -> asyncpg.Pool:
    """A pool; jsonb travels as bytes of JSON.

    Args:
        dsn: where the database is; no text of an error holds any of it.
        size: connections at most.
        name: the setting or option that holds the address, for whoever is told.
        statement_cache: off behind a transaction pooler.
        connect_s: seconds after which a database that says nothing is away.

    Raises:
        Misconfigured: it is no address, or the login is refused there.
        RetryableError: the database is away.
    """
    with _told_by(name):
        return await asyncpg.create_pool(
            dsn,
            timeout=connect_s,
            min_size=1,
            max_size=size,
            init=_init,
            reset=_nothing_to_undo,
            statement_cache_size=100 if statement_cache else 0,
        )


@contextmanager
def _told_by(name: str) -> Iterator[None]:
    """Errors by the address's name and their class: their text may hold a password."""
    try:
        with waiting():
            try:
                yield
            except UNKNOWN_THERE as error:
                kind = type(error).__name__
                raise Misconfigured(f"{name}: {ADDRESS} ({kind})") from None
    except RetryableError as error:
        raise RetryableError(f"{name}: {error}") from None


async def answers(pool: asyncpg.Pool) -> bool:
    """Does the database answer through this pool? A refusal is no answer."""
    try:
        with waiting():
            await pool.execute("select 1")
    except (RetryableError, asyncpg.PostgresError):
        return False
    return True


DURABLE = """
select current_setting('synchronous_standby_names') <> ''
   and current_setting('fsync') = 'on' and current_setting('full_page_writes') = 'on'
"""


async def durable(pool: asyncpg.Pool) -> bool:
    """Does what is committed outlive the machine? False also where nobody answers."""
    try:
        with waiting():
            return bool(await pool.fetchval(DURABLE))
    except (RetryableError, asyncpg.PostgresError):
        return False


async def refuse_volatile(pool: asyncpg.Pool) -> None:
    """Refuse to start on a database that may lose what it committed.

    Raises:
        Misconfigured: it has no synchronous standby, or does not sync its writes.
    """
    if not await durable(pool):
        raise Misconfigured(
            "database.durable: expected synchronous_standby_names to name a standby,"
            " and fsync and full_page_writes to be on"
        )


async def _nothing_to_undo(_: object) -> None:
    """What a transaction sets ends with it, and asyncpg rolls back what is open.

    Its own reset would be a round trip more for every call.
    """


async def _init(connection: asyncpg.Connection) -> None:
    # No public way leads there.
    transport: Transport = connection._transport  # type: ignore[attr-defined]  # noqa: SLF001
    there = transport.get_extra_info("socket")
    if there.family != socket.AF_UNIX:
        for option in ALIVE:
            there.setsockopt(*option)
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + value,
        decoder=lambda data: data[1:],
        format="binary",
    )


@asynccontextmanager
async def as_tenant(
    pool: asyncpg.Pool, tenant: TenantId, *, readonly: bool = False
) -> AsyncIterator[Connection]:
    """One transaction in which row-level security shows this tenant alone.

    Raises:
        RetryableError: Postgres is away.
    """
    async with _acting(pool, _AS_TENANT, tenant, readonly=readonly) as connection:
        yield connection


@asynccontextmanager
async def as_steward(
    pool: asyncpg.Pool, tenant: TenantId, *, readonly: bool = False
) -> AsyncIterator[Connection]:
    """As :func:`as_tenant`, with the right to change who may ask, and for what.

    The operator's login alone may.

    Raises:
        RetryableError: Postgres is away.
    """
    async with _acting(pool, _AS_STEWARD, tenant, readonly=readonly) as connection:
        yield connection


@asynccontextmanager
async def as_purger(pool: asyncpg.Pool, tenant: TenantId) -> AsyncIterator[Connection]:
    """As :func:`as_tenant`, with the right to plan what is forgotten: a worker's.

    Raises:
        RetryableError: Postgres is away.
    """
    async with _acting(pool, _AS_PURGER, tenant, readonly=False) as connection:
        yield connection


async def become(connection: Connection, tenant: TenantId) -> None:
    """What is left of an open transaction is that tenant's."""
    await _become(connection, _AS_TENANT, tenant)


@asynccontextmanager
async def _acting(
    pool: asyncpg.Pool, role: str, tenant: TenantId, *, readonly: bool
) -> AsyncIterator[Connection]:
    with waiting():
        async with (
            pool.acquire() as connection,
            connection.transaction(readonly=readonly),
        ):
            await _become(connection, role, tenant)
            yield connection


async def _become(connection: Connection, role: str, tenant: TenantId) -> None:
    claims = orjson.dumps({"tenant_id": tenant}).decode()
    await connection.execute(role, claims, str(UUID(tenant)))


@asynccontextmanager
async def as_door(pool: asyncpg.Pool, presented: str) -> AsyncIterator[Connection]:
    """One transaction that sees the presented credential's row, or none."""
    with waiting():
        async with pool.acquire() as connection, connection.transaction(readonly=True):
            await connection.execute(_AS_DOOR, presented)
            yield connection
