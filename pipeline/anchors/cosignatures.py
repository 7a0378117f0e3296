"""Cosignatures (c2sp.org/tlog-cosignature): a witness saw this log only grow."""

from base64 import b64encode
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from pipeline.checkpoint import ID_BYTES, Sign, VerifyKey, parts_of
from pipeline.errors import InvalidMessage
from pipeline.merkle import HASH_BYTES

WITNESS: Final = 4
"""The type byte of a witness's Ed25519 key."""
MAX_PROOF_LINES: Final = 63
_TIME_BYTES: Final = 8
_SIGNATURE_BYTES: Final = 64
_LAST_SECOND: Final = 253_402_300_799
"""The end of the year 9999: later moments have no name here."""


@dataclass(frozen=True, slots=True)
class Cosigned:
    """That ``by`` knew no larger tree of the log than this one at ``at``.

    Attributes:
        line: the signature line, with its newline.
    """

    by: VerifyKey
    at: datetime
    line: str


def cosign(text: str, key: VerifyKey, make: Sign, at: datetime) -> str:
    """The signature line of a witness under a checkpoint's ``text``."""
    seconds = int(at.timestamp())
    signature = make(_message(seconds, text))
    raw = key.id + seconds.to_bytes(_TIME_BYTES, "big") + signature
    return f"\u2014 {key.name} {b64encode(raw).decode()}\n"


def cosignatures(note: str, witnesses: Collection[VerifyKey]) -> Sequence[Cosigned]:
    """What known witnesses said under a note; all other lines are passed over.

    Raises:
        InvalidMessage: the note is malformed, or the cosignature of a known key is
            wrong.
    """
    text, lines = parts_of(note)
    known = {(key.name, key.id): key for key in witnesses}
    found = dict[VerifyKey, Cosigned]()
    for name, raw in lines:
        key = known.get((name, raw[:ID_BYTES]))
        if key and key not in found:
            at = _checked(key, raw[ID_BYTES:], text)
            line = f"\u2014 {name} {b64encode(raw).decode()}\n"
            found[key] = Cosigned(key, at, line)
    return tuple(found.values())


def add_checkpoint(old: int, proof: Sequence[bytes], note: str) -> bytes:
    """The request that asks a witness (c2sp.org/tlog-witness, add-checkpoint).

    Args:
        old: the size that the witness cosigned last; 0: none.
        proof: that this size is the beginning of the note's; empty from 0.
        note: the signed checkpoint.
    """
    if len(proof) > MAX_PROOF_LINES or any(len(each) != HASH_BYTES for each in proof):
        raise ValueError("expected a consistency proof")
    lines = [f"old {old}", *(b64encode(each).decode() for each in proof), "", ""]
    return ("\n".join(lines) + note).encode()


def _checked(key: VerifyKey, signature: bytes, text: str) -> datetime:
    seconds = int.from_bytes(signature[:_TIME_BYTES], "big")
    stands = len(signature) == _TIME_BYTES + _SIGNATURE_BYTES
    if not stands or key.kind != WITNESS or seconds > _LAST_SECOND:
        raise InvalidMessage("expected a cosignature", "witness")
    public = Ed25519PublicKey.from_public_bytes(key.public)
    try:
        public.verify(signature[_TIME_BYTES:], _message(seconds, text))
    except InvalidSignature:
        raise InvalidMessage("expected a true cosignature", "witness") from None
    return datetime.fromtimestamp(seconds, UTC)


def _message(seconds: int, text: str) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()
