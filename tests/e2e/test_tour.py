"""The tour is the README's first command: it ends well, or this fails."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]


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
    assert list((ROOT / ".sluice" / "evidence").rglob("*.jsonl"))
