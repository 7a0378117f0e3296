"""The full pass over a log: rows are read in order and recomputed from their bytes.

An incremental one is in ``pipeline/increments.py``.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from pipeline.audit import Entry, Head, empty
from pipeline.canonical import parse
from pipeline.checkpoint import Checkpoint, VerifyKey, open_checkpoint, open_note
from pipeline.errors import IntegrityError, InvalidMessage
from pipeline.merkle import (
    HASH_BYTES,
    TILE_HEIGHT,
    TILE_WIDTH,
    Node,
    Nodes,
    fold,
    tree_at,
)
from pipeline.ports.ledger import Logs
from pipeline.tiles import nodes_from, split
from pipeline.verification import Broken, Verified, named_prev, verify
from schemas.ids import TenantId

CHUNK = 16 * TILE_WIDTH
"""Rows that are read at once."""
TILES = 64
"""Tiles that are read at once."""
Progress = Callable[[int], None]
"""Is told how many records were checked so far."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Report:
    """What a full pass found.

    Attributes:
        checkpoints: how many were checked.
        broken: the first record that does not hold; None: the log holds.
    """

    origin: str
    size: int
    root: bytes
    checkpoints: int
    broken: Broken | None


async def full_pass(
    logs: Logs,
    tenant: TenantId,
    keys: Sequence[VerifyKey],
    outside: Collection[str] = (),
    progress: Progress = lambda _: None,
) -> Report | None:
    """Recompute a log from its bytes: chain, leaves, columns, tiles, checkpoints.

    Args:
        logs: where the log lies.
        tenant: whose log it is.
        keys: the log's, oldest first, under which its checkpoints must open.
        outside: checkpoints that somebody else held: they alone tell of a cut tail, a
            rollback, a rewritten history.
        progress: is told of each chunk.

    Returns:
        None where the tenant has no log.
    """
    # Checkpoints first: one that is signed meanwhile counts records that we do not.
    notes = [*await logs.checkpoints(tenant), *outside]
    head = await logs.head(tenant)
    if head is None:
        return None
    try:
        signed = open_all(notes, keys, head)
        found = await _holds(logs, tenant, head, signed, progress)
    except Refused as refused:
        return report_of(head, 0, refused.broken)
    return report_of(found.head, len(signed), None)


def report_of(head: Head, checkpoints: int, broken: Broken | None) -> Report:
    """What is told of a log that was read up to ``head``."""
    return Report(head.origin, head.size, head.tree.root(), checkpoints, broken)


class Refused(IntegrityError):
    """The pass ends here, at the first thing that does not hold."""

    def __init__(self, seq: int, reason: str) -> None:
        super().__init__(f"record {seq}: {reason}")
        self.broken = Broken(seq, reason)


def open_all(
    notes: Collection[str], keys: Sequence[VerifyKey], head: Head
) -> list[Checkpoint]:
    """The checkpoints, by size.

    A key that was handed over does not come back: of two checkpoints the longer one is
    signed by a key at least as new. So a key that was stolen after its time is told.

    Raises:
        Refused: one does not open, or is of another log.
    """
    opened = []
    for note in notes:
        try:
            checkpoint = open_checkpoint(note, keys)
            signed_by = open_note(note, keys).signed_by
        except InvalidMessage as error:
            raise Refused(head.size, f"a checkpoint does not open: {error}") from None
        if checkpoint.origin != head.origin:
            raise Refused(head.size, "a checkpoint is of another log")
        opened.append((checkpoint, max(map(keys.index, signed_by))))
    opened.sort(key=lambda each: each[0].size)
    for (_, older), (late, newer) in pairwise(opened):
        if newer < older:
            raise Refused(late.size, "a checkpoint is signed by a key of the past")
    return [checkpoint for checkpoint, _ in opened]


async def _holds(
    logs: Logs,
    tenant: TenantId,
    head: Head,
    signed: Sequence[Checkpoint],
    progress: Progress,
) -> Verified:
    sizes = {each.size for each in signed}
    found = await rows_behind(
        logs, tenant, empty(head.origin), head, sizes=sizes, progress=progress
    )
    borne_out(signed, found.roots, head)
    await _tiles(logs, tenant, found)
    await nothing_behind(logs, tenant, head)
    return found


