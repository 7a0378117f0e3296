"""``sluice erase`` and ``sluice receipts``."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import click

from infra.postgres.admin import Admin
from infra.postgres.logs import PostgresLogs
from infra.postgres.retention import PostgresPurges
from pipeline.checkpoint import parse_note
from pipeline.erasure import COMPLETED
from pipeline.erasures import every
from pipeline.ports.ledger import Logs
from pipeline.proofs import prove
from pipeline.querying import Query
from pipeline.receipts import unverified
from producers.cli.desk import all_of, at_the_desk, of_tenant
from schemas.ids import RequestId, TenantId


@click.group()
def erase() -> None:
    """Forget a request, or a person: their keys are destroyed."""


@erase.command()
@of_tenant
@click.argument("request_id", type=click.UUID)
@at_the_desk
async def request(
    admin: Admin, tenant: TenantId, request_id: UUID
) -> Mapping[str, Any]:
    """Order that one request be forgotten."""
    return {"job": await admin.erase_request(tenant, RequestId(str(request_id)))}


def named(_: click.Context, __: click.Parameter, given: str) -> str:
    """What was given; ``-``: the first line of standard input.

    Raises:
        BadParameter: there is none in UTF-8.
    """
    if given != "-":
        return given
    line = sys.stdin.buffer.readline().rstrip(b"\r\n")
    try:
        read = line.decode()
    except UnicodeDecodeError:
        read = ""
    if not read:
        raise click.BadParameter("expected a line of UTF-8 on standard input")
    return read


@erase.command()
@of_tenant
@click.argument("person", callback=named)
@at_the_desk
async def subject(admin: Admin, tenant: TenantId, person: str) -> Mapping[str, Any]:
    """Order that all requests that named PERSON as their end user be forgotten.

    Where PERSON is -, it is read from standard input: words of a command stand in the
    list of processes and in the shell's history.
    """
    return {"job": await admin.erase_subject(tenant, person)}


@click.command()
@of_tenant
@at_the_desk
async def receipts(admin: Admin, tenant: TenantId) -> Sequence[Mapping[str, Any]]:
    """What was forgotten, and the signed receipts of it (compact JWS).

    Beside each the record on the ledger that it names, and the record's .tlog-proof,
    once a checkpoint counts it.
    """
    found = await PostgresPurges(admin.pool).receipts(tenant)
    places = await _places(PostgresLogs(pool=admin.pool, role="sluice_tenant"), tenant)
    return await all_of(admin, tenant, [_told(token, places) for token in found])


Place = Mapping[str, str]


def _told(token: str, places: Mapping[str, Place]) -> Mapping[str, Any]:
    stated = unverified(token)
    place = places.get(stated.ledger.event_id, {})
    return {"job": stated.id, "jws": token, **place}


async def _places(logs: Logs, tenant: TenantId) -> Mapping[str, Place]:
    """The records of erasures that a checkpoint counts, by their events' ids."""
    note = await logs.latest(tenant)
    if note is None:
        return {}
    signed = parse_note(note)
    return {
        entry.event_id: {
            "record": entry.body.decode(),
            "proof": (await prove(logs, tenant, entry.seq, signed, note)).text,
        }
        async for entry in every(logs, tenant, Query(action=COMPLETED))
        if entry.seq < signed.size
    }
