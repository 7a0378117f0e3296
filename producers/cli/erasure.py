"""``sluice erase`` and ``sluice receipts``."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import click

from infra.postgres.admin import Admin
from infra.postgres.retention import PostgresPurges
from pipeline.receipts import unverified
from producers.cli.desk import at_the_desk, of_tenant
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


@erase.command()
@of_tenant
@click.argument("person")
@at_the_desk
async def subject(admin: Admin, tenant: TenantId, person: str) -> Mapping[str, Any]:
    """Order that all requests that named PERSON as their end user be forgotten."""
    return {"job": await admin.erase_subject(tenant, person)}


@click.command()
@of_tenant
@at_the_desk
async def receipts(admin: Admin, tenant: TenantId) -> Sequence[Mapping[str, Any]]:
    """What was forgotten, and the signed receipts of it (compact JWS)."""
    found = await PostgresPurges(admin.pool).receipts(tenant)
    return [{"job": unverified(token).id, "jws": token} for token in found]
