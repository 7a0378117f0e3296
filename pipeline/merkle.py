"""The Merkle tree of RFC 6962, section 2.1: hashes, compact ranges, proofs.

One recursion serves all proofs. A *subtree* ``[start, end)`` is a node of a tree of
``size`` leaves; its proof is the list of siblings on the way to the root. An inclusion
proof is that of the subtree ``[i, i + 1)``, a consistency proof that of ``[0, old)``.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from pipeline.errors import InvalidMessage

HASH_BYTES = 32
TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
EMPTY_ROOT = sha256(b"").digest()

Nodes = Callable[[int, int], bytes]
"""The hash of the complete subtree at (level, index): leaves [index << level, ...)."""


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256(0x00, leaf)."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01, left, right)."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Node:
    """A complete subtree: ``level`` 0 is a leaf, ``index`` counts from the left."""

    level: int
    index: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class CompactRange:
    """All that is needed of a tree in order to extend it.

    Attributes:
        size: the number of leaves.
        hashes: roots of its complete subtrees, largest first; one a set bit of size.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if len(self.hashes) != self.size.bit_count():
            raise ValueError("expected one hash for each set bit of the size")

    def root(self) -> bytes:
        """The root: the fold of the hashes from the right."""
        if not self.hashes:
            return EMPTY_ROOT
        root = self.hashes[-1]
        for left in self.hashes[-2::-1]:
            root = node_hash(left, root)
        return root


def extend(
    tree: CompactRange, leaves: Iterable[bytes]
) -> tuple[CompactRange, list[Node]]:
    """The tree with ``leaves`` (hashes) behind its own, and the tiles that filled.

    Law: extending by a then by b is extending by a and b. A tile is returned as the
    node that it hashes to, at levels 8, 16, ...; its hashes lie 8 levels below.
    """
    size, hashes, filled = tree.size, list(tree.hashes), list[Node]()
    new, at = list(leaves), 0
    while at < len(new):
        # What is whole at its place is one node, made without looking at the others.
        room = len(new) - at
        level = min(_largest_at(size), room.bit_length() - 1)
        node = fold(new[at : at + (1 << level)])
        filled += _put(hashes, size, level, node)
        size, at = size + (1 << level), at + (1 << level)
    return CompactRange(size, tuple(hashes)), filled


def _largest_at(size: int) -> int:
    """The level of the largest subtree that may begin there, up to a whole tile."""
    return min(TILE_HEIGHT, (size & -size).bit_length() - 1) if size else TILE_HEIGHT


def _put(hashes: list[bytes], size: int, level: int, node: bytes) -> Iterator[Node]:
    """Join a node to those on its left that it makes whole; the tiles that fill."""
    rest = size >> level
    if level == TILE_HEIGHT:
        yield Node(level, rest, node)
    while rest & 1:
        node, rest, level = node_hash(hashes.pop(), node), rest >> 1, level + 1
        if level % TILE_HEIGHT == 0:
            yield Node(level, rest, node)
    hashes.append(node)


