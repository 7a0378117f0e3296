"""``sluice audit adopt``: give a signer that lost its memory what was published."""

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import click

from infra.signer.ed25519 import public_keys
from infra.signer.state import STATE, FileState
from pipeline.checkpoint import parse_note
from pipeline.closing import gone
from pipeline.errors import HeadBent
from pipeline.passes import full_pass
from pipeline.ports.ledger import Logs
from pipeline.ports.signer import Signed
from producers.cli.books import (
    BROKEN,
    HOLDS,
    database,
    one_tenant,
    opened,
    run,
    signer_folder,
    tenants_of,
)
from producers.cli.words import WORDS, shown
from schemas.ids import TenantId


@click.command()
@database
@signer_folder
@one_tenant
@click.option(
    "--known",
    multiple=True,
    type=WORDS,
    help="A checkpoint that lay elsewhere: an export, a bucket, an auditor's.",
)
def adopt(
    database_url: str | None,
    signer: Path | None,
    tenant: UUID | None,
    known: tuple[str, ...],
) -> None:
    """Let the signer believe the checkpoints that are published.

    For a signer that lost its state: it refuses every log that has a checkpoint. Each
    such log is verified in full, under the signer's own keys, and its last checkpoint,
    the last published or the last --known, becomes what the signer remembers. A ledger
    that was cut or rewritten while nobody remembered, and a log that is gone, are told
    only by a checkpoint that lay elsewhere: give all that there are with --known, and
    compare what is printed here. Run it where the checkpointer runs, as its user.
    """
    if signer is None:
        raise click.UsageError("expected --signer: whose memory is it?")
    run(_adopt(database_url, signer, tenant, known))


async def _adopt(
    database_url: str | None, signer: Path, tenant: UUID | None, known: Sequence[str]
) -> int:
    async with opened(database_url) as books:
        tenants = await tenants_of(books.logs, tenant)
        held = [await _one(books.logs, each, signer, known) for each in tenants]
        signed, keys = [*map(parse_note, known)], public_keys(signer).named
        missing = await gone(books.logs, signed, keys)
    for origin in missing:
        click.echo(f"{shown(origin)}: NOT ADOPTED: it was signed, and is gone")
    return HOLDS if all(held) and not missing else BROKEN


async def _one(
    logs: Logs, tenant: TenantId, signer: Path, known: Sequence[str]
) -> bool:
    try:
        return await adopted(logs, tenant, signer, known)
    except HeadBent as bent:
        click.echo(f"{shown(bent.origin)}: NOT ADOPTED: {bent}")
        return False


async def adopted(
    logs: Logs, tenant: TenantId, signer: Path, known: Sequence[str]
) -> bool:
    """Make a log's last checkpoint what the signer remembers; False: it may not be.

    It is the longest that is published, or that is ``known``. Nothing changes where
    the signer remembers one, or there is none.
    """
    head = await logs.head(tenant)
    state = FileState(signer / STATE)
    if head is None or await state.last(head.origin) is not None:
        return True
    keys = public_keys(signer).named(head.origin)
    outside = [each for each in known if parse_note(each).origin == head.origin]
    notes = [*outside, *filter(None, [await logs.latest(tenant)])]
    if not notes:
        return True
    report = await full_pass(logs, tenant, keys, outside)
    if report is None or report.broken is not None:
        why = report.broken.reason if report and report.broken else "the log is gone"
        click.echo(f"{shown(head.origin)}: NOT ADOPTED: {why}")
        return False
    note = max(notes, key=_size)
    signed = Signed(parse_note(note), note)
    if not await state.swap(None, signed):
        return True
    root, size = b64encode(signed.checkpoint.root).decode(), signed.checkpoint.size
    click.echo(f"{shown(head.origin)}: adopted {size} records, root {root}")
    return True


def _size(note: str) -> int:
    return parse_note(note).size
