"""``sluice client``."""

from collections.abc import Mapping
from typing import Any

import click

from infra.postgres.admin import Admin
from producers.cli.desk import at_the_desk, expected, in_environment, of_tenant, once
from schemas.ids import TenantId


@click.group()
def client() -> None:
    """OAuth clients: producers that publish with a Kafka client of their own."""


@client.command()
@of_tenant
@in_environment
@click.option("--name", default="default", help="What it is for.")
@at_the_desk
async def create(
    admin: Admin, tenant: TenantId, environment: Any, name: str
) -> Mapping[str, Any]:
    """Make a client; its secret is shown once."""
    return once(await admin.create_client(tenant, environment, name), "secret")


@client.command()
@of_tenant
@click.argument("client_id")
@at_the_desk
async def revoke(admin: Admin, tenant: TenantId, client_id: str) -> Mapping[str, Any]:
    """End a client and its tokens; within 5 s they work nowhere."""
    if not await admin.revoke_client(tenant, client_id):
        raise expected("a live client of this tenant")
    return {"revoked": client_id}