def fold(hashes: Sequence[bytes]) -> bytes:
    """The hash of the complete subtree over 2^n ``hashes``."""
    while len(hashes) > 1:
        pairs = zip(hashes[::2], hashes[1::2], strict=True)
        hashes = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
    return hashes[0]


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes."""
    return extend(CompactRange(), leaves)[0].root()


def root_between(nodes: Nodes, start: int, end: int) -> bytes:
    """The hash over leaves [start, end), ``start`` a multiple of its own width."""
    if start == end:
        return EMPTY_ROOT
    parts = [nodes(level, index) for level, index in _complete(start, end)]
    root = parts[-1]
    for left in parts[-2::-1]:
        root = node_hash(left, root)
    return root


def tree_at(nodes: Nodes, size: int) -> CompactRange:
    """The compact range of the first ``size`` leaves."""
    hashes = tuple(nodes(level, index) for level, index in _complete(0, size))
    return CompactRange(size, hashes)


def _complete(start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end:
        level = (end - start).bit_length() - 1
        yield level, start >> level
        start += 1 << level


def inclusion_proof(nodes: Nodes, index: int, size: int) -> list[bytes]:
    """That leaf ``index`` is in the tree of ``size`` leaves (section 2.1.1).

    Raises:
        ValueError: it is not.
    """
    return subtree_proof(nodes, index, index + 1, size)


def consistency_proof(nodes: Nodes, old: int, size: int) -> list[bytes]:
    """That the tree of ``old`` leaves is the beginning of that of ``size`` (2.1.2).

    Raises:
        ValueError: ``old`` is 0, about which nothing can be proved, or above ``size``.
    """
    return subtree_proof(nodes, 0, old, size)


def subtree_proof(nodes: Nodes, start: int, end: int, size: int) -> list[bytes]:
    """That [start, end) is a node of the tree: siblings, from the leaves upwards.

    Raises:
        ValueError: there is no such node.
    """
    if not _stands(start, end, size):
        raise ValueError("expected a subtree of the tree")
    spans = [span for _, span in _way(start, end, size)]
    return [root_between(nodes, *span) for span in reversed(spans)]


def verify_inclusion(
    leaf: bytes, index: int, size: int, root: bytes, proof: Sequence[bytes]
) -> None:
    """Check :func:`inclusion_proof`.

    Raises:
        InvalidMessage: it proves nothing.
    """
    # A tree of one leaf has no hash above it that would betray a leaf of no length.
    _refuse_unless(len(leaf) == HASH_BYTES, "a leaf hash of 32 bytes")
    verify_subtree(index, index + 1, size, leaf, root, proof)


def verify_consistency(
    old: int, size: int, old_root: bytes, root: bytes, proof: Sequence[bytes]
) -> None:
    """Check :func:`consistency_proof`. Equal sizes need equal roots and no hashes.

    Raises:
        InvalidMessage: it proves nothing; nothing can be proved of size 0, but that
            the empty tree is itself.
    """
    _refuse_unless(old > 0 or size == 0, "a tree that is not empty")
    _refuse_unless(old < size or old_root == root, "equal roots of equal sizes")
    verify_subtree(0, old, size, old_root, root, proof)


def verify_subtree(  # noqa: PLR0917 - as RFC 9162 lists them
    start: int,
    end: int,
    size: int,
    subtree: bytes,
    root: bytes,
    proof: Sequence[bytes],
) -> None:
    """Check :func:`subtree_proof`: rebuild both the subtree's hash and the root.

    The empty subtree is in every tree, so its root says nothing and is not looked at.

    Raises:
        InvalidMessage: it proves nothing.
    """
    if 0 <= start == end <= size:
        _refuse_unless(not proof and subtree == EMPTY_ROOT, "the empty root alone")
        return
    _refuse_unless(_stands(start, end, size), "a subtree of the tree")
    way = list(_way(start, end, size))
    _refuse_unless(len(way) == len(proof), "as many hashes as the way is long")
    # Two hashes are joined without a mark between them: only their length is one.
    _refuse_unless(all(len(each) == HASH_BYTES for each in proof), "32-byte hashes")
    _refuse_unless(_rebuilt(way, subtree, proof) == (subtree, root), "the root")


_IN_LEFT, _IN_RIGHT, _IN_BOTH, _HERE = range(4)


def _way(start: int, end: int, size: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """From the root down to the subtree: which side it is on, and what lies beside.

    A subtree that ends inside a right half reaches over both halves. What is left of
    it then ends in a node of the tree, whose hash the proof gives as well (_HERE),
    unless the subtree is that node itself.
    """
    low, high, split = 0, size, False
    while (low, high) != (start, end):
        middle = low + (1 << ((high - low - 1).bit_length() - 1))
        if end <= middle:
            yield _IN_LEFT, (middle, high)
            high = middle
        elif start >= middle:
            yield (_IN_BOTH if split else _IN_RIGHT), (low, middle)
            low = middle
        else:
            yield _IN_BOTH, (low, middle)
            low, start, split = middle, middle, True
    if split:
        yield _HERE, (low, high)


def _rebuilt(
    way: Sequence[tuple[int, object]], subtree: bytes, proof: Sequence[bytes]
) -> tuple[bytes, bytes]:
    """The subtree's hash and the root, as the proof has them."""
    old = new = subtree
    for (side, _), sibling in zip(reversed(way), proof, strict=True):
        if side == _HERE:
            old = new = sibling
        elif side == _IN_LEFT:
            new = node_hash(new, sibling)
        elif side == _IN_RIGHT:
            new = node_hash(sibling, new)
        else:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
    return old, new


def _stands(start: int, end: int, size: int) -> bool:
    """Is [start, end) a subtree: not empty, and aligned to its own width?"""
    if not 0 <= start < end <= size:
        return False
    width = 1 << (end - start - 1).bit_length()
    return start % width == 0


def _refuse_unless(stands: bool, expected: str) -> None:  # noqa: FBT001
    if not stands:
        raise InvalidMessage(f"expected {expected}", "proof")
