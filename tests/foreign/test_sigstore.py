"""A record's proof, verified by the code with which Sigstore's Python client does.

The tree and the notes are those of Rekor. The functions are internal to that package,
which is pinned. It skips lines that it cannot read, so what is malformed is not tried
on it.
"""

import asyncio
from base64 import b64decode, b64encode
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sigstore._internal.merkle import verify_merkle_inclusion
from sigstore._internal.rekor.checkpoint import SignedCheckpoint, verify_checkpoint
from sigstore._internal.trust import Keyring, RekorKeyring
from sigstore.errors import VerificationError
from sigstore_models.common.v1 import PublicKey, PublicKeyDetails

from tests.support.proofs import BENT, BENT_SEQ, SEQS, Taken, taken


@pytest.fixture(scope="module")
def proofs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Taken]:
    return asyncio.run(taken(tmp_path_factory.mktemp("log")))


def entry(each: Taken) -> Any:
    """The proof as an entry of Rekor; read from the text, by nothing of ours."""
    head, _, note = each.proof.partition("\n\n")
    _, index, *hashes = head.split("\n")
    checkpoint = SignedCheckpoint.from_text(note).checkpoint
    proof = SimpleNamespace(
        log_index=int(index.removeprefix("index ")),
        tree_size=checkpoint.log_size,
        root_hash=bytes.fromhex(checkpoint.log_hash),
        hashes=[b64decode(line) for line in hashes],
        checkpoint=SimpleNamespace(envelope=note),
    )
    # The key's id in a note: c2sp.org/signed-note.
    key_id = sha256(each.name.encode() + b"\n\x01" + each.public).digest()
    inner = SimpleNamespace(
        inclusion_proof=proof,
        canonicalized_body=each.record,
        log_id=SimpleNamespace(key_id=key_id),
    )
    return SimpleNamespace(_inner=inner)


def keyring(each: Taken) -> RekorKeyring:
    key = Ed25519PublicKey.from_public_bytes(each.public)
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    details = PublicKeyDetails.PKIX_ED25519
    named = PublicKey(raw_bytes=b64encode(der), key_details=details)
    return RekorKeyring(Keyring([named]))


def verify(each: Taken) -> None:
    found = entry(each)
    verify_checkpoint(keyring(each), found)
    verify_merkle_inclusion(found)


@pytest.mark.parametrize("seq", SEQS)
def test_a_fresh_proof_holds(proofs: dict[int, Taken], seq: int) -> None:
    verify(proofs[seq])


@pytest.mark.parametrize("how", BENT)
def test_a_bent_one_does_not(proofs: dict[int, Taken], how: str) -> None:
    bent = BENT[how](proofs[BENT_SEQ])

    assert bent != proofs[BENT_SEQ]
    with pytest.raises(VerificationError):
        verify(bent)
