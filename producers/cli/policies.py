"""``sluice policy``."""

import json
from collections.abc import Mapping
from typing import Any, BinaryIO

import click
from pydantic import ValidationError

from infra.postgres.admin import Admin
from producers.cli.desk import at_the_desk, expected, of_tenant
from schemas.ids import TenantId
from schemas.policies import PolicyDocument


@click.group()
def policy() -> None:
    """Policies: which controls run, and what they do. Versions never change."""


@policy.command(name="set")
@of_tenant
@click.argument("file", type=click.File("rb"))
@at_the_desk
async def replace(admin: Admin, tenant: TenantId, file: BinaryIO) -> Mapping[str, Any]:
    """Put a new version in force, from FILE (JSON; - for standard input)."""
    try:
        document = PolicyDocument.model_validate_json(file.read())
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in found]
        raise expected("a policy document\n  " + "\n  ".join(lines)) from None
    return {"version": await admin.set_policy(tenant, document)}


@policy.command()
@of_tenant
@at_the_desk
async def show(admin: Admin, tenant: TenantId) -> Mapping[str, Any]:
    """The policy in force."""
    found = await admin.policy(tenant)
    if found is None:
        raise expected("a tenant with a policy")
    shown: dict[str, Any] = json.loads(found.model_dump_json())
    return shown
