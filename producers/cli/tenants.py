"""``sluice tenant``."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from infra.postgres.admin import Admin
from producers.cli.desk import at_the_desk


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
