"""Tiles and entry bundles: the C2SP tlog-tiles form in which a log is served.

A tile of level L holds up to 256 hashes of complete subtrees of 256^L leaves each.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.errors import InvalidMessage
from pipeline.merkle import HASH_BYTES, TILE_HEIGHT, TILE_WIDTH, Nodes, fold
from schemas.audit import MAX_RECORD_BYTES

ENTRIES = "entries"
_GROUP = 1000
_MAX_LEVEL = 5
# 256^6 leaves are 2^48: a higher level would need more than any log of ours holds.

Hashes = Callable[[int, int, int], bytes]
"""The first ``width`` hashes of the tile at (level, index), joined."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile's address.

    Attributes:
        level: 0..5; None: the bundle of entries.
        width: how many hashes or entries; 256 is a full one.
    """

    level: int | None
    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """The path below the log's prefix, e.g. ``tile/0/x001/x234/067.p/8``."""
        level = ENTRIES if self.level is None else str(self.level)
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{number(self.index)}{partial}"

    def stands(self, size: int) -> bool:
        """Is every hash of it in a log of ``size`` entries?"""
        height = TILE_HEIGHT * (self.level or 0)
        return self.index * TILE_WIDTH + self.width <= size >> height


def number(index: int) -> str:
    """Groups of three digits, all but the last marked: x001/x234/067 is 1234067."""
    groups = [f"{index % _GROUP:03}"]
    while index := index // _GROUP:
        groups.append(f"x{index % _GROUP:03}")
    return "/".join(reversed(groups))


def parse_path(path: str) -> Tile:
    """The tile that :attr:`Tile.path` names.

    Raises:
        InvalidMessage: no tile has this path: each has exactly one.
    """
    try:
        tile = _parsed(path)
    except ValueError:
        raise InvalidMessage("expected the path of a tile") from None
    if tile.path != path or not 0 < tile.width <= TILE_WIDTH:
        raise InvalidMessage("expected the path of a tile")
    if tile.level is not None and not 0 <= tile.level <= _MAX_LEVEL:
        raise InvalidMessage(f"expected a level up to {_MAX_LEVEL}")
    return tile


def _parsed(path: str) -> Tile:
    full, _, width = path.partition(".p/")
    _, level, *groups = full.split("/")
    index = int("".join(group.lstrip("x") for group in groups))
    return Tile(
        None if level == ENTRIES else int(level),
        index,
        int(width) if width else TILE_WIDTH,
    )


def tiles_of(size: int) -> Iterator[Tile]:
    """Every tile and bundle of a log of ``size`` entries, full ones first."""
    for level in (None, *range(_MAX_LEVEL + 1)):
        hashes = size >> (TILE_HEIGHT * (level or 0))
        full, rest = divmod(hashes, TILE_WIDTH)
        yield from (Tile(level, index) for index in range(full))
        if rest:
            yield Tile(level, full, rest)


def nodes_from(hashes: Hashes) -> Nodes:
    """The complete subtrees of a log, read out of its tiles."""

    def node(level: int, index: int) -> bytes:
        tile_level, height = divmod(level, TILE_HEIGHT)
        first = index << height
        tile, offset = divmod(first, TILE_WIDTH)
        end = offset + (1 << height)
        found = hashes(tile_level, tile, end)[offset * HASH_BYTES : end * HASH_BYTES]
        return fold(split(found))

    return node


def split(joined: bytes) -> list[bytes]:
    """The hashes of a tile, in order."""
    return [joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES)]


def bundle(records: Sequence[bytes]) -> bytes:
    """Entries as one string: each a big-endian uint16 length and its bytes."""
    return b"".join(len(each).to_bytes(2, "big") + each for each in records)


def unbundle(joined: bytes) -> Iterator[bytes]:
    """The entries of a bundle, in order.

    Law: ``list(unbundle(bundle(records))) == records``.

    Raises:
        InvalidMessage: it ends inside an entry, or one is longer than ours may be.
    """
    at = 0
    while at < len(joined):
        length = int.from_bytes(joined[at : at + 2], "big")
        end = at + 2 + length
        if end > len(joined) or length > MAX_RECORD_BYTES:
            raise InvalidMessage("expected whole entries of at most 49,152 bytes")
        yield joined[at + 2 : end]
        at = end
