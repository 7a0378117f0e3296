"""The tour is the README's first command: it ends well, or this fails."""

import os
import re
import shutil
import subprocess
import sys
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

pytestmark = [pytest.mark.e2e, pytest.mark.long]

ROOT = Path(__file__).parents[2]
EVIDENCE = ROOT / ".sluice" / "evidence"
PAGE = (ROOT / "demo" / "tour" / "verify.md").read_text()
CHECKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.timeout(300)
def test_every_claim_of_the_tour_holds(tmp_path: Path) -> None:
    """And its evidence verifies, and fails once anything in it is bent."""
    done = subprocess.run(
        [sys.executable, "-m", "demo", "tour"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )

    assert 0 == done.returncode, done.stdout[-4000:] + done.stderr[-2000:]
    assert "claims held" in done.stdout
    assert len(WORDS) == len(CHECKS)
    for check in CHECKS:
        assert 0 == verified(EVIDENCE, check).returncode, check
    for number, (name, bend) in enumerate(BENDS):
        bent = tmp_path / str(number)
        shutil.copytree(EVIDENCE, bent)
        bend(bent)
        check = CHECKS[WORDS.index(name)]
        assert verified(bent, check).returncode, f"{number}: {name} passed"


def verified(evidence: Path, commands: str) -> subprocess.CompletedProcess[str]:
    """The evidence, judged by the commands of its own page, none of them ours."""
    python = str(Path(sys.executable).parent)
    return subprocess.run(
        ["/bin/sh", "-euc", commands],
        capture_output=True,
        text=True,
        check=False,
        cwd=evidence,
        env={"PATH": f"{python}:{os.environ['PATH']}"},  # noqa: TID251 - a child's own
    )


def replaced(pattern: str, old: str, new: str) -> Callable[[Path], None]:
    """The first of the files in which it stands says something else."""

    def bend(folder: Path) -> None:
        file = next(f for f in sorted(folder.glob(pattern)) if old in f.read_text())
        file.write_text(file.read_text().replace(old, new, 1))

    return bend


def last_record(folder: Path) -> None:
    """The last record says another thing; no later record names its digest."""
    (file,) = folder.glob("*/records.jsonl")
    lines = file.read_text().splitlines()
    lines[-1] = lines[-1].replace('"v":1', '"v":2')
    file.write_text("\n".join(lines) + "\n")


def no_last_record(folder: Path) -> None:
    (file,) = folder.glob("*/records.jsonl")
    file.write_text("\n".join(file.read_text().splitlines()[:-1]) + "\n")


def other_root(folder: Path) -> None:
    """The checkpoint says another root than was signed."""
    (file,) = folder.glob("*/checkpoint")
    lines = file.read_text().split("\n")
    lines[2] = b64encode(bytes(32)).decode()
    file.write_text("\n".join(lines))


def stranger(folder: Path) -> None:
    """A receipt that somebody else signed, under the same key id."""
    file = folder / "receipts" / "receipt.jws"
    head, body, _ = file.read_text().strip().split(".")
    key = ec.generate_private_key(ec.SECP256R1())
    signed = jwt.get_algorithm_by_name("ES256").sign(f"{head}.{body}".encode(), key)
    file.write_text(f"{head}.{body}.{urlsafe_b64encode(signed).rstrip(b'=').decode()}")


WORDS = ("order", "signature", "tree", "complete", "webhooks", "receipt")
"""The page's commands, in their order."""
BENDS: Sequence[tuple[str, Callable[[Path], None]]] = [
    ("order", replaced("*/records.jsonl", '"v":1', '"v":2')),
    ("tree", last_record),
    ("tree", no_last_record),
    ("tree", other_root),
    ("signature", other_root),
    ("complete", replaced("*/records.jsonl", "request.blocked", "request.bl0cked")),
    ("complete", replaced("*/records.jsonl", "completeness.checked", "nothing.said")),
    ("webhooks", replaced("webhooks/*.body", "completed", "c0mpleted")),
    ("webhooks", replaced("webhooks/*.request.json", "msg_", "msg_0")),
    ("webhooks", replaced("webhooks/secret", "whsec_", "whsec_AAAA")),
    ("receipt", replaced("*/records.jsonl", "erasure.completed", "erasure.c0mpleted")),
    ("receipt", replaced("receipts/receipt.jws", ".", ".e30")),
    ("receipt", stranger),
]
