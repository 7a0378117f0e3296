"""How the commands of ``sluice audit`` reach the ledger, and how they end.

Exit codes: 0 all holds; 1 something does not; 2 wrong usage; 3 it cannot be told now.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import click

from infra.postgres.anchors import PostgresAnchors
from infra.postgres.logs import PostgresLogs
from infra.postgres.pool import open_pool
from infra.starting import told
from pipeline.errors import (
    IntegrityError,
    InvalidMessage,
    Misconfigured,
    RetryableError,
)
from pipeline.ports.anchors import Anchors
from pipeline.ports.ledger import Logs
from producers.cli.words import shown
from schemas.ids import TenantId

HOLDS, BROKEN, UNKNOWN = 0, 1, 3
CONNECT_S = 10.0
"""Somebody waits at a screen."""
REFUSED = (
    "the database refuses: expected this command's login, and all migrations applied"
)

DATABASE_URL = "SLUICE_DATABASE__ADMIN_URL"

database = click.option(
    "--database-url",
    envvar=DATABASE_URL,
    help=f"Where the ledger lies. Environment: {DATABASE_URL}.",
)
signer_folder = click.option(
    "--signer",
    envvar="SLUICE_LEDGER__SIGNER_DIRECTORY",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The signer's folder: its public keys, and what it signed last.",
)
one_tenant = click.option(
    "--tenant", type=click.UUID, help="This log alone: a tenant's id."
)


@dataclass(frozen=True, slots=True)
class Books:
    """What lies in the database."""

    logs: Logs
    anchors: Anchors


def run(work: Coroutine[Any, Any, int]) -> None:
    """Do the work, and end the process with its code."""
    try:
        code = asyncio.run(work)
    except RetryableError as error:
        click.echo(f"it cannot be told now: {error}", err=True)
        code = UNKNOWN
    except IntegrityError as error:
        click.echo(f"DOES NOT HOLD: {', '.join(map(str, error.args))}", err=True)
        code = BROKEN
    except (LookupError, InvalidMessage) as error:
        click.echo(str(error), err=True)
        code = UNKNOWN
    except OSError as error:
        # A file of an export has its name from whoever made that.
        click.echo(shown(told(error)), err=True)
        code = UNKNOWN
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        click.echo(f"{REFUSED} ({type(error).__name__})", err=True)
        code = UNKNOWN
    sys.exit(code)


@asynccontextmanager
async def opened(database_url: str | None) -> AsyncIterator[Books]:
    """The ledger, read as tenants read it, one after the other."""
    if database_url is None:
        raise click.UsageError(f"expected --database-url, or {DATABASE_URL} set")
    async with pool_of("--database-url", database_url, size=2) as pool:
        yield Books(
            PostgresLogs(pool=pool, role="sluice_tenant"),
            PostgresAnchors(pool=pool, role="sluice_tenant"),
        )


@asynccontextmanager
async def pool_of(option: str, url: str, *, size: int) -> AsyncIterator[asyncpg.Pool]:
    """Connections to the database that an option names.

    Raises:
        UsageError: it is no address, or the login is refused there.
        RetryableError: the database is away.
    """
    try:
        pool = await open_pool(url, size=size, name=option, connect_s=CONNECT_S)
    except Misconfigured as error:
        raise click.UsageError(str(error)) from None
    async with pool:
        yield pool


async def tenants_of(logs: Logs, tenant: UUID | None) -> Sequence[TenantId]:
    """Whom a command is about: one, or all who have a log."""
    return await logs.tenants() if tenant is None else [TenantId(str(tenant))]
