"""Exported logs, read again: whatever judges a log judges its folder alike."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from typing_extensions import override

from infra.bounded import opened, start_of
from infra.exports import CHECKPOINT, CHECKPOINTS, CHUNK, RECORDS
from pipeline.audit import Entry, Head
from pipeline.canonical import parse
from pipeline.checkpoint import MAX_NOTE_CHARS, parse_note
from pipeline.errors import InvalidMessage
from pipeline.merkle import (
    HASH_BYTES,
    TILE_HEIGHT,
    TILE_WIDTH,
    CompactRange,
    extend,
    leaf_hash,
)
from pipeline.passes import Refused
from pipeline.ports.ledger import Deleted, Logs
from pipeline.root import Rooted
from pipeline.tiles import Tile, bundle, tiles_of
from schemas.audit import MAX_RECORD_BYTES
from schemas.ids import EventId, TenantId


@dataclass(frozen=True, slots=True)
class Lines:
    """How many records a file has, and where every 256th begins.

    Of each one it would be eight bytes a record, and a stranger's may have one byte.
    """

    size: int
    starts: Sequence[int]


class ExportedLogs(Logs):
    """Exports below one folder, read as they lie there.

    A log's folder stands for its tenant, whom an export does not name. An export has no
    head and no columns: they are made of its records and its tiles, and a pass compares
    these with each other and with the checkpoints.

    Raises, where records are read:
        Refused: `records.jsonl` is not records, one a line.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[TenantId, Lines] = {}
        self._heads: dict[TenantId, Head | None] = {}

    @override
    async def tenants(self) -> Sequence[TenantId]:
        # One whose records are gone is not passed over: reading it says so.
        names = (RECORDS, CHECKPOINT)
        found = [each for name in names for each in self._folder.glob(f"*/{name}")]
        return sorted({TenantId(each.parent.name) for each in found})

    @override
    async def head(self, tenant: TenantId) -> Head | None:
        if tenant not in self._heads:
            self._heads[tenant] = self._head(tenant)
        return self._heads[tenant]

    def _head(self, tenant: TenantId) -> Head | None:
        size = self._lines(tenant).size
        if not size:
            return None
        (first,) = self._bodies(tenant, 0, 1)
        tree, last = CompactRange(), first
        for start in range(0, size, CHUNK):
            bodies = self._bodies(tenant, start, CHUNK)
            tree, last = extend(tree, map(leaf_hash, bodies))[0], bodies[-1]
        return Head(str(_columns(first).get("log")), sha256(last).digest(), tree)

    @override
    async def read(
        self, tenant: TenantId, from_seq: int, limit: int
    ) -> Sequence[Entry]:
        bodies = self._bodies(tenant, from_seq, limit)
        return [
            entry_of(seq, body, self._leaf(tenant, seq))
            for seq, body in enumerate(bodies, from_seq)
        ]

    @override
    async def hashes(
        self, tenant: TenantId, level: int, index: int, width: int
    ) -> bytes:
        return self._tile(tenant, level, index)[: width * HASH_BYTES]

    @override
    async def checkpoints(self, tenant: TenantId) -> Sequence[str]:
        return _notes(self._folder / tenant / CHECKPOINTS)

    @override
    async def latest(self, tenant: TenantId) -> str | None:
        return next(iter(reversed(await self.checkpoints(tenant))), None)

    @override
    async def rooted(self, tenant: TenantId, size: int) -> Rooted | None:
        return None

    @override
    async def deleted(self) -> Sequence[Deleted]:
        return ()

    async def whole(self, tenant: TenantId) -> None:
        """Is an export, of which a pass says that it holds, all signed, and all true?

        A log goes on behind its last checkpoint, an export does not; and of an export
        others read what no pass does: the note alone, and the bundles.

        Raises:
            Refused: it is not.
        """
        size, notes = self._lines(tenant).size, await self.checkpoints(tenant)
        signed = parse_note(notes[-1]).size if notes else 0
        if signed != size:
            raise Refused(signed, "nobody signed the records from here on")
        if _text(self._folder / tenant / CHECKPOINT) != notes[-1]:
            raise Refused(size, "`checkpoint` is not the last of the checkpoints")
        for tile in tiles_of(size):
            if tile.level is None:
                self._bundled(tenant, tile)

    def _bundled(self, tenant: TenantId, tile: Tile) -> None:
        first = tile.index * TILE_WIDTH
        rows = bundle(self._bodies(tenant, first, tile.width))
        if _start(self._folder / tenant / tile.path, len(rows) + 1) != rows:
            raise Refused(first, "a bundle is not that of the records")

    def _lines(self, tenant: TenantId) -> Lines:
        if tenant not in self._known:
            self._known[tenant] = _counted(self._folder / tenant / RECORDS)
        return self._known[tenant]

    def _bodies(self, tenant: TenantId, from_seq: int, limit: int) -> list[bytes]:
        lines = self._lines(tenant)
        if from_seq >= lines.size:
            return []
        before, skipped = divmod(from_seq, TILE_WIDTH)
        with opened(self._folder / tenant / RECORDS) as file:
            file.seek(lines.starts[before])
            wanted = islice(_read(file), skipped, skipped + limit)
            return [line[:-1] for line in wanted]

    def _leaf(self, tenant: TenantId, seq: int) -> bytes:
        index, at = divmod(seq, TILE_WIDTH)
        return self._tile(tenant, 0, index)[at * HASH_BYTES : (at + 1) * HASH_BYTES]

    @lru_cache(maxsize=64)  # noqa: B019 - one reader a run of the tool
    def _tile(self, tenant: TenantId, level: int, index: int) -> bytes:
        """A tile of an export, full or as wide as the log had it; else nothing."""
        width = min(
            TILE_WIDTH, (self._size(tenant) >> TILE_HEIGHT * level) - index * TILE_WIDTH
        )
        if width <= 0:
            return b""
        path = self._folder / tenant / Tile(level, index, width).path
        raw = _start(path, width * HASH_BYTES + 1)
        return raw if len(raw) == width * HASH_BYTES else b""

    @lru_cache(maxsize=64)  # noqa: B019 - as above
    def _size(self, tenant: TenantId) -> int:
        """What the tiles are made for: all records, also where the last are cut off."""
        size, notes = (
            self._lines(tenant).size,
            _notes(self._folder / tenant / CHECKPOINTS),
        )
        try:
            return max(size, parse_note(notes[-1]).size)
        except (InvalidMessage, IndexError):
            return size


