"""``sluice``: the operator's command line."""

import errno
import logging
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any, Final

import click
from typing_extensions import override

MODULES: Final[Mapping[str, str]] = {
    "audit": "audit",
    "client": "clients",
    "completeness": "completeness",
    "dead": "dead",
    "detect": "detect",
    "erase": "erasure",
    "key": "keys",
    "lag": "lag",
    "policy": "policies",
    "receipts": "erasure",
    "release": "release",
    "route": "routes",
    "tenant": "tenants",
    "webhook": "webhooks",
}
"""Where each command is."""

UNHEARD: Final = logging.NullHandler()
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def _drop_the_rest() -> None:
    """What is still buffered would be tried, and fail, once more at the exit."""
    with suppress(OSError, ValueError):  # a stream of a test's own has no file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


class Commands(click.Group):
    """Imports the command that is asked for, and no other: nobody waits for those."""

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if any("\udc80" <= letter <= "\udcff" for word in args for letter in word):
            raise click.UsageError("expected words in UTF-8", ctx)
        return super().parse_args(ctx, args)

    @override
    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command; where what it prints finds no room, one line says so."""
        try:
            return super().main(*args, **extra)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            _drop_the_rest()
            click.echo(error.strerror or type(error).__name__, err=True)
            sys.exit(1)

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(MODULES)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in MODULES:
            return None
        module = import_module(f"{__name__}.{MODULES[cmd_name]}")
        found: click.Command = getattr(module, cmd_name)
        return found


@click.group(cls=Commands)
@click.version_option(package_name="sluice-gateway", message="%(version)s")
def main() -> None:
    """Operate Sluice: tenants, keys, routes, policies, webhooks, the ledger."""
    # Python prints what nobody handles: aiokafka's words beside our one line.
    logging.getLogger("aiokafka").addHandler(UNHEARD)
