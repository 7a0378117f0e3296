"""What the commands share: the operator's connections, and how they answer."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg
import click
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from infra.kafka.publisher import KafkaPublisher
from infra.keystore.keeper import PostgresKeyKeeper
from infra.keystore.keks import KekCache
from infra.keystore.loader import KekLoader
from infra.keystore.secrets import KekSecrets, PostgresSubjects
from infra.kms.file import FileKms
from infra.kms.folder import KeyFolder
from infra.postgres.admin import Admin, NewSecret
from infra.postgres.outbox import Outbox
from infra.starting import told
from infra.system import SystemClock, SystemEntropy
from pipeline.errors import RetryableError, SluiceError
from producers.cli.books import REFUSED, pool_of
from producers.cli.brokers import brokers
from producers.cli.words import AT_KAFKA
from schemas.ids import Actor, TenantId

AWAY: Final = 3
WRONG: Final = 1
KNOWN: Final = "a tenant's id, as `sluice tenant list` shows it"
UNTOLD: Final = re.compile(r"[^A-Za-z0-9_.@:-]")
"""What an actor's name on the ledger does not hold."""


class Undone(list[Mapping[str, Any]]):
    """Rows that are shown, whereupon the command ends with 1: not all was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where the operator's services are."""

    database_url: str
    keystore_url: str
    keys: Path
    root: Path
    kafka: str

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[Admin]:
        """The operator's acts; what they leave in the outbox is published then."""
        clock, entropy = SystemClock(), SystemEntropy()
        kms = FileKms(
            folder=KeyFolder(
                directory=self.keys, root=self.root, entropy=entropy, clock=clock
            ),
            entropy=entropy,
        )
        async with (
            pool_of("--database-url", self.database_url, size=1) as pool,
            pool_of("--keystore-url", self.keystore_url, size=1) as keystore,
        ):
            keks = KekLoader(keystore, kms, KekCache(clock))
            yield Admin(
                pool=pool,
                keeper=PostgresKeyKeeper(pool=keystore, kms=kms, entropy=entropy),
                subjects=PostgresSubjects(
                    pool=keystore,
                    secrets=KekSecrets(keks=keks, entropy=entropy),
                    entropy=entropy,
                    clock=clock,
                ),
                clock=clock,
                entropy=entropy,
                actor=operator(),
            )
            await self._published(pool)

    async def _published(self, pool: asyncpg.Pool) -> None:
        """Try at once; what stays is the outbox worker's.

        The act is done, so nothing here may keep its answer from being shown: a
        secret is shown once.
        """
        try:
            async with KafkaPublisher(brokers(self.kafka)) as publisher:
                await Outbox(pool=pool, publisher=publisher).round()
        except RetryableError:
            click.echo("Kafka is away: the ledger will be told later", err=True)


def operator() -> Actor:
    """Who acts: the login's name, or its number where it has none."""
    try:
        name = getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    return Actor("user:" + UNTOLD.sub("_", name)[:128])


