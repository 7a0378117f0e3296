"""The same seed is the same run, in another process and under another hash seed."""

import subprocess
import sys

import pytest

from tests.simulation.run import simulate

SEEDS = range(40, 46)
SAID = (
    "from tests.simulation.run import simulate\n"
    f"seeds = range({SEEDS.start}, {SEEDS.stop})\n"
    "print(*[simulate(seed, traced=True).digest for seed in seeds])"
)


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_a_seed_is_the_same_run_everywhere(hash_seed: str) -> None:
    here = [simulate(seed, traced=True).digest for seed in SEEDS]
    there = subprocess.run(
        [sys.executable, "-c", SAID],
        env={"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split()

    assert here == there


def test_another_seed_is_another_run() -> None:
    assert len(SEEDS) == len({simulate(seed, traced=True).digest for seed in SEEDS})
