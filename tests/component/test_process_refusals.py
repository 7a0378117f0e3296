"""A process that cannot start says why in a line: no traceback, and no password.

Exit codes: 2 wrong settings, 3 not now.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from signal import SIGABRT

import pytest

from tests.support.started import ROOT

PASSWORD = "made-up-and-not-to-be-shown"
AWAY = f"postgresql://sluice:{PASSWORD}@127.0.0.1:1/sluice"
UNESCAPED = f"postgresql://sluice:1:{PASSWORD}/2@127.0.0.1:1/sluice"
SETTINGS = {
    "SLUICE_DATABASE__URL": AWAY,
    "SLUICE_DATABASE__KEYSTORE_URL": AWAY,
    "SLUICE_KAFKA__BOOTSTRAP": "127.0.0.1:1",
    "SLUICE_GATEWAY__PORT": "0",
}
REQUIRED = (
    "SLUICE_DATABASE__URL",
    "SLUICE_DATABASE__KEYSTORE_URL",
    "SLUICE_KEYS__DIRECTORY",
)


def said(line: str, told: Mapping[str, str], folder: Path) -> tuple[int, str]:
    """How ``python -m line`` ends, and what it writes."""
    keys = {name: str(folder / name) for name in ("DIRECTORY", "ROOT", "OWN")}
    given = (
        {f"SLUICE_KEYS__{name}": path for name, path in keys.items()} if told else {}
    )
    done = subprocess.run(
        [sys.executable, "-m", *line.split()],
        env={"PATH": os.environ["PATH"], **given, **told},  # noqa: TID251 - a child's
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("line", "changed", "code", "word"),
    [
        ("producers gateway", {}, 3, "SLUICE_DATABASE__URL: the database is away"),
        ("consumers screening", {}, 3, "SLUICE_DATABASE__URL: the database is away"),
        (
            "producers timed",
            {"SLUICE_DATABASE__URL": UNESCAPED},
            2,
            "SLUICE_DATABASE__URL: expected postgresql://",
        ),
        ("producers checkpointer", {}, 2, "SLUICE_LEDGER__SIGNER_DIRECTORY: expected"),
        ("consumers all", {"SLUICE_LOG__LEVEL": "loud"}, 2, "SLUICE_LOG__LEVEL: "),
    ],
)
def test_what_keeps_a_process_from_starting_is_one_line(
    line: str, changed: Mapping[str, str], code: int, word: str, tmp_path: Path
) -> None:
    ended, output = said(line, {**SETTINGS, **changed}, tmp_path)

    assert (code, 1) == (ended, output.count("\n")), output
    assert word in output
    assert PASSWORD not in output


def test_settings_that_are_missing_are_told_as_the_environment_names_them(
    tmp_path: Path,
) -> None:
    ended, output = said("producers gateway", {}, tmp_path)

    assert 2 == ended
    for name in REQUIRED:
        assert f"{name}: Field required" in output


DIES = """
import os, resource
from infra import starting

async def dies():
    print(resource.getrlimit(resource.RLIMIT_CORE), flush=True)
    os.abort()

_, most = resource.getrlimit(resource.RLIMIT_CORE)
resource.setrlimit(resource.RLIMIT_CORE, (most, most))
starting.run(dies())
"""


def test_a_process_that_dies_leaves_no_core_dump() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DIES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (-SIGABRT, "(0, 0)\n") == (done.returncode, done.stdout)


def test_the_example_subscriber_says_what_it_needs(tmp_path: Path) -> None:
    code, told = said("uvicorn examples.subscriber:app", {}, tmp_path)

    assert (1, "WEBHOOK_SECRET: expected the secret") == (code, told[:35])
    assert 1 == len(told.splitlines())
