"""The tour is the README's first command: it ends well, or this fails."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "demo" / "tour" / "verify.md").read_text()
CHECKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.timeout(300)
def test_every_claim_of_the_tour_holds() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "demo", "tour"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )

    assert 0 == done.returncode, done.stdout[-4000:] + done.stderr[-2000:]
    assert "claims held" in done.stdout
    assert 4 == len(CHECKS)
    for check in CHECKS:
        verified(check)


def verified(commands: str) -> None:
    """The evidence verifies by the commands of its own page, none of them ours."""
    python = str(Path(sys.executable).parent)
    done = subprocess.run(
        ["/bin/sh", "-euc", commands],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT / ".sluice" / "evidence",
        env={"PATH": f"{python}:{os.environ['PATH']}"},  # noqa: TID251 - a child's own
    )

    assert 0 == done.returncode, commands + done.stdout + done.stderr
