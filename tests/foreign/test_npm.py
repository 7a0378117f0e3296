"""A record's proof, verified by @sigstore/verify; a bent one must not be.

npm fetches that package from its registry, by the hashes of the lock file. It skips
lines that it cannot read, so what is malformed is not tried on it.
"""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.proofs import BENT, BENT_SEQ, SEQS, Taken, taken

pytestmark = pytest.mark.e2e

SOURCE = Path(__file__).with_name("npm")
FILES = ("package.json", "package-lock.json", ".npmrc", "verify.mjs")
WITHIN_S = 120


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("npm") is None:
        pytest.skip("Node is not installed: no verification by npm's package here")
    base = tmp_path_factory.mktemp("npm")
    for name in FILES:
        shutil.copy(SOURCE / name, base)
    subprocess.run(["npm", "ci"], cwd=base, check=True, timeout=WITHIN_S)
    return base / "verify.mjs"


@pytest.fixture(scope="module")
def proofs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Taken]:
    return asyncio.run(taken(tmp_path_factory.mktemp("log")))


def verified(
    verifier: Path, folder: Path, vkey: str
) -> subprocess.CompletedProcess[str]:
    command = ["node", str(verifier), str(folder), vkey]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_fresh_proofs_hold(
    verifier: Path, proofs: dict[int, Taken], tmp_path: Path
) -> None:
    for seq, each in proofs.items():
        each.put(tmp_path, seq)

    done = verified(verifier, tmp_path, proofs[0].vkey)

    assert (f"holds: {len(SEQS)} records\n", "", 0) == (
        done.stdout,
        done.stderr,
        done.returncode,
    )


@pytest.mark.parametrize("how", BENT)
def test_a_bent_one_does_not(
    verifier: Path, proofs: dict[int, Taken], tmp_path: Path, how: str
) -> None:
    bent = BENT[how](proofs[BENT_SEQ])
    bent.put(tmp_path, BENT_SEQ)

    done = verified(verifier, tmp_path, bent.vkey)

    assert bent != proofs[BENT_SEQ]
    assert 1 == done.returncode
    assert "DOES NOT HOLD: TLOG_INCLUSION_PROOF_ERROR" in done.stderr
