"""``sluice audit``: verify the ledger, tell one request's story, hand logs out.

Exit codes: 0 all holds; 1 something does not; 2 wrong usage; 3 it cannot be told now.
"""

import asyncio
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from infra.exports import VKEYS, ExportedLogs, export, read_keys
from infra.postgres.logs import PostgresLogs, waiting
from infra.postgres.pool import open_pool
from infra.signer.ed25519 import public_keys
from infra.signer.state import STATE, FileState
from pipeline.audit import Head, record
from pipeline.checkpoint import VerifyKey, parse_note
from pipeline.coverage import not_run
from pipeline.errors import InvalidMessage, RetryableError
from pipeline.passes import Refused, Report, full_pass
from pipeline.ports.ledger import Logs
from schemas.ids import RequestId, TenantId
from schemas.requests import Decision

HOLDS, BROKEN, UNKNOWN = 0, 1, 3

database = click.option(
    "--database-url",
    envvar="SLUICE_DATABASE__ADMIN_URL",
    help="Where the ledger lies. Environment: SLUICE_DATABASE__ADMIN_URL.",
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


@click.group()
def audit() -> None:
    """Verify the ledger, tell one request's story, hand logs out."""


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
    "--known",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A checkpoint that you kept. It tells of a cut or rewritten history.",
)
def verify(  # noqa: PLR0917 - click's options
    database_url: str | None,
    signer: Path | None,
    tenant: UUID | None,
    folder: Path | None,
    keys: Path | None,
    known: tuple[Path, ...],
) -> None:
    """Recompute every log from its stored bytes."""
    trust = Trust(folder, signer, keys, [path.read_text() for path in known])
    _run(_verify_all(database_url, folder, tenant, trust))


@audit.command()
@click.argument("request_id", type=click.UUID)
@database
@one_tenant
@click.option("--raw", is_flag=True, help="The records' exact bytes, one a line.")
def show(
    request_id: UUID, database_url: str | None, tenant: UUID | None, *, raw: bool
) -> None:
    """Print what the ledger holds of one request, in order."""
    _run(_show(RequestId(str(request_id)), database_url, tenant, raw=raw))


@audit.command(name="export")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@database
@signer_folder
@one_tenant
def export_logs(
    folder: Path, database_url: str | None, signer: Path | None, tenant: UUID | None
) -> None:
    """Write logs below FOLDER: records, checkpoints, tiles, keys."""
    _run(_export(folder, database_url, signer, tenant))


@dataclass(frozen=True, slots=True)
class Trust:
    """What a log is judged by: the keys, and checkpoints that lay elsewhere."""

    export: Path | None
    signer: Path | None
    keys: Path | None
    known: Sequence[str]

    def keys_of(self, tenant: TenantId, origin: str) -> Sequence[VerifyKey]:
        """The keys of one log, from the best place that was given."""
        if self.keys is not None:
            return read_keys(self.keys)
        if self.export is not None:
            return read_keys(self.export / tenant / VKEYS)
        if self.signer is not None:
            return public_keys(self.signer).named(origin)
        raise click.UsageError("expected --signer or --keys: who signs the log?")

    async def outside(self, origin: str) -> Sequence[str]:
        """Checkpoints of one log that the ledger itself did not hand out."""
        notes = [note for note in self.known if parse_note(note).origin == origin]
        if self.signer is not None:
            signed = await FileState(self.signer / STATE).last(origin)
            notes += [signed.note] if signed else []
        return notes


def _run(work: Coroutine[Any, Any, int]) -> None:
    try:
        code = asyncio.run(work)
    except RetryableError as error:
        click.echo(f"it cannot be told now: {error}", err=True)
        code = UNKNOWN
    except (LookupError, InvalidMessage, FileExistsError) as error:
        click.echo(str(error), err=True)
        code = UNKNOWN
    sys.exit(code)


