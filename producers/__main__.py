"""``python -m producers NAME…``: the gateway, the checkpointer, or timed workers."""

from collections.abc import Coroutine
from typing import Any

import click

from infra import log, starting
from infra.settings import Settings, shown
from producers.app import run_gateway
from producers.signing import CHECKPOINT_EVERY_S, run_checkpointer, sign_once
from producers.workers import TIMED, run_timed, work_once

NAMES = ("gateway", "checkpointer", "timed", *TIMED)


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES), required=True)
@click.option("--check", is_flag=True, help="Print the settings without secrets.")
@click.option(
    "--every-s",
    type=click.FloatRange(min=0.1),
    default=CHECKPOINT_EVERY_S,
    help="Seconds between checkpoints.",
)
@click.option("--once", is_flag=True, help="Do what is due now, and end.")
def main(names: tuple[str, ...], *, check: bool, every_s: float, once: bool) -> None:
    """Run NAMES in this process: ``gateway`` or ``checkpointer`` alone, else timed."""
    settings = starting.settings()
    if check:
        click.echo(shown(settings))
        return
    log.configure(settings.log.level)
    starting.run(_chosen(settings, names, every_s, once=once))


def _chosen(
    settings: Settings, names: tuple[str, ...], every_s: float, *, once: bool
) -> Coroutine[Any, Any, None]:
    if once and "gateway" in names:
        raise click.UsageError("--once: a gateway serves until it is told to stop")
    match names:
        case ("gateway",):
            return run_gateway(settings)
        case ("checkpointer",):
            return sign_once(settings) if once else run_checkpointer(settings, every_s)
        case _ if {"gateway", "checkpointer"} & set(names):
            raise click.UsageError("the gateway and the checkpointer run alone")
        case _:
            chosen = TIMED if "timed" in names else tuple(dict.fromkeys(names))
    return work_once(settings, chosen) if once else run_timed(settings, chosen)


if __name__ == "__main__":
    main()
