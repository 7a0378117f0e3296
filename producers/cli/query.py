"""``sluice audit query`` and ``proof``: find records, and take their proofs away."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import click

from infra.signer.ed25519 import public_keys
from pipeline.audit import Entry
from pipeline.checkpoint import Checkpoint, VerifyKey, parse_note
from pipeline.erasures import every
from pipeline.ports.ledger import Logs
from pipeline.proofs import parse_proof, prove, verify_proof
from pipeline.querying import MAX_PAGE, Query
from producers.cli.books import (
    HOLDS,
    database,
    one_tenant,
    opened,
    run,
    signer_folder,
    tenants_of,
)
from producers.cli.evidence import print_records
from producers.records import written
from schemas.base import MAX_INTEGER
from schemas.ids import RequestId, TenantId

PAGE = 50
_TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])


@click.command()
@database
@click.option(
    "--tenant", type=click.UUID, required=True, help="Whose log: a tenant's id."
)
@click.option("--request", "request_id", type=click.UUID, help="Of this request.")
@click.option("--actor", help="Of this actor, e.g. key:k1.")
@click.option("--action", help="Of this action, e.g. request.blocked.")
@click.option("--since", type=_TIME, help="From this time on, UTC.")
@click.option("--until", type=_TIME, help="Before this time, UTC.")
@click.option(
    "--after",
    type=click.IntRange(-1, MAX_INTEGER - 1),
    default=-1,
    help="Behind this place: where the last page ended.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_PAGE),
    default=PAGE,
    show_default=True,
    help="Records on a page.",
)
@click.option("--all", "whole", is_flag=True, help="Page after page, to the end.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "jsonl", "csv"]),
    default="table",
    show_default=True,
    help="jsonl holds the records' exact bytes.",
)
def query(  # noqa: PLR0917 - click's options
    database_url: str | None,
    tenant: UUID,
    request_id: UUID | None,
    actor: str | None,
    action: str | None,
    since: datetime | None,
    until: datetime | None,
    after: int,
    limit: int,
    form: str,
    *,
    whole: bool,
) -> None:
    """Print the records of one log that are asked for, in order."""
    wanted = Query(
        request=RequestId(str(request_id)) if request_id else None,
        actor=actor,
        action=action,
        since=since.replace(tzinfo=UTC) if since else None,
        until=until.replace(tzinfo=UTC) if until else None,
    )
    page = Page(TenantId(str(tenant)), wanted, after + 1, None if whole else limit)
    run(_query(database_url, page, form))


@dataclass(frozen=True, slots=True)
class Page:
    """What is printed; ``limit`` None: all there is from there on."""

    tenant: TenantId
    query: Query
    from_seq: int
    limit: int | None


async def _query(database_url: str | None, page: Page, form: str) -> int:
    async with opened(database_url) as books:
        entries, more = await _found(books.logs, page)
        if form == "table":
            print_records([each.body for each in entries], raw=False)
        else:
            raw = await written(books.logs, page.tenant, entries, form)
            click.echo(raw, nl=False)
    if more:
        click.echo(f"there are more: --after {entries[-1].seq}", err=True)
    return HOLDS


async def _found(logs: Logs, page: Page) -> tuple[Sequence[Entry], bool]:
    if page.limit is None:
        rows = every(logs, page.tenant, page.query, page.from_seq)
        return [each async for each in rows], False
    limit = page.limit
    found = await logs.find(page.tenant, page.query, page.from_seq, limit + 1)
    return found[:limit], len(found) > limit


@click.command()
@click.argument("request_id", type=click.UUID)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@database
@signer_folder
@one_tenant
def proof(
    request_id: UUID,
    folder: Path,
    database_url: str | None,
    signer: Path | None,
    tenant: UUID | None,
) -> None:
    """Write each record of a request, and its .tlog-proof, below FOLDER.

    A proof needs no further request to verify. Each is verified before it is written.
    """
    if signer is None:
        raise click.UsageError("expected --signer: whose key is it verified with?")
    run(_proof(RequestId(str(request_id)), folder, database_url, signer, tenant))


async def _proof(
    request: RequestId,
    folder: Path,
    database_url: str | None,
    signer: Path,
    tenant: UUID | None,
) -> int:
    keys = public_keys(signer)
    async with opened(database_url) as books:
        for each in await tenants_of(books.logs, tenant):
            if entries := await books.logs.by_request(each, request):
                note = await books.logs.latest(each)
                signed = _signed(note, entries)
                named = keys.named(signed.origin)
                for entry in entries:
                    text = await _proved(books.logs, each, entry, note or "", named)
                    _write(folder, entry, text)
                return HOLDS
    raise LookupError("the ledger holds nothing of this request")


def _signed(note: str | None, entries: Sequence[Entry]) -> Checkpoint:
    """The checkpoint, if it counts all of them."""
    signed = parse_note(note) if note else None
    if signed is None or signed.size <= entries[-1].seq:
        raise LookupError(
            "no checkpoint counts these records yet: ask again, or let the signer sign"
            " now (python -m producers checkpointer --once)"
        )
    return signed


async def _proved(
    logs: Logs, tenant: TenantId, entry: Entry, note: str, keys: Sequence[VerifyKey]
) -> str:
    made = await prove(logs, tenant, entry.seq, parse_note(note), note)
    # As whoever takes it away will read it.
    verify_proof(parse_proof(made.text), entry.body, keys)
    return made.text


def _write(folder: Path, entry: Entry, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{entry.seq}.json").write_bytes(entry.body)
    (folder / f"{entry.seq}.tlog-proof").write_text(text)
    sys.stdout.write(f"{folder / f'{entry.seq}.tlog-proof'}\n")