def _told_in(
    envvar: str, option: str, **more: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """An option that the environment sets; whoever sets neither is told of both."""
    return click.option(option, envvar=envvar, show_envvar=True, required=True, **more)


kafka: Final = _told_in("SLUICE_KAFKA__BOOTSTRAP", "--kafka", type=AT_KAFKA)
_JSON: Final = click.option(
    "--json", "as_json", is_flag=True, help="One JSON document."
)
_OPTIONS: Final = (
    _told_in("SLUICE_DATABASE__ADMIN_URL", "--database-url"),
    _told_in("SLUICE_DATABASE__KEYSTORE_ADMIN_URL", "--keystore-url"),
    _told_in("SLUICE_KEYS__DIRECTORY", "--keys", type=Path),
    _told_in("SLUICE_KEYS__ROOT", "--root", type=Path),
    kafka,
    _JSON,
)


def at_the_desk(
    act: Callable[..., Awaitable[Mapping[str, Any] | Sequence[Mapping[str, Any]]]],
) -> Callable[..., None]:
    """A command: ``act(admin, …)`` is run, and what it returns is shown.

    A mapping is shown as lines, a sequence of mappings as a table; where the screen
    is too narrow for that, as lines too, for an id that is cut serves nobody.
    """

    def command(
        *,
        database_url: str,
        keystore_url: str,
        keys: Path,
        root: Path,
        kafka: str,
        as_json: bool,
        **arguments: Any,
    ) -> None:
        desk = Desk(
            database_url=database_url,
            keystore_url=keystore_url,
            keys=keys,
            root=root,
            kafka=kafka,
        )

        async def run() -> Mapping[str, Any] | Sequence[Mapping[str, Any]]:
            async with desk.admin() as admin:
                return await act(admin, **arguments)

        found = _ran(run)
        shown(found, as_json=as_json)
        if isinstance(found, Undone):
            sys.exit(WRONG)

    command.__name__, command.__doc__ = act.__name__, act.__doc__
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def at_kafka(
    act: Callable[..., Awaitable[Mapping[str, Any] | Sequence[Mapping[str, Any]]]],
) -> Callable[..., None]:
    """A command that needs Kafka alone: ``act(clients, …)``; shown as at the desk."""

    def command(*, kafka: str, as_json: bool, **arguments: Any) -> None:
        found = _ran(lambda: act(brokers(kafka), **arguments))
        shown(found, as_json=as_json)

    command.__name__, command.__doc__ = act.__name__, act.__doc__
    return kafka(_JSON(command))


def _ran(run: Callable[[], Awaitable[Any]]) -> Any:
    async def once() -> Any:
        return await run()

    try:
        return asyncio.run(once())
    except RetryableError as error:
        click.echo(f"not now: {error}", err=True)
        sys.exit(AWAY)
    except asyncpg.ForeignKeyViolationError:
        click.echo(f"expected {KNOWN}", err=True)
        sys.exit(WRONG)
    except asyncpg.CheckViolationError:
        click.echo("expected names of 1 to 128 characters", err=True)
        sys.exit(WRONG)
    except asyncpg.IntegrityConstraintViolationError:
        click.echo("somebody did the same at that moment: try again", err=True)
        sys.exit(WRONG)
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        click.echo(f"{REFUSED} ({type(error).__name__})", err=True)
        sys.exit(WRONG)
    except OSError as error:
        click.echo(told(error), err=True)
        sys.exit(WRONG)
    except SluiceError as error:
        click.echo(str(error), err=True)
        sys.exit(WRONG)


def shown(found: Any, *, as_json: bool) -> None:
    """Print what a command found, as :func:`at_the_desk` says."""
    if as_json:
        click.echo(json.dumps(found, default=str))
    elif isinstance(found, Mapping):
        _lines(found)
    elif found:
        _table(found)
    else:
        click.echo("none")


def _table(found: Sequence[Mapping[str, Any]]) -> None:
    table, console = Table(*found[0]), Console()
    for row in found:
        table.add_row(*map(str, row.values()))
    unbounded = console.options.update(max_width=sys.maxsize)
    if Measurement.get(console, unbounded, table).maximum <= console.width:
        console.print(table)
        return
    for row in found:
        _lines(row)
        click.echo()


def _lines(found: Mapping[str, Any]) -> None:
    for name, value in found.items():
        click.echo(f"{name}: {value}")


def tenant_id(_: click.Context, __: click.Parameter, value: str) -> TenantId:
    """A tenant's id, as an argument.

    Raises:
        BadParameter: it is no canonical UUID.
    """
    try:
        if str(UUID(value)) == value:
            return TenantId(value)
    except ValueError:
        pass
    raise click.BadParameter(f"expected {KNOWN}")


of_tenant = click.option("--tenant", required=True, callback=tenant_id)
in_environment = click.option(
    "--environment", type=click.Choice(["live", "test"]), default="live"
)


def once(made: NewSecret, name: str) -> Mapping[str, str]:
    """A new secret, shown once."""
    return {"id": made.id, name: made.secret}


async def all_of(
    admin: Admin, tenant: TenantId, rows: Sequence[Mapping[str, Any]]
) -> Sequence[Mapping[str, Any]]:
    """All that a tenant has; whoever mistyped its id is not told that it has none.

    Raises:
        SluiceError: there is no such tenant.
    """
    if not rows and tenant not in {
        str(each["tenant_id"]) for each in (await admin.tenants())
    }:
        raise expected(KNOWN)
    return rows


def expected(what: str) -> SluiceError:
    """Nothing was there; ``what`` says what was expected."""
    return SluiceError(f"expected {what}")
