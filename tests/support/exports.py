"""A signed log of some size, exported: what auditors take away."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from infra.exports import export
from infra.log import Log
from infra.memory.anchors import MemoryAnchors
from infra.memory.ledger import MemoryLedger
from infra.signer.ed25519 import FileSigner, PublicKeys, ensure_key, rotate_key
from infra.signer.state import STATE, FileState
from infra.system import SystemClock, SystemEntropy
from pipeline.audit import ROOT
from pipeline.checkpoint import log_id
from pipeline.merkle import TILE_HEIGHT, TILE_WIDTH, CompactRange, extend, leaf_hash
from pipeline.ports.anchors import Anchored
from pipeline.tiles import bundle, tiles_of
from producers.checkpointer import Checkpointer
from tests.support.audit import NOON, TENANT, recorded

SIZE = 601
BATCHES = (255, 2, 343)
LATE = 50
"""Records behind the last checkpoint: a log goes on growing while it is exported."""


Anchor = Callable[[str], Anchored]
"""What somebody outside gives for a checkpoint."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A log with three checkpoints, the last at 601 records, as a folder.

    It was longer when it was exported.
    """

    folder: Path
    place: Path
    signer: Path

    def line(self, seq: int, change: Callable[[bytes], bytes]) -> None:
        path = self.place / "records.jsonl"
        lines = path.read_bytes().splitlines(keepends=True)
        lines[seq] = change(lines[seq])
        path.write_bytes(b"".join(lines))

    def flip(self, path: str, at: int) -> None:
        data = bytearray((self.place / path).read_bytes())
        data[at] ^= 1
        (self.place / path).write_bytes(data)

    @property
    def bodies(self) -> list[bytes]:
        """The records, in order."""
        return (self.place / "records.jsonl").read_bytes().splitlines()

    def rewrite(self, bodies: Sequence[bytes]) -> None:
        """Make it an export of these records, with their tiles and bundles.

        Checkpoints, and the way to the root log, stay as they are.
        """
        shutil.rmtree(self.place / "tile")
        lines = b"".join(each + b"\n" for each in bodies)
        (self.place / "records.jsonl").write_bytes(lines)
        leaves = [leaf_hash(each) for each in bodies]
        _, filled = extend(CompactRange(), leaves)
        above = [each.hash for each in filled if each.level == TILE_HEIGHT]
        for tile in tiles_of(len(bodies)):
            at = slice(tile.index * TILE_WIDTH, tile.index * TILE_WIDTH + tile.width)
            hashes = b"".join((above if tile.level else leaves)[at])
            path = self.place / tile.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bundle(bodies[at]) if tile.level is None else hashes)

    def end_at(self, size: int) -> None:
        """Take out the checkpoints behind ``size``, and the way to the root log."""
        for path in (self.place / "checkpoints").iterdir():
            if int(path.name) > size:
                path.unlink()
        shutil.copy(self.place / "checkpoints" / str(size), self.place / "checkpoint")
        shutil.rmtree(self.place / "root")

    @property
    def vkey(self) -> str:
        keys = json.loads((self.place / "vkeys.json").read_text())
        found: str = keys["keys"][0]["vkey"]
        return found


async def make(
    base: Path, *, rotated: bool = False, anchored: Sequence[Anchor] = ()
) -> Exported:
    """An export, with what each of ``anchored`` gives for the root's checkpoint."""
    ledger, keys = await signed(base, rotated=rotated)
    anchors, note = MemoryAnchors(), await ledger.latest(ROOT)
    assert note is not None
    for each in anchored:
        await anchors.keep(ROOT, each(note))
    done = await export(ledger, TENANT, keys, base / "export", anchors)
    place = base / "export" / log_id(done.origin)
    return Exported(base / "export", place, base / "signer")


async def signed(
    base: Path, *, rotated: bool = False
) -> tuple[MemoryLedger, PublicKeys]:
    """What is exported, and whose keys signed it.

    Args:
        base: where the signer's folder will lie.
        rotated: before the last checkpoint another key took over, without an overlap.
    """
    ledger = MemoryLedger("test.example", SystemEntropy())
    keys = ensure_key(base / "signer", bytes(32), NOON)
    clock = SystemClock()
    checkpointer = Checkpointer(
        ledger=ledger,
        logs=ledger,
        signer=FileSigner(base / "signer", clock),
        state=FileState(base / "signer" / STATE),
        clock=clock,
        log=Log("test"),
    )
    names = iter(range(SIZE))
    for count in BATCHES:
        if rotated and count == BATCHES[-1]:
            now = clock.now()
            keys = rotate_key(base / "signer", bytes([1] * 32), now, timedelta())
        batch = [str(next(names)) for _ in range(count)]
        await ledger.append([recorded(each, request=each) for each in batch])
        await checkpointer.round()
    await ledger.append([recorded(f"late {each}") for each in range(LATE)])
    return ledger, keys
