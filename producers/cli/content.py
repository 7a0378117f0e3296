"""``sluice audit content``: what must open, and what must not, by what the logs say."""

from pathlib import Path
from typing import Final
from uuid import UUID

import click

from infra.keystore.keks import KekCache
from infra.keystore.loader import KekLoader
from infra.keystore.store import PostgresKeyStore
from infra.kms.file import FileKms
from infra.kms.folder import KeyFolder
from infra.system import SystemClock, SystemEntropy
from pipeline.forgetting import Fetch, content_pass
from pipeline.ports.ledger import Logs
from pipeline.verification import Broken
from producers.cli.books import (
    BROKEN,
    HOLDS,
    database,
    one_tenant,
    opened,
    pool_of,
    run,
    tenants_of,
)
from producers.cli.words import Number
from schemas.ids import TenantId

AGAIN_AFTER_S: Final = 60.0
CLOCK: Final = SystemClock()


@click.command()
@database
@one_tenant
@click.option(
    "--keystore-url",
    envvar="SLUICE_DATABASE__KEYSTORE_ADMIN_URL",
    required=True,
    help="The keystore, with a login that reads keys.",
)
@click.option("--keys", envvar="SLUICE_KEYS__DIRECTORY", type=Path, required=True)
@click.option("--root", envvar="SLUICE_KEYS__ROOT", type=Path, required=True)
@click.option(
    "--again-after-s",
    type=Number(min=0),
    default=AGAIN_AFTER_S,
    show_default=True,
    help="A record may come after what it says: look again before anything is told.",
)
def content(  # noqa: PLR0917 - click's options
    database_url: str | None,
    tenant: UUID | None,
    keystore_url: str,
    keys: Path,
    root: Path,
    again_after_s: float,
) -> None:
    """Hold the content's keys against what the logs say was destroyed.

    Content whose key is gone without a record that covers it, and content whose key is
    there though a record says that it was destroyed, are told with their record.
    """
    run(_content(database_url, tenant, keystore_url, keys, root, again_after_s))


async def _content(  # noqa: PLR0917 - as the command
    database_url: str | None,
    tenant: UUID | None,
    keystore_url: str,
    keys: Path,
    root: Path,
    again_after_s: float,
) -> int:
    entropy = SystemEntropy()
    folder = KeyFolder(directory=keys, root=root, entropy=entropy, clock=CLOCK)
    kms = FileKms(folder=folder, entropy=entropy)
    async with (
        opened(database_url) as books,
        pool_of("--keystore-url", keystore_url, size=1) as pool,
    ):
        keks = KekLoader(pool, kms, KekCache(CLOCK))
        store = PostgresKeyStore(pool=pool, keks=keks, entropy=entropy)
        held = [
            await judged(books.logs, each, store.fetch, again_after_s)
            for each in await tenants_of(books.logs, tenant)
        ]
    return HOLDS if all(held) else BROKEN


async def judged(
    logs: Logs, tenant: TenantId, fetch: Fetch, again_after_s: float
) -> bool:
    """Look, and where something is odd look again; False: it stayed odd."""
    odd = set(await content_pass(logs, tenant, fetch))
    if odd:
        await CLOCK.sleep(again_after_s)
        odd &= set(await content_pass(logs, tenant, fetch))
    for each in sorted(odd, key=_seq):
        click.echo(f"{tenant}: DOES NOT HOLD: record {each.seq}: {each.reason}")
    if not odd:
        click.echo(f"{tenant}: content holds")
    return not odd


def _seq(broken: Broken) -> int:
    return broken.seq