def borne_out(
    signed: Sequence[Checkpoint], roots: Mapping[int, bytes], head: Head
) -> None:
    """Are the checkpoints those of a log with these ``roots``, by size?

    Raises:
        Refused: one is not.
    """
    for each in signed:
        if each.size > head.size:
            raise Refused(head.size, "records are missing that a checkpoint counts")
        if roots.get(each.size) != each.root:
            raise Refused(each.size, "a checkpoint is of another history")


async def nothing_behind(logs: Logs, tenant: TenantId, end: Head) -> None:
    """Is a row that lies behind the end one that was appended meanwhile?

    Raises:
        Refused: it is not.
    """
    if await logs.read(tenant, end.size, 1):
        now = await logs.head(tenant)
        if now is None or now.size <= end.size:
            raise Refused(end.size, "a record lies behind the end of the log")


async def rows_behind(
    logs: Logs,
    tenant: TenantId,
    start: Head,
    end: Head,
    *,
    sizes: Collection[int] = (),
    progress: Progress = lambda _: None,
) -> Verified:
    """Recompute the rows between two ends of a log.

    Raises:
        Refused: the first of them that does not hold.
    """
    head, filled, roots = start, list[Node](), dict[int, bytes]()
    while head.size < end.size:
        limit = min(CHUNK + 1, end.size - head.size)
        rows = await logs.read(tenant, head.size, limit)
        found = verify(head, rows[:CHUNK], _following(rows, end), sizes)
        if isinstance(found, Broken):
            raise Refused(found.seq, found.reason)
        if found.head.size == head.size:
            raise Refused(head.size, "a record is missing")
        head = found.head
        filled += found.filled
        roots.update(found.roots)
        progress(head.size)
    if head != end:
        raise Refused(head.size, "the end of the log is not where its head says")
    return Verified(head, tuple(filled), roots)


def _following(rows: Sequence[Entry], end: Head) -> bytes | None:
    if len(rows) <= CHUNK:
        return end.last
    try:
        return named_prev(parse(rows[CHUNK].body))
    except InvalidMessage:
        return None


async def _tiles(logs: Logs, tenant: TenantId, found: Verified) -> None:
    """Are the stored tiles those of the records? Proofs are made of them."""
    above = {(each.level, each.index): each.hash for each in found.filled}
    for level, first, count in _full(found.head.size):
        stored = await logs.tiles(tenant, level, first, count)
        for index, hashes in enumerate(stored, first):
            whole = len(hashes) == TILE_WIDTH * HASH_BYTES
            node = above[TILE_HEIGHT * (level + 1), index]
            if not whole or fold(split(hashes)) != node:
                at = index * TILE_WIDTH << TILE_HEIGHT * level
                raise Refused(at, "a tile is not that of the records")
    tree = await reading(logs, tenant, lambda each: tree_at(each, found.head.size))
    if tree != found.head.tree:
        first = found.head.size // TILE_WIDTH * TILE_WIDTH
        raise Refused(first, "a partial tile is not that of the records")


def _full(size: int) -> Iterator[tuple[int, int, int]]:
    """Level, first index and number of the full tiles, in portions."""
    level, count = 0, size // TILE_WIDTH
    while count:
        for first in range(0, count, TILES):
            yield level, first, min(TILES, count - first)
        level, count = level + 1, count // TILE_WIDTH


async def reading(logs: Logs, tenant: TenantId, compute: Callable[[Nodes], T]) -> T:
    """What ``compute`` makes of a log's nodes.

    It runs twice: which tiles it reads depends on sizes alone, so the first run, on
    zeros, tells which ones to fetch.

    Raises:
        Refused: a tile is missing or too short.
    """
    wanted: dict[tuple[int, int], int] = {}

    def wish(level: int, index: int, width: int) -> bytes:
        wanted[level, index] = max(width, wanted.get((level, index), 0))
        return bytes(width * HASH_BYTES)

    compute(nodes_from(wish))
    tiles = await logs.hashes_at(tenant, wanted)
    for (level, index), width in wanted.items():
        if len(tiles[level, index]) != width * HASH_BYTES:
            first = index * TILE_WIDTH << TILE_HEIGHT * level
            raise Refused(first, "a tile is missing")
    return compute(nodes_from(lambda level, index, _: tiles[level, index]))
