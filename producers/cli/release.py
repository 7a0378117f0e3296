"""``sluice release``: let a group that is held or halted go on."""

from collections.abc import Mapping
from typing import Any

import click

from infra.postgres.admin import Admin
from producers.cli.dead import GROUPS
from producers.cli.desk import at_the_desk


@click.command()
@click.argument("group", type=click.Choice(GROUPS))
@at_the_desk
async def release(admin: Admin, group: str) -> Mapping[str, Any]:
    """Let GROUP go on, in every process that runs it: within 5 s it tries again.

    For after you looked (docs/operations.md). A record that still contradicts what is
    stored halts its partition again; a burst that still fails is held again. The root
    log records who released what.
    """
    return {"released": group, "release": await admin.release(group)}
