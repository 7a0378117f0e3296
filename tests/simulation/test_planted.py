"""It has teeth: bugs of our own, planted in a copy of the tree, are found.

Each patch plants one. One that no longer applies is a failure: the code has moved, and
the bug must be planted anew.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATCHES = Path(__file__).parent / "planted"
TREE = ("schemas", "pipeline", "infra", "consumers", "producers", "tests/simulation")
WITHIN = 400
"""Seeds in which each is found; most are in the first ten."""
FOUND = {
    "checkpoint_published_first": "published, not remembered",
    "claim_not_heeded": "claims",
    "commit_before_effect": "committed",
    "commits_overtake": "committed",
    "content_in_a_header": "content in the clear",
    "gaps_committed": "without what follows from it",
    "id_not_derived": "twice|second_terminal",
    "order_of_an_old_plan_is_done": "its receipt|told of .*receipt.issued",
    "outbox_dropped_first": "never quiet|no receipt",
    "publish_not_awaited": "without",
    "revoked_offsets_committed": "never quiet|committed",
    "revoked_offsets_owed": "never quiet|committed",
    "row_before_its_key": "without its acceptance|unexpected",
    "second_end_recorded": "incident.second_terminal",
    "webhook_ended_before_sent": "nobody was told of",
    "webhook_id_of_the_attempt": "came under the ids",
    "webhook_of_a_lost_end": "was told and is not so",
}
"""By patch, what is said where it is found."""


def copied(folder: Path) -> Path:
    """The tree, to be spoilt."""
    for name in TREE:
        unwanted = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=unwanted)
    shutil.copy(ROOT / "tests" / "__init__.py", folder / "tests")
    return folder


def planted(folder: Path, name: str) -> Path:
    """The tree with one bug more."""
    patch = PATCHES / f"{name}.patch"
    done = subprocess.run(
        ["git", "apply", patch], cwd=copied(folder), capture_output=True, check=False
    )
    assert done.returncode == 0, f"{name} applies no more: {done.stderr.decode()}"
    return folder


def simulated(folder: Path, seeds: int) -> subprocess.CompletedProcess[str]:
    """``python -m tests.simulation`` of that tree."""
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--from", "0", f"--seeds={seeds}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", FOUND)
def test_a_planted_bug_is_found(tmp_path: Path, name: str) -> None:
    done = simulated(planted(tmp_path, name), WITHIN)

    assert done.returncode == 1, f"{name}: {WITHIN} seeds passed {done.stderr}"
    assert re.search(FOUND[name], done.stdout.partition(" failed:")[2])


def test_every_patch_is_tried() -> None:
    assert set(FOUND) == {patch.stem for patch in PATCHES.glob("*.patch")}
