"""Taking a part of Postgres away, and giving it back."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg

from infra.postgres.roles import KEYSTORE


async def keystore(superuser: str, *, open_to_all: bool) -> None:
    """Take the keystore alone away, or give it back."""
    async with _connected(superuser) as connection:
        await connection.execute(
            f'alter database "{KEYSTORE}" allow_connections {open_to_all}'
        )
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1",
            KEYSTORE,
        )


async def read_only(superuser: str, *, on: bool) -> None:
    """Let Postgres answer and take nothing, as a standby does; or undo that."""
    async with _connected(superuser) as connection:
        await connection.execute(
            f"alter system set default_transaction_read_only = {on}"
        )
        await connection.execute("select pg_reload_conf()")


def frozen(pid: int, *, on: bool) -> None:
    """Let a server and its processes say nothing more, or go on; it stays connected."""
    how = signal.SIGSTOP if on else signal.SIGCONT
    os.kill(pid, how)
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    for child in map(int, children.split()):
        with suppress(ProcessLookupError):
            os.kill(child, how)


@asynccontextmanager
async def _connected(superuser: str) -> AsyncIterator[asyncpg.Connection]:
    """It may write, whatever others may."""
    writing = {"default_transaction_read_only": "off"}
    connection = await asyncpg.connect(superuser, server_settings=writing)
    try:
        yield connection
    finally:
        await connection.close()
