"""``sluice audit rotate-key``: hand the logs over to a new key."""

from datetime import timedelta
from pathlib import Path

import click

from infra.signer.ed25519 import KEYS, SEED_BYTES, rotate_key
from infra.system import SystemClock, SystemEntropy
from producers.cli.books import HOLDS, run, signer_folder
from producers.cli.words import Number


@click.command(name="rotate-key")
@signer_folder
@click.option(
    "--overlap-days",
    type=Number(min=0, max=365, min_open=True),
    default=30.0,
    show_default=True,
    help="How long the old key signs beside the new one.",
)
def rotate(signer: Path | None, overlap_days: float) -> None:
    """Make a new key for all logs. The old one goes on signing for a while.

    In that time each checkpoint carries both signatures: give the new key to whoever
    verifies. Run it where the checkpointer runs, as its user; no restart is needed, and
    its next round records the change in the root log.
    """
    if signer is None or not (signer / KEYS).exists():
        raise click.UsageError("expected --signer: the folder with the signer's keys")
    run(_rotate(signer, timedelta(days=overlap_days)))


async def _rotate(signer: Path, overlap: timedelta) -> int:
    now, seed = SystemClock().now(), SystemEntropy().bytes(SEED_BYTES)
    keys = rotate_key(signer, seed, now, overlap)
    for each in keys.keys:
        end = each.not_after.isoformat() if each.not_after else "further notice"
        since = each.not_before.isoformat()
        click.echo(f"{each.public.hex()}: from {since}, until {end}")
    return HOLDS
