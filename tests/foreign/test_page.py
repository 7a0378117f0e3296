"""The auditor's page: its very commands, on an export that holds and on bent ones."""

import asyncio
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.exports import SIZE, Exported, make

pytestmark = pytest.mark.e2e

PAGE = Path(__file__).parents[2] / "docs" / "verify.md"
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
CHAIN, SIGNATURE, TREE, COMMITMENT = BLOCKS


@pytest.fixture
def exported(tmp_path: Path) -> Exported:
    return prepared(tmp_path)


def prepared(base: Path, *, rotated: bool = False) -> Exported:
    missing = [each for each in ("go", "openssl", "xxd") if shutil.which(each) is None]
    if missing:
        pytest.skip(f"not installed: {missing}")
    made = asyncio.run(make(base, rotated=rotated))
    shutil.copy(Path(__file__).with_name("verify.go"), made.place)
    return made


def run(commands: str, exported: Exported) -> tuple[int, str]:
    done = subprocess.run(
        ["sh", "-e", "-c", commands],
        cwd=exported.place,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_an_export_passes_every_command(exported: Exported) -> None:
    assert (0, "the chain holds\n") == run(CHAIN, exported)
    assert (0, "Signature Verified Successfully\n") == run(SIGNATURE, exported)
    assert (0, f"holds: {SIZE} records\n") == run(TREE, exported)
    assert (0, "the root log holds it\n") == run(COMMITMENT, exported)


def test_so_does_one_after_a_change_of_keys(tmp_path: Path) -> None:
    later = prepared(tmp_path, rotated=True)

    assert (0, "Signature Verified Successfully\n") == run(SIGNATURE, later)
    assert (0, f"holds: {SIZE} records\n") == run(TREE, later)
    # The first key alone opens what it signed, and not this.
    keys = json.loads((later.place / "vkeys.json").read_text())
    del keys["keys"][1]
    (later.place / "vkeys.json").write_text(json.dumps(keys))
    assert 0 != run(SIGNATURE, later)[0]
    assert 0 != run(TREE, later)[0]


def test_a_bent_record_fails_the_chain(exported: Exported) -> None:
    exported.line(300, lambda line: line.replace(b"system:", b"systen:"))

    code, said = run(CHAIN, exported)

    assert 1 == code
    assert '"seq":301' in said


def test_a_bent_checkpoint_fails_the_signature(exported: Exported) -> None:
    path = exported.place / "checkpoint"
    path.write_text(path.read_text().replace(f"\n{SIZE}\n", f"\n{SIZE - 1}\n"))

    assert 0 != run(SIGNATURE, exported)[0]


def test_a_bent_tile_fails_the_tree(exported: Exported) -> None:
    exported.flip("tile/0/000", 7)

    assert 0 != run(TREE, exported)[0]


def test_a_bent_salt_fails_the_commitment(exported: Exported) -> None:
    exported.flip("root/salt", 0)

    assert 0 != run(COMMITMENT, exported)[0]
