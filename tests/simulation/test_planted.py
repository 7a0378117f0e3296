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

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
PATCHES = Path(__file__).parent / "planted"
TREE = ("schemas", "pipeline", "infra", "consumers", "producers", "tests/simulation")
WITHIN = 400
"""Seeds in which each is found, from its first on."""
FOUND = {
    "answers_kept_a_day_longer": (2, "never quiet: expired"),
    "broker_away_for_ever": (36, "nothing is left to do, and .*kafka_away"),
    "cancel_kept_before_published": (58, "has the ends|terminal|nobody was told"),
    "checkpoint_published_first": (
        1,
        "not remembered|IntegrityError|checkpointer:late",
    ),
    "claim_not_heeded": (11, "claims"),
    "commit_before_effect": (17, "committed"),
    "content_in_a_header": (0, "content in the clear"),
    "day_retired_before_told": (236, "no receipt of its keys"),
    "due_later_is_a_stall": (87, "is not alive, and nothing hangs"),
    "gaps_committed": (13, "without (what follows from it|its attempt)"),
    "id_not_derived": (2, "twice|second_terminal"),
    "lag_is_movement": (139, "says it is well, and"),
    "letters_key_gone_before_read": (0, "acceptance|inbox has no end"),
    "order_of_an_old_plan_is_done": (13, "its receipt|told of .*receipt.issued"),
    "outbox_dropped_first": (49, "never quiet|no receipt|lives on"),
    "publish_not_awaited": (9, "without"),
    "result_let_go": (198, "claimed again"),
    "revoked_offsets_committed": (3, "never quiet|committed|is not alive"),
    "revoked_offsets_owed": (19, "never quiet|committed|says it is well"),
    "row_before_its_key": (0, "without its acceptance|unexpected"),
    "second_end_recorded": (0, "incident.second_terminal"),
    "webhook_ended_before_sent": (1, "nobody was told of"),
    "webhook_id_of_the_attempt": (4, "came under the ids"),
    "webhook_of_a_lost_end": (0, "told and is not so|came under the ids"),
}
"""By patch, the seed at which it was found last, and what is said of it.

Where the code asks for other things in another order a seed is another run: then it is
found by one of the next, and the seed is to be named anew, for the test is slow.
"""


def copied(folder: Path) -> Path:
    """The tree, to be spoilt; what is compiled of it goes along, for speed."""
    for name in TREE:
        shutil.copytree(ROOT / name, folder / name)
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


def simulated(folder: Path, first: int) -> subprocess.CompletedProcess[str]:
    """``python -m tests.simulation`` of that tree."""
    seeds = f"--from={first}", f"--seeds={WITHIN}"
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *seeds],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("name", "first", "said"), [(k, *v) for k, v in FOUND.items()])
def test_a_planted_bug_is_found(
    tmp_path: Path, name: str, first: int, said: str
) -> None:
    done = simulated(planted(tmp_path, name), first)

    assert done.returncode == 1, f"{name}: {WITHIN} seeds passed {done.stderr}"
    assert re.search(said, done.stdout.partition(" failed:")[2])


def test_every_patch_is_tried() -> None:
    assert set(FOUND) == {patch.stem for patch in PATCHES.glob("*.patch")}
