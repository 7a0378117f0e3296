"""Run Tessera's fsck on a fresh export, and on a tampered one: both must be told.

``python -m tests.foreign.fsck`` needs Go and its module proxy, so it is no part of the
test suite. Version 1.0.4 exits with 0 when it fails: what it prints is what counts.
"""

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.exports import Exported, make

FSCK = "github.com/transparency-dev/tessera/cmd/fsck@v1.0.4"
WITHIN_S = 180
"""Long enough to build it; on a tampered log it may go on for ever."""
HOLDS = "Successfully fsck'd log"


def holds(exported: Exported) -> bool:
    """Does Tessera say so?"""
    key = exported.folder / "vkey"
    key.write_text(exported.vkey)
    options = (f"--storage_url=file://{exported.place}", f"--public_key={key}")
    try:
        done = subprocess.run(
            ["go", "run", FSCK, *options, "--ui=false"],
            cwd=exported.folder,
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
        exported = asyncio.run(make(Path(base)))
        fresh = holds(exported)
        exported.flip("tile/entries/001", 5000)
        told = not holds(exported)
    sys.stderr.write(f"fresh export holds: {fresh}; tampered one is told: {told}\n")
    return 0 if fresh and told else 1


if __name__ == "__main__":
    sys.exit(main())
