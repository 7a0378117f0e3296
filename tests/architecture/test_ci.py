"""How the tests are run: nothing is skipped in CI or hangs, nothing serial beside."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTHING = "nothing of the kind"
SKIPS = {
    "in a test": "import pytest\ndef test_one(): pytest.skip('no')",
    "by a mark": "import pytest\n@pytest.mark.skip\ndef test_one(): ...",
    "in a fixture": "import pytest\n@pytest.fixture\ndef a(): pytest.skip('no')\n"
    "def test_one(a): ...",
    "in a module": "import pytest\npytest.skip('no', allow_module_level=True)\n"
    "def test_one(): ...",
    "by an import": "import pytest\npytest.importorskip('nowhere')\n"
    "def test_one(): ...",
}
HANGS = """import asyncio
from contextlib import asynccontextmanager
@asynccontextmanager
async def inner():
    await asyncio.Event().wait()
    yield
async def outer():
    async with inner(): ...
async def test_one():
    await asyncio.gather(outer())
"""
OPTIONS = ("-p", "tests.conftest", "-c", os.devnull, "-q", "-rA")
KEEPS_ON = "--continue-on-collection-errors"


def pytested(
    folder: Path, *options: str, ci: str = "true"
) -> subprocess.CompletedProcess[str]:
    """How pytest goes over a folder, with our hooks."""
    where = (f"--rootdir={folder}", str(folder))
    return subprocess.run(
        [sys.executable, "-m", "pytest", *OPTIONS, *options, *where],
        env={**os.environ, "CI": ci},  # noqa: TID251 - a child's own
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def ran(folder: Path, ci: str) -> dict[str, str]:
    """What pytest says of each of these files, by what is in it."""
    files = {f"test_{at}.py": name for at, name in enumerate((*SKIPS, NOTHING))}
    for file, name in files.items():
        (folder / file).write_text(SKIPS.get(name, "def test_one(): ..."))
    done = pytested(folder, KEEPS_ON, ci=ci)
    lines = re.findall(r"^([A-Z]+)\b.*?(test_\d\.py)", done.stdout, re.MULTILINE)
    return {files[file]: word for word, file in lines}


def test_a_skip_is_a_failure_in_ci_alone(tmp_path: Path) -> None:
    in_ci, elsewhere = (ran(tmp_path, ci) for ci in ("true", ""))

    assert "PASSED" == in_ci.pop(NOTHING) == elsewhere.pop(NOTHING)
    assert {"FAILED", "ERROR"} >= {*in_ci.values()}
    assert dict.fromkeys(SKIPS, "SKIPPED") == elsewhere
    assert in_ci.keys() == elsewhere.keys()


def test_what_hangs_fails_and_says_what_it_waits_for(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    (tmp_path / "test_one.py").write_text(HANGS)
    done = pytested(tmp_path, "-o", "asyncio_mode=auto", "-o", "timeout=1")
    told = re.findall(r"^  .*?(test_one\.py:\d+ \w+)$", done.stderr, re.MULTILINE)

    assert 1 == done.returncode
    assert "test_one.py::test_one hangs" in done.stderr
    assert ["test_one.py:10 test_one", "test_one.py:8 outer"] == told[:2]
    assert "test_one.py:5 inner" == told[2]
    assert 0 < float(pytestconfig.getini("timeout"))


@pytest.mark.parametrize("target", ["test", "unit"])
def test_serial_tests_have_a_pass_of_their_own(target: str) -> None:
    done = subprocess.run(
        ["make", "-n", "-o", ".venv/.installed", target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    beside, alone = (part for part in done.stdout.split(";") if "pytest" in part)

    assert "-n 3 --dist loadfile --no-loadscope-reorder" in beside
    assert '-m "not serial" tests' in beside
    assert "-m serial $(grep -rl --include='test_*.py' 'mark\\.serial' tests" in alone
    assert " -n " not in alone


@pytest.mark.parametrize(("beside", "alone"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_a_failure_in_either_pass_fails(
    tmp_path: Path, beside: int, alone: int
) -> None:
    fake = tmp_path / "pytest"
    fake.write_text(
        f'#!/bin/sh\ncase "$*" in -m*) exit {alone};; *) exit {beside};; esac'
    )
    fake.chmod(0o755)
    done = subprocess.run(
        ["make", "test", f"BIN={tmp_path}", "STAMP="],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )

    assert (beside or alone) == bool(done.returncode)
