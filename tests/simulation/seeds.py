"""Which seeds ``make test`` runs, and running many of them."""

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tests.simulation.run import Outcome, simulate

SEEDS = 1_000
SHARES = 8
"""Parts into which they are split."""
HALVES = range(SHARES // 2), range(SHARES // 2, SHARES)
"""The parts of two files, for a file is one worker's."""


def share(part: int) -> range:
    """The seeds of one part."""
    size = SEEDS // SHARES
    return range(part * size, (part + 1) * size)


def swept(seeds: Iterable[int]) -> str | None:
    """Run seeds; what the first that fails has to say; None: none did."""
    with undisturbed():
        for seed in seeds:
            outcome = simulate(seed)
            if outcome.wrongs:
                return report(outcome)
    return None


def report(outcome: Outcome) -> str:
    """A failure, for a person."""
    wrongs = "\n".join(f"  {wrong}" for wrong in outcome.wrongs[:10])
    again = f"make simulate FROM={outcome.seed} SEEDS=1"
    return f"{outcome.told}\n\nseed {outcome.seed} failed:\n{wrongs}\nagain: {again}"


@contextmanager
def undisturbed() -> Iterator[None]:
    """No collection but between seeds, and that of what the seeds made alone."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
