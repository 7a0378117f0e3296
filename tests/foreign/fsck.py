"""Run Tessera's fsck on a fresh export, and on tampered ones: all must be told.

``python -m tests.foreign.fsck TOOL``, which `make verify-foreign` fetches through Go's
module proxy; so it is no part of the test suite. Version 1.0.4 exits with 0 when it
fails: what it prints is what counts.
"""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.support.exports import SIZE, Exported, make

WITHIN_S = 30
HOLDS = "Successfully fsck'd log"
OPTIONS = ("--ui=false", "--N=16")
"""With fewer workers than bad tiles it waits for ever on what it found."""


def shorter(exported: Exported) -> None:
    """The size in the signed text, by one."""
    path = exported.place / "checkpoint"
    path.write_text(path.read_text().replace(f"\n{SIZE}\n", f"\n{SIZE - 1}\n", 1))


TAMPERED: dict[str, tuple[Callable[[Exported], None], tuple[str, ...]]] = {
    "a record": (
        lambda e: e.flip("tile/entries/001", 5000),
        ("tile/0/001: log has:", "tile/1/000.p/2: log has:"),
    ),
    "a full tile": (lambda e: e.flip("tile/0/000", 100), ("tile/0/000: log has:",)),
    "a partial tile": (
        lambda e: e.flip("tile/0/002.p/89", 1),
        ("tile/0/002.p/89: log has:",),
    ),
    "level 1": (lambda e: e.flip("tile/1/000.p/2", 1), ("tile/1/000.p/2: log has:",)),
    "the checkpoint": (shorter, ("invalid signature",)),
    "a tile that is gone": (
        lambda e: (e.place / "tile/0/001").unlink(),
        ("tile/0/001: no such file",),
    ),
    "a bundle that is gone": (
        lambda e: (e.place / "tile/entries/001").unlink(),
        ("tile/entries/001: no such file",),
    ),
}
"""What is done, and what fsck itself must say of it: one of these.

A bad record makes two tiles wrong, its own and the one above, and fsck stops at the
one whose worker comes first.
"""


def said(tool: Path, exported: Exported) -> str:
    """What Tessera says of it.

    Raises:
        TimeoutExpired: nothing in time, which is no verdict.
    """
    key = exported.folder / "vkey"
    key.write_text(exported.vkey)
    options = (f"--storage_url=file://{exported.place}", f"--public_key={key}")
    done = subprocess.run(
        [tool, *options, *OPTIONS],
        capture_output=True,
        text=True,
        check=False,
        timeout=WITHIN_S,
    )
    return done.stderr


def tampered(tool: Path, base: Path, how: str) -> bool:
    """Is a copy that was tampered with refused, and in the right words?"""
    change, words = TAMPERED[how]
    exported = asyncio.run(make(base / how.replace(" ", "-")))
    change(exported)
    text = said(tool, exported)
    told = any(each in text for each in words)
    return told and "fsck failed" in text and HOLDS not in text


def main(tool: Path) -> int:
    """0: the true export holds and no tampered one does."""
    with tempfile.TemporaryDirectory() as base:
        fresh = said(tool, asyncio.run(make(Path(base) / "fresh")))
        found = {how: tampered(tool, Path(base), how) for how in TAMPERED}
    holds = HOLDS in fresh and f"size {SIZE}" in fresh
    sys.stderr.write(f"a fresh export holds: {holds}\n")
    for how, told in found.items():
        sys.stderr.write(f"{how}, tampered with, is told: {told}\n")
    return 0 if holds and all(found.values()) else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
