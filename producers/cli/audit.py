"""``sluice audit``: verify the ledger, ask it, hand logs out, change its key."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import click
from click.core import ParameterSource

from infra.exported import ExportedLogs
from infra.served import serving_logs
from pipeline.anchors.cosignatures import WITNESS
from pipeline.anchors.judging import Outsiders
from pipeline.anchors.timestamps import parse_certificates
from pipeline.checkpoint import parse_key
from pipeline.errors import InvalidMessage
from pipeline.ports.anchors import Anchors
from pipeline.ports.ledger import Logs
from producers.cli.adoption import adopt
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
from producers.cli.content import content
from producers.cli.copies import copies
from producers.cli.evidence import export_logs, show
from producers.cli.judging import Trust, all_there, verify_one
from producers.cli.kept import all_held
from producers.cli.query import proof, query
from producers.cli.rotation import rotate
from producers.cli.words import URL, WORDS
from producers.cli.words import credential as credential_in
from schemas.ids import TenantId


@click.group()
def audit() -> None:
    """Verify the ledger, ask it, hand logs out, change its key."""


@audit.command()
@database
@signer_folder
@one_tenant
@click.option(
    "--export",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Verify exported logs below this folder; nothing else is asked.",
)
@click.option(
    "--keys",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The log's keys as you were given them; else those that the export names.",
)
@click.option(
    "--url",
    type=URL,
    help="Verify what a gateway serves below this address, e.g. https://host/ledger.",
)
@click.option(
    "--credential-file",
    "credential",
    type=WORDS,
    callback=credential_in,
    help="The API key or token that may read it, in a file; with --url.",
)
@click.option(
    "--since",
    multiple=True,
    type=WORDS,
    help="A checkpoint that you kept: only what came behind it is recomputed.",
)
@click.option(
    "--known",
    multiple=True,
    type=WORDS,
    help="A checkpoint that you kept. It tells of a cut or rewritten history.",
)
@click.option(
    "--authority",
    "authorities",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Certificates of a time-stamping authority, PEM: its stamps must hold.",
)
@click.option(
    "--witness",
    "witnesses",
    multiple=True,
    help="A witness's key, name+id+key: it must have cosigned.",
)
def verify(  # noqa: PLR0917 - click's options
    database_url: str | None,
    signer: Path | None,
    tenant: UUID | None,
    folder: Path | None,
    keys: Path | None,
    url: str | None,
    credential: str | None,
    since: tuple[str, ...],
    known: tuple[str, ...],
    authorities: tuple[Path, ...],
    witnesses: tuple[str, ...],
) -> None:
    """Recompute every log from its stored bytes."""
    outsiders = _outsiders(authorities, witnesses)
    trust = Trust(
        export=folder,
        signer=signer,
        remembers=folder is None or _named("signer"),
        keys=keys,
        known=known,
        since=since,
        outsiders=outsiders,
    )
    if folder is not None and tenant is not None:
        raise click.UsageError("--export: its folders say whose logs these are")
    if url is None:
        run(_verify_all(database_url, tenant, trust))
    elif credential is None or folder is not None:
        raise click.UsageError("--url: expected --credential-file, and no --export")
    elif authorities or witnesses:
        # What was stamped may be an older checkpoint, and the last alone is served.
        raise click.UsageError("--url: expected no --authority and no --witness")
    else:
        run(_verify_served(url, credential, tenant, trust))


def _named(option: str) -> bool:
    """Was it given for this command, and not by the environment?"""
    source = click.get_current_context().get_parameter_source(option)
    return source is ParameterSource.COMMANDLINE


def _outsiders(authorities: tuple[Path, ...], witnesses: tuple[str, ...]) -> Outsiders:
    try:
        pems = [parse_certificates(path.read_bytes()) for path in authorities]
        keys = [parse_key(text, WITNESS) for text in witnesses]
    except InvalidMessage as error:
        raise click.UsageError(str(error)) from None
    return Outsiders([each for pem in pems for each in pem], keys)


async def _verify_served(
    url: str, credential: str, tenant: UUID | None, trust: Trust
) -> int:
    if tenant is not None:
        raise click.UsageError("--url: the credential says whose logs these are")
    async with serving_logs(url, credential) as served:
        return await _verify(served, None, None, replace(trust, served=served))


async def _verify_all(
    database_url: str | None, tenant: UUID | None, trust: Trust
) -> int:
    if trust.export is not None:
        return await _verify(ExportedLogs(trust.export), None, tenant, trust)
    async with opened(database_url) as books:
        return await _verify(books.logs, books.anchors, tenant, trust)


async def _verify(
    logs: Logs, anchors: Anchors | None, tenant: UUID | None, trust: Trust
) -> int:
    tenants = await tenants_of(logs, tenant)
    all_of_them = tenant is None and anchors is not None
    there = await (
        all_there(logs, trust) if all_of_them else all_held(logs, tenants, trust)
    )
    try:
        hold = await _each(logs, anchors, tenants, trust)
    except LookupError:
        if there:
            raise
        hold = []  # that it is missed was told
    return HOLDS if there and all(hold) else BROKEN


async def _each(
    logs: Logs, anchors: Anchors | None, tenants: Sequence[TenantId], trust: Trust
) -> Sequence[bool]:
    if not tenants:
        raise LookupError(f"there is no log {_looked(trust)}")
    return [await verify_one(logs, anchors, each, trust) for each in tenants]


def _looked(trust: Trust) -> str:
    """Where it was looked for."""
    if trust.export is not None:
        return (
            f"in a folder of {trust.export}: expected what `sluice audit export` wrote"
        )
    return "that may be read at --url" if trust.served else "in the database"


for command in (show, query, proof, export_logs, rotate, adopt, content, copies):
    audit.add_command(command)
