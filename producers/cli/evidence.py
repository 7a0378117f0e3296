"""``sluice audit show`` and ``export``: one request's story, and logs to take away."""

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import click
from rich.console import Console
from rich.table import Column, Table

from infra.exports import Written, export
from infra.signer.ed25519 import public_keys
from pipeline.audit import record
from pipeline.coverage import missing
from pipeline.errors import HeadBent
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
from producers.cli.words import shown
from schemas.ids import RequestId
from schemas.requests import Decision, Looked


@click.command()
@click.argument("request_id", type=click.UUID)
@database
@one_tenant
@click.option("--raw", is_flag=True, help="The records' exact bytes, one a line.")
def show(
    request_id: UUID, database_url: str | None, tenant: UUID | None, *, raw: bool
) -> None:
    """Print what the ledger holds of one request, in order."""
    run(_show(RequestId(str(request_id)), database_url, tenant, raw=raw))


@click.command(name="export")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@database
@signer_folder
@one_tenant
def export_logs(
    folder: Path, database_url: str | None, signer: Path | None, tenant: UUID | None
) -> None:
    """Write logs below FOLDER: records, checkpoints, tiles, keys, anchors.

    Each log is written up to its last checkpoint: what is behind it nobody signed yet.
    """
    run(_export(folder, database_url, signer, tenant))


async def _show(
    request: RequestId, database_url: str | None, tenant: UUID | None, *, raw: bool
) -> int:
    async with opened(database_url) as books:
        for each in await tenants_of(books.logs, tenant):
            if entries := await books.logs.by_request(each, request):
                print_records([entry.body for entry in entries], raw=raw)
                return HOLDS
    raise LookupError("the ledger holds nothing of this request")


def print_records(bodies: Sequence[bytes], *, raw: bool) -> None:
    """Records as a table; ``raw``: their exact bytes, one a line."""
    if raw:
        for body in bodies:
            click.echo(body)
        return
    names = ("seq", "time", "what", "status", "decisions", "found", "guards missing")
    table = Table(*(Column(name, overflow="fold") for name in names))
    for found in map(record, bodies):
        table.add_row(
            str(found.seq),
            found.ts,
            found.action,
            found.status or "",
            "\n".join(map(_decision, found.decision)),
            "\n".join(map(_looked, found.looked)),
            " ".join(sorted(missing(found))),
        )
    Console().print(table)


def _decision(said: Decision) -> str:
    rule = f" ({said.rule})" if said.rule else ""
    return f"{said.stage} {said.control}: {said.verdict}{rule}"


def _looked(saw: Looked) -> str:
    counts = [
        f"{number} {data_class} {action}"
        for data_class, actions in saw.found.items()
        for action, number in actions.items()
    ]
    told = ", ".join([*counts, *saw.signals]) or "nothing"
    return f"{saw.stage}: {told} (recipe {saw.recipe[:8]})"


async def _export(
    folder: Path, database_url: str | None, signer: Path | None, tenant: UUID | None
) -> int:
    if signer is None:
        raise click.UsageError("expected --signer: whose keys go with the logs?")
    keys = public_keys(signer)
    code = HOLDS
    async with opened(database_url) as books:
        for each in await tenants_of(books.logs, tenant):
            try:
                done = await export(books.logs, each, keys, folder, books.anchors)
            except HeadBent as bent:
                click.echo(f"{shown(bent.origin)}: NOT EXPORTED: {bent}")
                code = BROKEN
            except FileExistsError as there:
                raise click.UsageError(
                    f"{there.filename} is there already, and nothing is overwritten:"
                    " expected another FOLDER"
                ) from None
            else:
                _tell(done)
    return code


def _tell(done: Written) -> None:
    left = f"; {done.unsigned} more are not signed yet" if done.unsigned else ""
    click.echo(f"{shown(done.origin)}: {done.size} records{left}")
