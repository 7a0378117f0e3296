"""``sluice route``."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from infra.postgres.admin import Admin
from producers.cli.desk import all_of, at_the_desk, in_environment, of_tenant
from producers.cli.words import OF_MODEL, OF_PROVIDER
from schemas.ids import TenantId
from schemas.requests import Route


@click.group()
def route() -> None:
    """Routes: which provider a model name leads to."""


@route.command(name="set")
@of_tenant
@in_environment
@click.argument("model", type=OF_MODEL)
@click.option(
    "--provider",
    type=OF_PROVIDER,
    required=True,
    help="A provider's name, as configured.",
)
@click.option(
    "--upstream-model",
    type=OF_MODEL,
    help="The model it knows; default: the same name.",
)
@at_the_desk
async def bind(  # noqa: PLR0917 - click's options
    admin: Admin,
    tenant: TenantId,
    environment: Any,
    model: str,
    provider: str,
    upstream_model: str | None,
) -> Mapping[str, Any]:
    """Bind MODEL to a provider; within 5 s every gateway knows."""
    bound = Route(provider=provider, model=upstream_model or model)
    await admin.set_route(tenant, environment, model, bound)
    return {"model": model, "provider": provider, "upstream_model": bound.model}


@route.command(name="list")
@of_tenant
@at_the_desk
async def list_all(admin: Admin, tenant: TenantId) -> Sequence[Mapping[str, Any]]:
    """All routes of a tenant."""
    rows = [dict(row) for row in await admin.routes(tenant)]
    return await all_of(admin, tenant, rows)
