"""Checkpoints: C2SP signed notes (Ed25519) over a log's origin, size and root."""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from pipeline.errors import InvalidMessage
from pipeline.merkle import HASH_BYTES

ED25519 = 1
"""The signature type in a key's hash and in its text form."""
MAX_SIGNATURES = 64
"""c2sp.org/signed-note wants at least 16; the bound keeps a hostile note cheap."""
MAX_NOTE_CHARS = 1_000_000
ID_BYTES = 4
_KEY_BYTES = 32
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}").fullmatch
_KEY_TEXT = re.compile(r"([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)").fullmatch
_SIGNATURE = re.compile(r"\u2014 ([^\s+]+) ([A-Za-z0-9+/]+={0,2})").fullmatch
_NO_TEXT = re.compile(r"[\x00-\x09\x0b-\x1f\ud800-\udfff]").search
"""Surrogates are no UTF-8, but a JSON string may hold them."""

Sign = Callable[[bytes], bytes]
"""An Ed25519 signature (64 bytes) over the text's UTF-8 bytes."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log was at one moment."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The three lines that are signed (c2sp.org/tlog-checkpoint)."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """A name and the public key that signs under it.

    Attributes:
        public: 32 bytes, Ed25519.
        kind: what is signed with it: a note, or a witness's cosignature.
    """

    name: str
    public: bytes
    kind: int = ED25519

    @property
    def id(self) -> bytes:
        """Four bytes that tell keys of one name apart."""
        typed = bytes((self.kind,)) + self.public
        return sha256(self.name.encode() + b"\n" + typed).digest()[:ID_BYTES]

    @property
    def text(self) -> str:
        """The ``vkey`` form: name, id in hex, type and key in base64."""
        typed = bytes((self.kind,)) + self.public
        return f"{self.name}+{self.id.hex()}+{b64encode(typed).decode()}"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key (32 bytes), and until when it signs; None: until further notice."""

    public: bytes
    not_after: datetime | None


def parse_key(text: str, kind: int = ED25519) -> VerifyKey:
    """The key that :attr:`VerifyKey.text` writes.

    Raises:
        InvalidMessage: it is no Ed25519 key of this kind, or its id is not that of its
            bytes.
    """
    found = _KEY_TEXT(text)
    if not found:
        raise InvalidMessage("expected name+id+key", "vkey")
    typed = parse_base64(found[3], "vkey")
    if len(typed) != 1 + _KEY_BYTES or typed[0] != kind:
        raise InvalidMessage("expected an Ed25519 key", "vkey")
    key = VerifyKey(found[1], typed[1:], kind)
    if key.id.hex() != found[2]:
        raise InvalidMessage("expected the id of the key", "vkey")
    return key


def sign(text: str, signers: Sequence[tuple[VerifyKey, Sign]]) -> str:
    """The note: ``text``, a blank line, a signature line for each key, in order."""
    lines = [
        f"\u2014 {key.name} {b64encode(key.id + make(text.encode())).decode()}\n"
        for key, make in signers
    ]
    return text + "\n" + "".join(lines)


@dataclass(frozen=True, slots=True)
class Opened:
    """A note whose signatures were checked.

    Attributes:
        signed_by: the known keys that signed it, at least one.
    """

    text: str
    signed_by: tuple[VerifyKey, ...]


def open_note(note: str, keys: Collection[VerifyKey]) -> Opened:
    """Check a note (c2sp.org/signed-note): unknown keys are passed over.

    Raises:
        InvalidMessage: it is malformed, no known key signed it, or the signature of a
            known key is wrong.
    """
    text, lines = parts_of(note)
    known = {(key.name, key.id): key for key in keys}
    signed_by: dict[VerifyKey, None] = {}
    for name, raw in lines:
        key = known.get((name, raw[:ID_BYTES]))
        if key and key not in signed_by:
            _check(key, raw[ID_BYTES:], text)
            signed_by[key] = None
    if not signed_by:
        raise InvalidMessage("expected the signature of a known key", "note")
    return Opened(text, tuple(signed_by))


def open_checkpoint(note: str, keys: Collection[VerifyKey]) -> Checkpoint:
    """The checkpoint in a note that a key of the log's own name signed.

    Raises:
        InvalidMessage: as :func:`open_note` and :func:`parse_checkpoint`, or only
            other names than the origin signed it.
    """
    opened = open_note(note, keys)
    checkpoint = parse_checkpoint(opened.text)
    if checkpoint.origin not in {key.name for key in opened.signed_by}:
        raise InvalidMessage("expected the signature of the log itself", "note")
    if len(checkpoint.root) != HASH_BYTES:
        raise InvalidMessage("expected a root of 32 bytes", "checkpoint")
    return checkpoint


def parse_checkpoint(text: str) -> Checkpoint:
    """A checkpoint's three lines; lines behind them are passed over.

    Raises:
        InvalidMessage: a line is missing or not what it must be.
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not lines[0]:  # noqa: PLR2004 - three, and ""
        raise InvalidMessage("expected origin, size and root", "checkpoint")
    if not _SIZE(lines[1]) or int(lines[1]) >= 1 << 63:
        raise InvalidMessage("expected a decimal size", "checkpoint")
    return Checkpoint(lines[0], int(lines[1]), parse_base64(lines[2], "checkpoint"))


def parse_note(note: str) -> Checkpoint:
    """The checkpoint in a note whose signatures nobody looks at here.

    Raises:
        InvalidMessage: it is no note, or holds no checkpoint.
    """
    return parse_checkpoint(parts_of(note)[0])


def log_id(origin: str) -> str:
    """The last part of an origin: its folder's name, and below it a log is served."""
    return origin.rpartition("/")[2]


def parts_of(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """A note's text, and of each signature line the name and the decoded bytes.

    Raises:
        InvalidMessage: it is no note.
    """
    if len(note) > MAX_NOTE_CHARS or _NO_TEXT(note):
        raise InvalidMessage("expected a note in UTF-8 without controls", "note")
    text, blank, signatures = note.rpartition("\n\n")
    if not blank or not signatures.endswith("\n"):
        raise InvalidMessage("expected text, a blank line, signatures", "note")
    lines = signatures[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise InvalidMessage(f"expected at most {MAX_SIGNATURES} signatures", "note")
    return text + "\n", [_signature(line) for line in lines]


def _signature(line: str) -> tuple[str, bytes]:
    found = _SIGNATURE(line)
    if not found:
        raise InvalidMessage("expected a signature line", "note")
    raw = parse_base64(found[2], "note")
    if len(raw) <= ID_BYTES:
        raise InvalidMessage("expected a key id and a signature", "note")
    return found[1], raw


def _check(key: VerifyKey, signature: bytes, text: str) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, text.encode())
    except InvalidSignature:
        raise InvalidMessage("expected a true signature", "note") from None


def parse_base64(text: str, where: str) -> bytes:
    """Standard base64 with padding, in its one form."""
    try:
        raw = b64decode(text, validate=True)
    except ValueError:  # of other characters than ASCII Python says just that
        raise InvalidMessage("expected base64", where) from None
    if b64encode(raw).decode() != text:
        raise InvalidMessage("expected base64 in its one form", where)
    return raw
