"""``python -m tests.simulation``: seed after seed, until one fails.

Prints what it runs and how fast; stops at the first failure with a trace, and then
exits with 1.
"""

import sys
import time
from itertools import count

import click

from tests.simulation.run import simulate
from tests.simulation.seeds import SEEDS, report, undisturbed

TOLD_EVERY_S = 5.0


@click.command()
@click.option("--from", "first", default=SEEDS, help="The first seed.")
@click.option(
    "--seeds",
    type=click.IntRange(min=0),
    default=0,
    help="How many; 0: until somebody stops it.",
)
def main(first: int, seeds: int) -> None:
    """Run seeds."""
    began = told = time.monotonic()
    numbers = range(first, first + seeds) if seeds else count(first)
    seed = first
    with undisturbed():
        for seed in numbers:
            outcome = simulate(seed)
            if outcome.wrongs:
                click.echo(report(outcome))
                sys.exit(1)
            now = time.monotonic()
            if now - told >= TOLD_EVERY_S:
                told = now
                click.echo(_rate(first, seed, now - began))
    click.echo(_rate(first, seed, time.monotonic() - began))


def _rate(first: int, last: int, seconds: float) -> str:
    done = last - first + 1
    rate = done / max(seconds, 0.001)
    return f"seeds {first} to {last}: {done} passed, {rate:.0f} a second"


if __name__ == "__main__":
    main()
