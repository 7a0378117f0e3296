"""On what was measured, and what: processor, versions, commit."""

import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
LIBRARIES: Final = (
    "presidio-analyzer", "spacy", "google-re2", "python-stdnum", "phonenumberslite",
)  # fmt: skip


def told() -> Mapping[str, str]:
    """Processor, Python, the commit (``+``: with changes), and versions by name."""
    return {
        "processor": _processor(),
        "python": platform.python_version(),
        "commit": _commit(),
        **{name: version(name) for name in LIBRARIES},
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":", 1)[1] for line in lines if line.startswith("model name")]
    return f"{names[0].strip()}, {len(names)} cores" if names else platform.machine()


def _commit() -> str:
    head = _git("rev-parse", "--short=12", "HEAD")
    return head + "+" * bool(_git("status", "--porcelain", "--untracked-files=no"))


def _git(*arguments: str) -> str:
    ran = subprocess.run(  # noqa: S603 - its own arguments
        ["git", *arguments],  # noqa: S607 - the one on the path
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.stdout.strip()
