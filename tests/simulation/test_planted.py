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
FOUND = {
    "checkpoint_published_first": (100, "published, not remembered"),
    "claim_not_heeded": (20, "claims"),
    "commit_before_effect": (20, "committed"),
    "commits_overtake": (400, "committed"),
    "content_in_a_header": (20, "content in the clear"),
    "gaps_committed": (60, "without what follows from it"),
    "id_not_derived": (20, "twice|second_terminal"),
    "order_of_an_old_plan_is_done": (100, "without its receipt"),
    "outbox_dropped_first": (60, "never quiet|no receipt"),
    "publish_not_awaited": (60, "without"),
    "revoked_offsets_committed": (60, "never quiet"),
    "revoked_offsets_owed": (200, "never quiet|committed"),
    "row_before_its_key": (60, "without its acceptance|unexpected"),
    "second_end_recorded": (20, "incident.second_terminal"),
    "webhook_ended_before_sent": (20, "nobody was told of"),
    "webhook_id_of_the_attempt": (20, "came under the ids"),
    "webhook_of_a_lost_end": (60, "was told and is not so"),
}
"""By patch: within how many seeds it is found, and what is said then."""


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
    within, words = FOUND[name]

    done = simulated(planted(tmp_path, name), within)

    assert done.returncode == 1, f"{name}: {within} seeds passed {done.stderr}"
    assert re.search(words, done.stdout.partition(" failed:")[2])


def test_every_patch_is_tried() -> None:
    assert set(FOUND) == {patch.stem for patch in PATCHES.glob("*.patch")}
