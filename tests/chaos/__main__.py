"""``python -m tests.chaos [--kills N] [--seed N]``; 1: a promise was broken."""

import argparse
import asyncio
import secrets
import shutil
import sys
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

from tests.chaos.run import chaos


def main() -> int:
    """Run once, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="0: one is drawn")
    told = parser.parse_args()
    if told.kills < 1:
        parser.error("--kills: expected one at least")
    say = partial(print, flush=True)
    folder = Path(mkdtemp(prefix="sluice-chaos-"))
    run = chaos(
        folder,
        seed=told.seed or secrets.randbelow(1_000_000) + 1,
        kills=told.kills,
        patient=True,
        say=say,
    )
    report = asyncio.run(run)
    if report.broken:
        say(f"The processes' logs and the evidence lie in {folder}.")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
