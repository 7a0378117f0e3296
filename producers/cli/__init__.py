"""``sluice``: the operator's command line."""

import click

from producers.cli.audit import audit
from producers.cli.clients import client
from producers.cli.completeness import completeness
from producers.cli.dead import dead
from producers.cli.detect import detect
from producers.cli.erasure import erase, receipts
from producers.cli.keys import key
from producers.cli.lag import lag
from producers.cli.policies import policy
from producers.cli.release import release
from producers.cli.routes import route
from producers.cli.tenants import tenant


@click.group()
@click.version_option(package_name="sluice-gateway", message="%(version)s")
def main() -> None:
    """Operate Sluice: tenants, keys, routes, policies, the ledger."""


for command in (
    audit,
    client,
    completeness,
    dead,
    detect,
    erase,
    key,
    lag,
    policy,
    receipts,
    release,
    route,
    tenant,
):
    main.add_command(command)
