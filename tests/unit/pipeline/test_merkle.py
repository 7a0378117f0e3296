"""The tree against one that is written as RFC 6962 defines it, and bent proofs."""

from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InvalidMessage
from pipeline.merkle import (
    EMPTY_ROOT,
    CompactRange,
    Node,
    Nodes,
    consistency_proof,
    extend,
    inclusion_proof,
    leaf_hash,
    root_of,
    tree_at,
    verify_consistency,
    verify_inclusion,
    verify_subtree,
)

leaves_of = st.lists(st.binary(max_size=8).map(leaf_hash), max_size=600)


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """Section 2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_nodes(leaves: Sequence[bytes]) -> Nodes:
    return lambda level, index: naive_root(leaves[index << level : index + 1 << level])


def numbered(size: int) -> list[bytes]:
    return [leaf_hash(each.to_bytes(4, "big")) for each in range(size)]


@given(leaves_of)
def test_the_root_is_the_recursive_one(leaves: list[bytes]) -> None:
    assert naive_root(leaves) == root_of(leaves)


@given(leaves_of, leaves_of)
def test_extending_twice_is_extending_once(
    first: list[bytes], second: list[bytes]
) -> None:
    middle, filled = extend(CompactRange(), first)
    end, more = extend(middle, second)

    assert extend(CompactRange(), first + second) == (end, filled + more)


@given(st.integers(0, 700), st.integers(0, 700))
def test_a_tree_grows_alike_from_anywhere(start: int, more: int) -> None:
    leaves = numbered(start + more)
    grown, told = extend(CompactRange(), leaves[:start])

    for leaf in leaves[start:]:
        grown, filled = extend(grown, [leaf])
        told += filled

    assert (grown, told) == extend(CompactRange(), leaves)
    assert (grown, told[start // 256 :]) == extend(
        extend(CompactRange(), leaves[:start])[0], leaves[start:]
    )


def test_tiles_are_told_when_they_fill() -> None:
    leaves = numbered(256 * 256)

    filled = extend(CompactRange(), leaves)[1]

    full = [Node(8, at, root_of(leaves[at * 256 :][:256])) for at in range(256)]
    assert [*full, Node(16, 0, root_of(leaves))] == filled


@given(leaves_of.filter(bool), st.data())
def test_a_tree_is_found_again_from_its_nodes(
    leaves: list[bytes], data: st.DataObject
) -> None:
    size = data.draw(st.integers(0, len(leaves)))

    expected = extend(CompactRange(), leaves[:size])[0]
    assert expected == tree_at(naive_nodes(leaves), size)


@given(leaves_of.filter(bool), st.data())
def test_every_proof_verifies_and_no_bent_one(
    leaves: list[bytes], data: st.DataObject
) -> None:
    size = len(leaves)
    index = data.draw(st.integers(0, size - 1))
    nodes, root = naive_nodes(leaves), naive_root(leaves)
    old_root = naive_root(leaves[: index + 1])

    included = inclusion_proof(nodes, index, size)
    consistent = consistency_proof(nodes, index + 1, size)

    verify_inclusion(leaves[index], index, size, root, included)
    verify_consistency(index + 1, size, old_root, root, consistent)
    bend = data.draw(st.integers(0, 255 * max(1, len(included))))
    for proof in bent(included, bend):
        with pytest.raises(InvalidMessage):
            verify_inclusion(leaves[index], index, size, root, proof)
    for proof in bent(consistent, bend):
        with pytest.raises(InvalidMessage):
            verify_consistency(index + 1, size, old_root, root, proof)


def bent(proof: list[bytes], bend: int) -> list[list[bytes]]:
    """One bit flipped, one hash less, one more, two in the other order."""
    found = [[*proof, EMPTY_ROOT], [EMPTY_ROOT, *proof]]
    if proof:
        at, bit = bend % len(proof), bend % 256
        flipped = bytearray(proof[at])
        flipped[bit // 8] ^= 1 << bit % 8
        found += [[*proof[:at], bytes(flipped), *proof[at + 1 :]], proof[1:]]
    if len(set(proof)) > 1:
        found.append(proof[::-1])
    return [each for each in found if each != proof]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 130])
def test_all_proofs_of_a_small_tree(size: int) -> None:
    leaves = numbered(size)
    nodes, root = naive_nodes(leaves), naive_root(leaves)

    for index, leaf in enumerate(leaves):
        verify_inclusion(leaf, index, size, root, inclusion_proof(nodes, index, size))
        old, proof = index + 1, consistency_proof(nodes, index + 1, size)
        verify_consistency(old, size, naive_root(leaves[:old]), root, proof)


@pytest.mark.parametrize(("old", "size"), [(0, 5), (6, 5), (-1, 5)])
def test_nothing_is_proved_of_the_empty_tree_or_the_future(old: int, size: int) -> None:
    with pytest.raises(ValueError, match="subtree"):
        consistency_proof(naive_nodes(numbered(5)), old, size)
    with pytest.raises(InvalidMessage):
        verify_consistency(old, size, EMPTY_ROOT, naive_root(numbered(5)), [])


ONE, TWO = numbered(2)
PAIR = root_of([ONE, TWO])


@pytest.mark.parametrize("leaf", [b"", ONE[:31], ONE + b"x"])
def test_a_leaf_of_another_length_is_in_no_tree(leaf: bytes) -> None:
    """A tree of one leaf is that leaf's hash: nothing above it would betray it."""
    verify_inclusion(ONE, 0, 1, ONE, [])
    with pytest.raises(InvalidMessage):
        verify_inclusion(leaf, 0, 1, leaf, [])


@pytest.mark.parametrize(("index", "size"), [(-1, 2), (2, 2), (0, 0)])
def test_no_leaf_is_beside_the_tree(index: int, size: int) -> None:
    with pytest.raises(InvalidMessage):
        verify_inclusion(ONE, index, size, PAIR, [TWO])


def test_where_one_hash_ends_and_the_next_begins_is_no_ones_choice() -> None:
    """The bytes that are hashed would be the same."""
    joined = ONE + TWO
    verify_consistency(1, 2, ONE, PAIR, [TWO])

    with pytest.raises(InvalidMessage):
        verify_consistency(1, 2, joined[:31], PAIR, [joined[31:]])


def test_trees_of_one_size_are_one_tree() -> None:
    verify_consistency(2, 2, PAIR, PAIR, [])
    verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])
    for old, root in ((ONE, PAIR), (PAIR, ONE)):
        with pytest.raises(InvalidMessage):
            verify_consistency(2, 2, old, root, [])
    with pytest.raises(InvalidMessage):
        verify_consistency(0, 0, EMPTY_ROOT, ONE, [])


def test_of_the_empty_subtree_its_own_hash_is_all_there_is_to_say() -> None:
    for at in range(3):
        verify_subtree(at, at, 2, EMPTY_ROOT, PAIR, [])
    for subtree, proof in ((ONE, []), (EMPTY_ROOT, [TWO])):
        with pytest.raises(InvalidMessage):
            verify_subtree(1, 1, 2, subtree, PAIR, proof)
    with pytest.raises(InvalidMessage):
        verify_subtree(3, 3, 2, EMPTY_ROOT, PAIR, [])


def test_a_range_has_a_hash_for_each_bit_of_its_size() -> None:
    with pytest.raises(ValueError, match="bit"):
        CompactRange(3, (EMPTY_ROOT,))
