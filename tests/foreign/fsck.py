"""Run Tessera's fsck on a fresh export, and on a tampered one: both must be told.

``python -m tests.foreign.fsck`` needs Go and its module proxy, so it is no part of the
test suite. Version 1.0.4 exits with 0 when it fails: what it prints is what counts.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.exports import Exported, make

FSCK = "github.com/transparency-dev/tessera/cmd/fsck@v1.0.4"
WITHIN_S = 30
"""On a tampered log it tries again for a long while."""
HOLDS = "Successfully fsck'd log"


def installed(base: Path) -> Path:
    """The tool itself: `go run` would leave it behind when it is ended."""
    env = {**os.environ, "GOBIN": str(base)}  # noqa: TID251 - Go asks for PATH and HOME
    subprocess.run(["go", "install", FSCK], check=True, env=env)
    return base / "fsck"


def holds(tool: Path, exported: Exported) -> bool:
    """Does Tessera say so?"""
    key = exported.folder / "vkey"
    key.write_text(exported.vkey)
    options = (f"--storage_url=file://{exported.place}", f"--public_key={key}")
    try:
        done = subprocess.run(
            [tool, *options, "--ui=false"],
            capture_output=True,
            text=True,
            check=False,
            timeout=WITHIN_S,
        )
    except subprocess.TimeoutExpired:
        return False
    return HOLDS in done.stderr


def main() -> int:
    """0: the true export holds and the tampered one does not."""
    with tempfile.TemporaryDirectory() as base:
        tool = installed(Path(base))
        exported = asyncio.run(make(Path(base)))
        fresh = holds(tool, exported)
        exported.flip("tile/entries/001", 5000)
        told = not holds(tool, exported)
    sys.stderr.write(f"fresh export holds: {fresh}; tampered one is told: {told}\n")
    return 0 if fresh and told else 1


if __name__ == "__main__":
    sys.exit(main())
