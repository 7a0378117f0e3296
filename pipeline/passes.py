"""The full pass over a log: rows are read in order and recomputed from their bytes.

An incremental one is in ``pipeline/increments.py``.
"""

from collections.abc import (
    AsyncGenerator,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import TypeVar

from pipeline.audit import Entry, Head, empty
from pipeline.checkpoint import (
    Checkpoint,
    VerifyKey,
    open_checkpoint,
    open_note,
    parse_note,
)
from pipeline.errors import IntegrityError, InvalidMessage
from pipeline.merkle import (
    HASH_BYTES,
    TILE_HEIGHT,
    TILE_WIDTH,
    Node,
    Nodes,
    tree_at,
)
from pipeline.ports.ledger import Logs
from pipeline.tiles import nodes_from
from pipeline.verification import Broken, Verified, verify
from schemas.ids import TenantId

BEHIND = 256
"""Rows behind the end of a log that are looked at, at once."""
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
    published = await logs.checkpoints(tenant)
    head = await logs.head(tenant)
    if head is None:
        return None
    try:
        signed = open_all([*published, *outside], keys, head)
        _in_order(published)
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
    """The checkpoints, by size; one that two places keep is one.

    A key that was handed over does not come back: of two checkpoints the longer one is
    signed by a key at least as new. So a key that was stolen after its time is told.

    Raises:
        Refused: one does not open, or is of another log.
    """
    opened = []
    for note in dict.fromkeys(notes):
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


def _in_order(notes: Sequence[str]) -> None:
    """Where an old one lies behind the others, it is served as the last."""
    sizes = [parse_note(note).size for note in notes]
    for before, behind in pairwise(sizes):
        if behind < before:
            raise Refused(behind, "a checkpoint lies at another size than it is of")


async def _holds(
    logs: Logs,
    tenant: TenantId,
    head: Head,
    signed: Sequence[Checkpoint],
    progress: Progress,
) -> Verified:
    sizes = {each.size for each in signed}
    leaves, tiles = list[bytes](), list[bytes]()

    def seen(rows: Sequence[Entry]) -> None:
        leaves.extend(row.leaf for row in rows)
        tiles.extend(_digests(leaves))
        del leaves[: len(leaves) // TILE_WIDTH * TILE_WIDTH]
        progress(rows[-1].seq + 1)

    start = empty(head.origin)
    found = await rows_behind(logs, tenant, start, head, sizes=sizes, seen=seen)
    borne_out(signed, found.roots, head)
    await _tiles(logs, tenant, found, tiles)
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
    """Is what lies behind the end what was appended meanwhile?

    The head that is read after a row counts it, if it was appended. A tile that lies
    there before its time refuses the append that fills it.

    Raises:
        Refused: it is not.
    """
    counted, full = end.size, True
    while full:
        rows = await logs.read(tenant, counted, BEHIND)
        now = await logs.head(tenant)
        counted, full = now.size if now else 0, len(rows) == BEHIND
        for row in rows:
            if row.seq >= counted:
                raise Refused(row.seq, "a record lies behind the end of the log")
    if (tile := await logs.premature(tenant)) is not None:
        level, index = tile
        first = index * TILE_WIDTH << TILE_HEIGHT * level
        raise Refused(first, "a tile is stored before it is full")


async def rows_behind(
    logs: Logs,
    tenant: TenantId,
    start: Head,
    end: Head,
    *,
    sizes: Collection[int] = (),
    seen: Callable[[Sequence[Entry]], None] = lambda _: None,
) -> Verified:
    """Recompute the rows between two ends of a log.

    Args:
        logs: where the log lies.
        tenant: whose it is.
        start: the verified end before them.
        end: their end.
        sizes: of the trees whose roots are wanted.
        seen: is given each portion that holds.

    Raises:
        Refused: the first of them that does not hold.
    """
    head, filled, roots = start, list[Node](), dict[int, bytes]()
    portions = logs.portions(tenant, start.size, end.size)
    async with aclosing(_with_next(portions)) as turns:
        async for rows, behind in turns:
            found = verify(head, rows, None if behind else end.last, sizes)
            if isinstance(found, Broken) and behind:
                # Which of two rows was altered is told by the one behind them.
                found = verify(head, [*rows, *behind])
            if isinstance(found, Broken):
                raise Refused(found.seq, found.reason)
            head = found.head
            filled += found.filled
            roots.update(found.roots)
            seen(rows)
    if head.size < end.size:
        raise Refused(head.size, "a record is missing")
    if head != end:
        raise Refused(head.size, "the end of the log is not where its head says")
    return Verified(head, tuple(filled), roots)


async def _with_next(
    portions: AsyncGenerator[Sequence[Entry], None],
) -> AsyncGenerator[tuple[Sequence[Entry], Sequence[Entry]], None]:
    """Each portion, and the one behind it; behind the last there is an empty one."""
    async with aclosing(portions):
        rows: Sequence[Entry] = ()
        async for behind in portions:
            if rows:
                yield rows, behind
            rows = behind
        if rows:
            yield rows, ()


def _digests(hashes: Sequence[bytes]) -> Iterator[bytes]:
    """SHA-256 of each full tile of these hashes, as it is stored."""
    for end in range(TILE_WIDTH, len(hashes) + 1, TILE_WIDTH):
        yield sha256(b"".join(hashes[end - TILE_WIDTH : end])).digest()


async def _tiles(
    logs: Logs, tenant: TenantId, found: Verified, digests: Sequence[bytes]
) -> None:
    """Are the stored tiles those of the records? Proofs are made of them.

    Args:
        logs: where the log lies.
        tenant: whose it is.
        found: what was made of its records.
        digests: of the tiles of their leaves.
    """
    level = 0
    while digests:
        for first in range(0, len(digests), TILES):
            expected = digests[first : first + TILES]
            stored = await logs.tiles(tenant, level, first, len(expected))
            for index, (tile, digest) in enumerate(zip(stored, expected, strict=True)):
                if sha256(tile).digest() != digest:
                    at = (first + index) * TILE_WIDTH << TILE_HEIGHT * level
                    raise Refused(at, "a tile is not that of the records")
        level += 1
        above = [each for each in found.filled if each.level == TILE_HEIGHT * level]
        digests = [*_digests([each.hash for each in above])]
    tree = await reading(logs, tenant, lambda each: tree_at(each, found.head.size))
    if tree != found.head.tree:
        partial = found.head.size // TILE_WIDTH * TILE_WIDTH
        raise Refused(partial, "a partial tile is not that of the records")


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
