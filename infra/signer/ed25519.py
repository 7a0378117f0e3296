"""Ed25519 keys of the ledger, in a folder of the signer's own.

One key pair signs all logs: a key's name is the log's origin, so name and id differ.
While a key is handed over both sign, and one note carries both lines.
"""

from asyncio import to_thread
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import digest
from pathlib import Path
from typing import Annotated

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import AwareDatetime, Field, ValidationError
from typing_extensions import override

from infra.kms.disk import locked, read, write
from pipeline.checkpoint import Checkpoint, Sign, SigningKey, VerifyKey, sign
from pipeline.errors import IntegrityError, InvalidMessage
from pipeline.ports.signer import Signer
from pipeline.ports.system import Clock
from schemas.base import Schema

SEED_BYTES = 32
KEYS = "keys.json"
PUBLIC = "public.json"
LOCK = "lock"
_SALT = b"sluice/root-salt/v1\n"

Bytes32 = Annotated[bytes, Field(min_length=SEED_BYTES, max_length=SEED_BYTES)]


class PublicKey(Schema):
    """A key, and when it signs.

    Attributes:
        not_after: None: until further notice.
    """

    public: Bytes32
    not_before: AwareDatetime
    not_after: AwareDatetime | None = None


class PublicKeys(Schema):
    """Every key that ever signed, oldest first: what verifiers are given."""

    keys: tuple[PublicKey, ...]

    def named(self, origin: str) -> tuple[VerifyKey, ...]:
        """These keys as the keys of a log."""
        return tuple(VerifyKey(origin, each.public) for each in self.keys)


class _Pair(PublicKey):
    seed: Annotated[Bytes32, Field(repr=False)]

    def signs_at(self, moment: datetime) -> bool:
        ended = self.not_after is not None and moment >= self.not_after
        return self.not_before <= moment and not ended

    def of(self, origin: str) -> tuple[VerifyKey, Sign]:
        private = Ed25519PrivateKey.from_private_bytes(self.seed)
        return VerifyKey(origin, self.public), private.sign


class _Pairs(Schema):
    keys: tuple[_Pair, ...] = ()


@dataclass(frozen=True, slots=True)
class FileSigner(Signer):
    """Signs with every key that is in use, oldest first."""

    folder: Path
    clock: Clock

    @override
    async def keys(self) -> Sequence[SigningKey]:
        pairs = (await to_thread(_load, self.folder)).keys
        return [SigningKey(each.public, each.not_after) for each in pairs]

    @override
    async def sign(self, checkpoint: Checkpoint) -> str:
        now = self.clock.now()
        keys = (await to_thread(_load, self.folder)).keys
        signers = [key.of(checkpoint.origin) for key in keys if key.signs_at(now)]
        if not signers:
            raise IntegrityError("expected a key that signs now", "signer.keys")
        return sign(checkpoint.text, signers)

    @override
    async def salt(self, note: str) -> bytes:
        keys = (await to_thread(_load, self.folder)).keys
        return digest(keys[0].seed, _SALT + note.encode(), "sha256")


def ensure_key(folder: Path, seed: bytes, now: datetime) -> PublicKeys:
    """The keys of the folder; ``seed`` becomes the first where there is none."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(folder / LOCK, alone=True):
        pairs = _load(folder).keys
        if not pairs:
            pairs = (_pair(seed, now),)
        # Whoever died between the two files left the one that verifiers read behind.
        if not _published(folder, pairs):
            _store(folder, pairs)
    return _public(pairs)


def rotate_key(
    folder: Path, seed: bytes, now: datetime, overlap: timedelta
) -> PublicKeys:
    """From now on ``seed`` signs; what signed until now goes on for ``overlap``.

    Whoever knows only the old key so has the time to learn the new one.
    """
    with locked(folder / LOCK, alone=True):
        ending = tuple(
            key
            if key.not_after
            else key.model_copy(update={"not_after": now + overlap})
            for key in _load(folder).keys
        )
        pairs = (*ending, _pair(seed, now))
        _store(folder, pairs)
    return _public(pairs)


def public_keys(folder: Path) -> PublicKeys:
    """What the signer says its keys are; needs no right to the keys themselves."""
    return read_public(folder / PUBLIC)


def read_public(path: Path) -> PublicKeys:
    """A signer's ``public.json``, or a copy of it.

    Raises:
        InvalidMessage: it is no such file.
    """
    try:
        return PublicKeys.model_validate_json(path.read_bytes())
    except ValidationError:
        raise InvalidMessage("expected a signer's public keys", path.name) from None


def _pair(seed: bytes, now: datetime) -> _Pair:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public = private.public_key().public_bytes_raw()
    return _Pair(public=public, not_before=now, seed=seed)


def _load(folder: Path) -> _Pairs:
    raw = read(folder / KEYS)
    if raw is None:
        return _Pairs()
    try:
        return _Pairs.model_validate_json(raw)
    except ValidationError:
        raise IntegrityError("expected the signer's keys", "signer.keys") from None


def _store(folder: Path, pairs: tuple[_Pair, ...]) -> None:
    write(folder / KEYS, _Pairs(keys=pairs).model_dump_json().encode())
    public = folder / PUBLIC
    write(public, _public(pairs).model_dump_json(indent=2).encode())
    public.chmod(0o644)


def _published(folder: Path, pairs: tuple[_Pair, ...]) -> bool:
    try:
        return public_keys(folder) == _public(pairs)
    except (FileNotFoundError, InvalidMessage):
        return False


def _public(pairs: tuple[_Pair, ...]) -> PublicKeys:
    fields = PublicKey.model_fields
    keys = (PublicKey(**each.model_dump(include=set(fields))) for each in pairs)
    return PublicKeys(keys=tuple(keys))