@asynccontextmanager
async def _opened(database_url: str | None) -> AsyncIterator[Logs]:
    if database_url is None:
        raise click.UsageError("expected --database-url")
    with waiting():
        pool = await _pool(database_url)
    async with pool:
        yield PostgresLogs(pool=pool, role="sluice_tenant")


async def _pool(database_url: str) -> asyncpg.Pool:
    try:
        return await open_pool(database_url, size=2)
    except (asyncpg.PostgresError, ValueError) as error:
        # Its class alone: the text may hold the address with the password.
        kind = type(error).__name__
        raise click.UsageError(f"--database-url: {kind}") from None


async def _tenants(logs: Logs, tenant: UUID | None) -> Sequence[TenantId]:
    return await logs.tenants() if tenant is None else [TenantId(str(tenant))]


async def _verify_all(
    database_url: str | None, folder: Path | None, tenant: UUID | None, trust: Trust
) -> int:
    if folder is not None:
        return await _verify(ExportedLogs(folder), tenant, trust)
    async with _opened(database_url) as logs:
        return await _verify(logs, tenant, trust)


async def _verify(logs: Logs, tenant: UUID | None, trust: Trust) -> int:
    tenants = await _tenants(logs, tenant)
    if not tenants:
        raise LookupError("there is no log")
    hold = [await _verify_one(logs, each, trust) for each in tenants]
    return HOLDS if all(hold) else BROKEN


async def _verify_one(logs: Logs, tenant: TenantId, trust: Trust) -> bool:
    try:
        head = await logs.head(tenant)
        if head is None:
            raise LookupError("there is no log of this tenant")
        report = await _judged(logs, tenant, head, trust)
    except Refused as refused:
        click.echo(f"{tenant}: DOES NOT HOLD: {refused}")
        return False
    broken = report.broken
    said = f"DOES NOT HOLD: record {broken.seq}: {broken.reason}" if broken else "holds"
    click.echo(
        f"{report.origin}: {report.size} records, {report.checkpoints} checkpoints,"
        f" root {b64encode(report.root).decode()}: {said}"
    )
    return broken is None


async def _judged(logs: Logs, tenant: TenantId, head: Head, trust: Trust) -> Report:
    keys = trust.keys_of(tenant, head.origin)
    outside = await trust.outside(head.origin)
    console = Console(stderr=True)
    with Progress(
        console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(head.origin, total=head.size)

        def progress(done: int) -> None:
            bar.update(task, completed=done)

        report = await full_pass(logs, tenant, keys, outside, progress)
    if report is None:
        raise LookupError("the log went away while it was read")
    return report


async def _show(
    request: RequestId, database_url: str | None, tenant: UUID | None, *, raw: bool
) -> int:
    async with _opened(database_url) as logs:
        for each in await _tenants(logs, tenant):
            if entries := await logs.by_request(each, request):
                _print([entry.body for entry in entries], raw=raw)
                return HOLDS
    raise LookupError("the ledger holds nothing of this request")


def _print(bodies: Sequence[bytes], *, raw: bool) -> None:
    if raw:
        for body in bodies:
            click.echo(body)
        return
    table = Table("seq", "time", "what", "status", "decisions", "guards missing")
    for found in map(record, bodies):
        missing = " ".join(sorted(not_run(found)))
        table.add_row(
            str(found.seq),
            found.ts,
            found.action,
            found.status or "",
            "\n".join(map(_decision, found.decision)),
            missing,
        )
    Console().print(table)


def _decision(said: Decision) -> str:
    rule = f" ({said.rule})" if said.rule else ""
    return f"{said.stage} {said.control}: {said.verdict}{rule}"


async def _export(
    folder: Path, database_url: str | None, signer: Path | None, tenant: UUID | None
) -> int:
    if signer is None:
        raise click.UsageError("expected --signer: whose keys go with the logs?")
    keys = public_keys(signer)
    async with _opened(database_url) as logs:
        for each in await _tenants(logs, tenant):
            head = await export(logs, each, keys, folder)
            click.echo(f"{head.origin}: {head.size} records")
    return HOLDS
