"""An export of ours, verified by golang.org/x/mod; a tampered one must not be.

Go ships that module beside its own tools, so nothing is fetched.
"""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.exports import SIZE, Exported, make

pytestmark = pytest.mark.e2e

SOURCE = Path(__file__).with_name("verify.go")


def go(*command: str, **env: str) -> str:
    done = subprocess.run(
        ["go", *command],
        env={**os.environ, **env},  # noqa: TID251 - Go asks for PATH and HOME
        cwd=SOURCE.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("go") is None:
        pytest.skip("Go is not installed: no foreign verification here")
    base = tmp_path_factory.mktemp("go")
    (base / "src/golang.org/x").mkdir(parents=True)
    shipped = Path(go("env", "GOROOT")) / "src/cmd/vendor/golang.org/x/mod"
    (base / "src/golang.org/x/mod").symlink_to(shipped)
    made = base / "verify"
    go("build", "-o", str(made), SOURCE.name, GO111MODULE="off", GOPATH=str(base))
    return made


@pytest.fixture
def exported(tmp_path: Path) -> Exported:
    return asyncio.run(make(tmp_path))


def verified(
    verifier: Path, exported: Exported, key: str | None = None
) -> subprocess.CompletedProcess[str]:
    command = [str(verifier), str(exported.place), key or exported.vkey]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_fresh_export_holds(verifier: Path, exported: Exported) -> None:
    done = verified(verifier, exported)

    assert (f"holds: {SIZE} records\n", "", 0) == (
        done.stdout,
        done.stderr,
        done.returncode,
    )


def checkpoint(exported: Exported, old: str, new: str) -> None:
    path = exported.place / "checkpoint"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def older(exported: Exported) -> str:
    return (exported.place / "checkpoints/258").read_text()


TAMPERED: dict[str, Callable[[Exported], None]] = {
    "a record in a bundle": lambda e: e.flip("tile/entries/001", 5000),
    "a record in the lines": lambda e: e.line(
        300, lambda line: line.replace(b"system:", b"systen:")
    ),
    "a record more in the lines": lambda e: e.line(SIZE - 1, lambda line: line + line),
    "a record less in the lines": lambda e: e.line(SIZE - 1, lambda _: b""),
    "a line that does not end": lambda e: e.line(SIZE - 1, lambda line: line[:-1]),
    "a hash of a full tile": lambda e: e.flip("tile/0/000", 100),
    "a hash of a partial tile": lambda e: e.flip("tile/0/002.p/89", 1),
    "a hash of level 1": lambda e: e.flip("tile/1/000.p/2", 1),
    "the checkpoint's size": lambda e: checkpoint(e, f"\n{SIZE}\n", f"\n{SIZE - 1}\n"),
    "the checkpoint's origin": lambda e: checkpoint(e, "ledger.", "ledges."),
    "an older checkpoint": lambda e: checkpoint(
        e, (e.place / "checkpoint").read_text(), older(e)
    ),
    "a missing tile": lambda e: (e.place / "tile/0/001").unlink(),
    "a missing bundle": lambda e: (e.place / "tile/entries/001").unlink(),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_a_tampered_export_does_not(
    verifier: Path, exported: Exported, how: str
) -> None:
    TAMPERED[how](exported)

    done = verified(verifier, exported)

    assert 0 != done.returncode
    assert done.stderr


def test_another_key_opens_nothing(verifier: Path, exported: Exported) -> None:
    example = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"

    assert 0 != verified(verifier, exported, example).returncode
