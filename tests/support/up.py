"""``python -m demo up`` and ``down``, as a person runs them, in a folder of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
WITHIN_S = 600.0


@dataclass(frozen=True, slots=True)
class Told:
    """What an up printed."""

    text: str

    @property
    def url(self) -> str:
        return str(re.findall(r"Sluice is up at (\S+)", self.text)[0])

    @property
    def key(self) -> str:
        return str(re.findall(r"API key: (\S+)", self.text)[0])

    @property
    def environment(self) -> Path:
        return Path(re.findall(r"^\. (\S+)$", self.text, re.MULTILINE)[0])

    def line(self, program: str) -> str:
        """The line to paste that begins with ``program``."""
        found = re.findall(rf"^\S*{program} .+$", self.text, re.MULTILINE)
        return str(found[0])


def run(command: str, folder: Path, **environment: str) -> Told:
    """``command`` is ``up`` or ``down``; it must end well.

    Its stack is its own: logins belong to a cluster, so no other test may share it.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - a child's own
        if not name.startswith(("OPENAI_", "SLUICE_"))
    }
    done = subprocess.run(
        [sys.executable, "-m", "demo", command, str(folder)],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
        cwd=CHECKOUT,
        timeout=WITHIN_S,
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    return Told(done.stdout)


def shell(
    line: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A line, pasted into a shell that knows nothing of this checkout's .venv."""
    return subprocess.run(
        ["bash", "-c", line],
        env={"PATH": os.defpath, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        cwd=CHECKOUT,
        timeout=WITHIN_S,
    )
