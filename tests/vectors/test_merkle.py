"""Proofs that others made, good and bent (transparency-dev/merkle).

The digests over all proofs of small trees are those of appendix C.1 of
draft-ietf-plants-merkle-tree-certs-06.
"""

import json
from base64 import b64decode
from collections.abc import Iterable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import InvalidMessage
from pipeline.merkle import (
    inclusion_proof,
    leaf_hash,
    root_between,
    root_of,
    subtree_proof,
    verify_consistency,
    verify_inclusion,
    verify_subtree,
)
from pipeline.tiles import nodes_from
from tests.support.shared import BESIDE, shared

pytestmark = pytest.mark.shared
PROOFS = Path("vectors/merkle/testdata")
CASES = sorted((BESIDE / PROOFS).rglob("*.json"))


def test_all_cases_are_there() -> None:
    shared(*PROOFS.parts)

    assert 518 == len(CASES)


@pytest.mark.parametrize(
    "path", CASES, ids=lambda path: str(path.relative_to(BESIDE / PROOFS))
)
def test_a_proof_is_judged_as_its_maker_says(path: Path) -> None:
    case = json.loads(path.read_text())
    kind = path.relative_to(BESIDE / PROOFS).parts[0]

    assert case["wantErr"] is not holds(kind, case)


def holds(kind: str, case: dict[str, Any]) -> bool:
    try:
        {
            "inclusion": inclusion,
            "consistency": consistency,
            "subtreeinclusion": subtree_inclusion,
            "subtreeconsistency": subtree_consistency,
        }[kind](case, [b64decode(each) for each in case["proof"] or ()])
    except InvalidMessage:
        return False
    return True


def inclusion(case: dict[str, Any], proof: list[bytes]) -> None:
    leaf, root = hash_of(case, "leafHash"), hash_of(case, "root")
    verify_inclusion(leaf, case["leafIdx"], case["treeSize"], root, proof)


def consistency(case: dict[str, Any], proof: list[bytes]) -> None:
    roots = hash_of(case, "root1"), hash_of(case, "root2")
    verify_consistency(case["size1"], case["size2"], *roots, proof)


def subtree_inclusion(case: dict[str, Any], proof: list[bytes]) -> None:
    """An inclusion in a subtree is one in a tree of its own, if it is aligned."""
    leaf, root = hash_of(case, "leafHash"), hash_of(case, "root")
    start, size = case["start"], case["end"] - case["start"]
    if size < 1 or start % (1 << (size - 1).bit_length()):
        raise InvalidMessage("expected a subtree")
    verify_inclusion(leaf, case["leafIdx"] - start, size, root, proof)


def subtree_consistency(case: dict[str, Any], proof: list[bytes]) -> None:
    roots = hash_of(case, "root1"), hash_of(case, "root2")
    verify_subtree(case["start"], case["end"], case["size"], *roots, proof)


def hash_of(case: dict[str, Any], name: str) -> bytes:
    return b64decode(case[name] or "")


def test_the_roots_of_the_first_nine_trees() -> None:
    known = json.loads(shared("vectors", "rfc6962_roots.json").read_text())
    leaves = [leaf_hash(bytes.fromhex(each)) for each in known["leaf_inputs_hex"]]

    roots = [root_of(leaves[:size]).hex() for size in range(9)]

    assert known["root_hashes_hex_by_size"] == roots


SIZES = range(131)
LEAVES = [leaf_hash(bytes([each])) for each in range(130)]


@cache
def nodes(level: int, index: int) -> bytes:
    return nodes_from(lambda *_: b"".join(LEAVES))(level, index)


def subtrees(size: int) -> Iterator[tuple[int, int]]:
    """All of a tree, the empty ones included, by their end."""
    for end in range(size + 1):
        for start in range(end + 1):
            if start == end or start % (1 << (end - start - 1).bit_length()) == 0:
                yield start, end


def digest(lines: Iterable[str]) -> str:
    return sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def test_all_subtree_roots_up_to_size_130() -> None:
    lines = (
        f"[{start}, {end}) {root_between(nodes, start, end).hex()}"
        for start, end in subtrees(130)
    )

    expected = "b82806ad4265bb151c1119c0f4db437bb4d1a1f887b3a7fba1cd4ebf552e3e81"
    assert expected == digest(lines)


def test_all_inclusion_proofs_in_subtrees_up_to_size_130() -> None:
    lines = (
        " ".join((f"{index} [{start}, {end})", *inside(start, end, index)))
        for start, end in subtrees(130)
        for index in range(start, end)
    )

    expected = "ac2a8f989e44d99e399db448050ff5f19757df53cfb716aa81015d3955d8163f"
    assert expected == digest(lines)


def inside(start: int, end: int, index: int) -> list[str]:
    """A subtree is a tree of its own, moved."""

    def moved(level: int, at: int) -> bytes:
        return nodes(level, at + (start >> level))

    proof = inclusion_proof(moved, index - start, end - start)
    return [each.hex() for each in proof]


def test_all_consistency_proofs_of_subtrees_up_to_size_130() -> None:
    lines = (
        " ".join((f"[{start}, {end}) {size}", *beside(start, end, size)))
        for size in SIZES
        for start, end in subtrees(size)
    )

    expected = "10fa99b37bf9bf9ffa26b412fbd98bd75363256d0b75d61bc4538b9c9c5a0a74"
    assert expected == digest(lines)


def beside(start: int, end: int, size: int) -> list[str]:
    if start == end:
        return []
    return [each.hex() for each in subtree_proof(nodes, start, end, size)]
