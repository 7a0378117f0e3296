"""``sluice key``."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import click

from infra.postgres.admin import Admin
from producers.cli.desk import (
    all_of,
    at_the_desk,
    expected,
    in_environment,
    of_tenant,
    once,
)
from schemas.ids import TenantId


@click.group()
def key() -> None:
    """API keys."""


@key.command()
@of_tenant
@in_environment
@click.option("--name", default="default", help="What it is for.")
@at_the_desk
async def create(
    admin: Admin, tenant: TenantId, environment: Any, name: str
) -> Mapping[str, Any]:
    """Make a key; it is shown once."""
    return once(await admin.create_key(tenant, environment, name), "key")


@key.command()
@of_tenant
@click.argument("key_id", type=click.UUID)
@click.option(
    "--grace-s",
    type=click.IntRange(0, 604_800),
    default=86_400,
    show_default=True,
    help="Seconds for which the old secret works on.",
)
@at_the_desk
async def rotate(
    admin: Admin, tenant: TenantId, key_id: UUID, grace_s: int
) -> Mapping[str, Any]:
    """Give a key a new secret; the old one works until the grace is over."""
    made = await admin.rotate_key(tenant, str(key_id), timedelta(seconds=grace_s))
    if made is None:
        raise expected("a live key of this tenant")
    return once(made, "key")


@key.command()
@of_tenant
@click.argument("key_id", type=click.UUID)
@at_the_desk
async def revoke(admin: Admin, tenant: TenantId, key_id: UUID) -> Mapping[str, Any]:
    """End a key; within 5 s it works nowhere."""
    if not await admin.revoke_key(tenant, str(key_id)):
        raise expected("a live key of this tenant")
    return {"revoked": key_id}


@key.command(name="list")
@of_tenant
@at_the_desk
async def list_all(admin: Admin, tenant: TenantId) -> Sequence[Mapping[str, Any]]:
    """All keys of a tenant, without their secrets."""
    rows = [dict(row) for row in await admin.keys(tenant)]
    return await all_of(admin, tenant, rows)
