"""``promtool``: the machine's own, or out of Debian's package ``prometheus``.

The package is unpacked below ``.sluice/tools`` and never installed: it would start a
server.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".sluice" / "tools" / "promtool"


def promtool() -> Path:
    """Where it is; the test is skipped, loudly, where it cannot be had."""
    found = shutil.which("promtool")
    if found is not None:
        return Path(found)
    if not KEPT.exists():
        _fetch()
    return KEPT


def _fetch() -> None:
    if not _run(["apt-get", "--version"]):
        pytest.skip("no promtool, and no apt-get to fetch it with")
    with tempfile.TemporaryDirectory() as folder:
        download = ["apt-get", "download", "--quiet", "prometheus"]
        if not _run(download, folder):
            _run(["apt-get", "update", "--quiet"], folder)
            if not _run(download, folder):
                pytest.skip("no promtool: apt-get does not hand out `prometheus`")
        (package,) = Path(folder).glob("prometheus_*.deb")
        _run(["dpkg", "--extract", str(package), folder], folder)
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(folder) / "usr/bin/promtool", KEPT)


def _run(command: Sequence[str], folder: str | None = None) -> bool:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0
