"""The auditor's page: its very commands, on an export that holds and on bent ones."""

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.checkpoint import VerifyKey
from tests.support.anchors import Observer, authority
from tests.support.exports import SIZE, Anchor, Exported, make
from tests.support.proofs import BENT, BENT_SEQ, SEQS, Taken, taken

pytestmark = pytest.mark.e2e

PAGE = Path(__file__).parents[2] / "docs" / "verify.md"
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
FILES, CHAIN, SIGNATURE, TREE, PROOF, TILES, COMMITMENT, STAMP, COSIGNATURE = BLOCKS
VERIFIED = "Signature Verified Successfully\n"
UNDER = "the checkpoint holds this record\n"
NOT_UNDER = "the checkpoint does not hold this record\n"


@pytest.fixture(scope="module")
def tools() -> None:
    missing = [each for each in ("go", "openssl", "xxd") if shutil.which(each) is None]
    if missing:
        pytest.skip(f"not installed: {missing}")


@pytest.fixture(scope="module")
def proofs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Taken]:
    return asyncio.run(taken(tmp_path_factory.mktemp("log")))


@pytest.fixture(scope="module")
def fresh(tools: None, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return prepared(tmp_path_factory.mktemp("fresh"))


@pytest.fixture
def exported(fresh: Exported, tmp_path: Path) -> Exported:
    """A copy to bend."""
    shutil.copytree(fresh.place, tmp_path / "export")
    return Exported(tmp_path, tmp_path / "export", fresh.signer)


def prepared(
    base: Path, *, rotated: bool = False, anchored: Sequence[Anchor] = ()
) -> Exported:
    made = asyncio.run(make(base, rotated=rotated, anchored=anchored))
    shutil.copy(Path(__file__).with_name("verify.go"), made.place)
    return made


def run(commands: str, exported: Exported, **named: str) -> tuple[int, str]:
    """The page's commands, with the variables that it says to set.

    The shell is an auditor's: it goes on behind a command that failed.
    """
    done = subprocess.run(
        ["sh", "-c", commands],
        env={**os.environ, **named},  # noqa: TID251 - Go asks for PATH and HOME
        cwd=exported.place,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_an_export_passes_every_command(exported: Exported) -> None:
    root = {"note": "note", "keys": "root/vkeys.json"}

    assert (0, "") == run(FILES, exported)
    assert (0, "the chain holds\n") == run(CHAIN, exported)
    assert (0, VERIFIED) == run(SIGNATURE, exported)
    assert (0, "these records are what was signed\n") == run(TREE, exported)
    assert (0, f"holds: {SIZE} records\n") == run(TILES, exported)
    assert (0, "the root log holds it\n") == run(COMMITMENT, exported)
    assert (0, UNDER) == run(PROOF, exported)
    assert (0, VERIFIED) == run(SIGNATURE, exported, **root)


def test_they_pass_one_after_the_other_in_one_shell(exported: Exported) -> None:
    """As they are pasted: what one leaves behind misleads none that follows."""
    code, said = run(f"{CHAIN}\n{SIGNATURE}\n{COMMITMENT}\n{PROOF}", exported)

    assert 0 == code
    assert said.endswith(UNDER)


def test_so_does_one_after_a_change_of_keys(tools: None, tmp_path: Path) -> None:
    later = prepared(tmp_path, rotated=True)

    assert (0, VERIFIED) == run(SIGNATURE, later)
    assert (0, f"holds: {SIZE} records\n") == run(TILES, later)
    # The first key alone opens what it signed, and not this.
    keys = json.loads((later.place / "vkeys.json").read_text())
    del keys["keys"][1]
    (later.place / "vkeys.json").write_text(json.dumps(keys))
    assert 0 != run(SIGNATURE, later)[0]
    assert 0 != run(TILES, later)[0]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("path", ["checkpoint", "records.jsonl", "tile/0/001"])
def test_no_pipe_is_waited_for(exported: Exported, path: str) -> None:
    (exported.place / path).unlink()
    os.mkfifo(exported.place / path)

    assert (1, "this is no export\n") == run(FILES, exported)
    assert (1, "") == run(TILES, exported)


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

    assert 0 != run(TILES, exported)[0]


def test_a_bent_record_fails_the_tree(exported: Exported) -> None:
    exported.line(300, lambda line: line.replace(b"system:", b"systen:"))

    assert (1, "these records are not what was signed\n") == run(TREE, exported)


def test_a_record_less_fails_the_tree(exported: Exported) -> None:
    exported.line(SIZE - 1, lambda _: b"")

    assert (1, "these records are not what was signed\n") == run(TREE, exported)


@pytest.mark.parametrize("seq", SEQS)
def test_a_proof_of_a_record_passes(
    exported: Exported, proofs: dict[int, Taken], seq: int
) -> None:
    proofs[seq].put(exported.place, seq)
    named = {"record": f"{seq}.json", "proof": f"{seq}.tlog-proof"}
    keys = exported.place / "vkeys.json"
    keys.write_text(json.dumps({"keys": [{"vkey": proofs[seq].vkey}]}))

    assert (0, UNDER) == run(PROOF, exported, **named)
    assert (0, VERIFIED) == run(SIGNATURE, exported, note="note")


@pytest.mark.parametrize("how", BENT)
def test_a_bent_proof_fails(
    exported: Exported, proofs: dict[int, Taken], how: str
) -> None:
    bent = BENT[how](proofs[BENT_SEQ])
    bent.put(exported.place, BENT_SEQ)
    keys = exported.place / "vkeys.json"
    keys.write_text(json.dumps({"keys": [{"vkey": bent.vkey}]}))
    named = {"record": f"{BENT_SEQ}.json", "proof": f"{BENT_SEQ}.tlog-proof"}

    held = run(PROOF, exported, **named)
    signed, _ = run(SIGNATURE, exported, note="note")

    by_proof = how in {"the record", "the index", "a hash", "a hash less", "the root"}
    by_signature = how in {"the size", "the root", "the signature", "the key"}
    assert by_signature == bool(signed)
    if how != "the size":  # that of the way up may be the same
        assert by_proof == (held != (0, UNDER))
    if by_proof:
        assert (1, NOT_UNDER) == held


def test_stamps_and_cosignatures_pass_and_bent_ones_do_not(
    tools: None, tmp_path: Path
) -> None:
    tsa = authority(tmp_path / "tsa")
    observer = Observer(VerifyKey("any", bytes(32)))
    exported = prepared(tmp_path, anchored=(tsa.stamped, observer.cosigned))
    (stamped,) = (exported.place / "root/checkpoints").iterdir()
    anchors = exported.place / "root/anchors"
    named = {
        "stamp": str(anchors / f"{stamped.name}.tsa.tsr"),
        "stamped": str(stamped),
        "authority": str(tsa.folder / "ca.pem"),
        "cosigned": str(anchors / f"{stamped.name}.w1.cosigned"),
        "witness": observer.key.text,
    }

    assert 0 == run(STAMP, exported, **named)[0]
    code, said = run(COSIGNATURE, exported, **named)
    assert (0, True) == (code, said.startswith(VERIFIED + "cosigned at 20"))
    other = Observer(VerifyKey("any", bytes(32))).key.text
    code, said = run(COSIGNATURE, exported, **{**named, "witness": other})
    assert (1, "this witness did not cosign it\n") == (code, said)
    # One byte of the checkpoint: neither of them is of this one.
    stamped.write_text(stamped.read_text().replace("\n\n", "\nmore\n\n", 1))
    path = Path(named["cosigned"])
    path.write_text(path.read_text().replace("\n\n", "\nmore\n\n", 1))
    assert 0 != run(STAMP, exported, **named)[0]
    assert 0 != run(COSIGNATURE, exported, **named)[0]


def test_a_bent_salt_fails_the_commitment(exported: Exported) -> None:
    exported.flip("root/salt", 0)

    assert 0 != run(COMMITMENT, exported)[0]
