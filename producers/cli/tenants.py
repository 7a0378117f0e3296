"""``sluice tenant``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from infra.exports import own_keys
from infra.postgres.admin import Admin
from infra.postgres.closing import Closing
from pipeline.checkpoint import VerifyKey
from producers.cli.desk import at_the_desk, expected, tenant_id
from schemas.ids import TenantId

one = click.argument("tenant", callback=tenant_id)


@click.group()
def tenant() -> None:
    """Tenants."""


@tenant.command()
@click.argument("name")
@at_the_desk
async def create(admin: Admin, name: str) -> Mapping[str, Any]:
    """Make a tenant with a key of its own and the default policy."""
    return {"tenant_id": await admin.create_tenant(name)}


@tenant.command(name="list")
@at_the_desk
async def list_all(admin: Admin) -> Sequence[Mapping[str, Any]]:
    """All tenants."""
    return [dict(row) for row in await admin.tenants()]


@tenant.command()
@one
@at_the_desk
async def freeze(admin: Admin, tenant: TenantId) -> Mapping[str, Any]:
    """Admit nothing of a tenant any more; what it has sent goes on to its end."""
    if not await Closing(admin).freeze(tenant):
        raise expected("a tenant that is active")
    return {"frozen": tenant}


@tenant.command()
@one
@at_the_desk
async def thaw(admin: Admin, tenant: TenantId) -> Mapping[str, Any]:
    """Admit again what a frozen tenant sends."""
    if not await Closing(admin).thaw(tenant):
        raise expected("a tenant that is frozen")
    return {"thawed": tenant}


@tenant.command()
@one
@click.confirmation_option(
    prompt="Its keys are destroyed, and with them all of its content. Go on?"
)
@at_the_desk
async def close(admin: Admin, tenant: TenantId) -> Mapping[str, Any]:
    """Destroy a frozen tenant's keys, and close its log with a last record.

    It must have been frozen for 15 minutes, and all that it sent must have ended.
    """
    return {"closed": tenant, "as_of": await Closing(admin).close(tenant)}


@tenant.command("delete-log")
@one
@click.option(
    "--signed-by",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The log's keys, a vkeys.json: its last checkpoint must open under them.",
)
@click.confirmation_option(prompt="Its records are deleted for good. Go on?")
@at_the_desk
async def delete_log(
    admin: Admin, tenant: TenantId, signed_by: Path
) -> Mapping[str, Any]:
    """Delete the log of a closed tenant, whole.

    The checkpointer must have signed its end. Kept are its last record, the proof that
    it stands last under the last checkpoint, and where the root log commits to that.
    """
    keys = own_keys(signed_by)
    kept = await Closing(admin).delete_log(
        tenant, lambda origin: [VerifyKey(origin, each.public) for each in keys]
    )
    return {"deleted": kept.origin, "root_seq": kept.rooted.seq}
