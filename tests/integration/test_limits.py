"""What a login may not: wait for ever, hold for ever, be anywhere else."""

import socket
from collections.abc import AsyncIterator

import asyncpg
import pytest
import uvloop

from infra.postgres.pool import Connection, as_tenant, open_pool
from infra.postgres.roles import LIMITS, LOGINS, MAIN, dsn
from infra.system import SystemClock
from pipeline.errors import RetryableError
from tests.support.installation import Installation, new_tenant

CLOCK = SystemClock()
pytestmark = pytest.mark.integration
ALL = [name for each in LOGINS.values() for name in each]


async def ended(connection: Connection) -> None:
    """Wait until the server has ended the session."""
    for _ in range(100):
        if connection.is_closed():
            return
        await CLOCK.sleep(0.05)
    raise AssertionError("the session goes on")


@pytest.fixture
async def pool(installation: Installation) -> AsyncIterator[asyncpg.Pool]:
    async with await open_pool(installation.urls["sluice_worker"], size=2) as opened:
        yield opened


@pytest.mark.parametrize("login", ALL)
async def test_each_session_of_a_login_has_the_limits(
    installation: Installation, login: str
) -> None:
    connection = await asyncpg.connect(installation.urls[login])
    try:
        found = {
            name: await connection.fetchval("select current_setting($1)", name)
            for name in LIMITS
        }
    finally:
        await connection.close()

    assert {
        "idle_in_transaction_session_timeout": "1min",
        "tcp_keepalives_idle": "30",
        "tcp_keepalives_interval": "10",
        "tcp_keepalives_count": "3",
        "tcp_user_timeout": "60000",
    } == found


@pytest.mark.parametrize("login", LOGINS[MAIN])
async def test_a_login_is_let_into_no_other_database(
    installation: Installation, login: str
) -> None:
    own = installation.urls[login]
    other = dsn(own, installation.keystore)

    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="CONNECT"):
        await asyncpg.connect(other)


@pytest.mark.parametrize("login", ALL)
async def test_a_login_makes_no_tables_of_its_own(
    installation: Installation, login: str
) -> None:
    connection = await asyncpg.connect(installation.urls[login])
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("create temporary table kept (content text)")
    finally:
        await connection.close()


async def stands_still(pool: asyncpg.Pool) -> None:
    async with as_tenant(pool, new_tenant()) as connection:
        await connection.execute(
            "set local idle_in_transaction_session_timeout = '50ms'"
        )
        await ended(connection)
        await connection.execute("select 1")


async def test_who_stood_still_in_a_transaction_tries_again(pool: asyncpg.Pool) -> None:
    with pytest.raises(RetryableError):
        await stands_still(pool)


def test_a_database_whose_machine_is_gone_is_left_within_a_minute(
    installation: Installation,
) -> None:
    async def options() -> list[int]:
        async with (
            await open_pool(installation.urls["sluice_worker"], size=1) as opened,
            opened.acquire() as connection,
        ):
            transport = connection._transport  # type: ignore[attr-defined]
            there = transport.get_extra_info("socket").dup()
            try:
                return [
                    there.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                    there.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
                    there.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
                    there.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
                    there.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
                ]
            finally:
                there.close()

    assert [1, 30, 10, 3, 60_000] == uvloop.run(options())