def _notes(folder: Path) -> list[str]:
    paths = [path for path in folder.glob("*") if path.name.isdecimal()]
    return [_text(path) for path in sorted(paths, key=lambda each: int(each.name))]


def _text(path: Path) -> str:
    """The very characters; what is no text becomes one that nobody signed."""
    return _start(path, 4 * MAX_NOTE_CHARS + 1).decode(errors="replace")


def _start(path: Path, most: int) -> bytes:
    """What is not there has no bytes, and so is not what it must be."""
    try:
        return start_of(path, most)
    except FileNotFoundError:
        return b""


def _counted(path: Path) -> Lines:
    starts, size, end = array("Q"), 0, 0
    with opened(path) as file:
        for line in _read(file):
            if not line.endswith(b"\n"):
                raise Refused(size, "expected records, one a line")
            if not size % TILE_WIDTH:
                starts.append(end)
            size, end = size + 1, end + len(line)
    return Lines(size, starts)


def _read(file: BinaryIO) -> Iterator[bytes]:
    """Lines; one that has no end is no reason to read it all."""
    while line := file.readline(MAX_RECORD_BYTES + 1):
        yield line


def entry_of(seq: int, body: bytes, leaf: bytes) -> Entry:
    """A record without columns of its own: they are what its bytes say."""
    found = _columns(body)
    return Entry(
        seq=seq,
        event_id=EventId(found.get("event_id", "")),
        request_id=found.get("request_id"),
        action=found.get("action", ""),
        actor=found.get("actor", ""),
        ts=found.get("ts", ""),
        body=body,
        leaf=leaf,
    )


def _columns(body: bytes) -> Mapping[str, Any]:
    """What a pass then compares with the bytes; nothing where they are no record."""
    try:
        return parse(body)
    except InvalidMessage:
        return {}
