"""Which Python ``make`` takes."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SYSTEM = "/usr/bin/python3"
ASKED = "import ensurepip, sys; print(sys.version_info[:2])"


def taken(on_path: Path, **environment: str) -> str:
    """What ``PYTHON`` is where the path begins with this folder."""
    path = os.pathsep.join([str(on_path), os.environ["PATH"]])  # noqa: TID251 - make's
    done = subprocess.run(
        ["make", "--silent", "--eval=say: ; @echo $(PYTHON)", "say"],
        cwd=ROOT,
        env={"PATH": path, **environment},
        capture_output=True,
        check=True,
        text=True,
    )
    return done.stdout.strip()


def python_that_says(folder: Path, text: str) -> Path:
    found = folder / "python3"
    found.write_text(f"#!/bin/sh\ncat <<'end'\n{text}\nend\n")
    found.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def of_the_system() -> str:
    """What the distribution's Python answers, or why there is no answer."""
    if not Path(SYSTEM).exists():
        return "there is none"
    done = subprocess.run(
        [SYSTEM, "-c", ASKED], capture_output=True, check=False, text=True
    )
    return (done.stdout + done.stderr).strip()


def test_the_distributions_build_of_the_same_version(
    tmp_path: Path, of_the_system: str
) -> None:
    wanted = SYSTEM if Path(SYSTEM).exists() else "python3"

    assert wanted == taken(python_that_says(tmp_path, of_the_system))


def test_no_other_version_than_that_on_the_path(tmp_path: Path) -> None:
    assert "python3" == taken(python_that_says(tmp_path, "(3, 99)"))


def test_what_was_asked_for(tmp_path: Path) -> None:
    assert "other" == taken(tmp_path, PYTHON="other")
