"""Tokens and letters that are the same in every run: signed by a hash, sealed by one.

The real ones (``infra/tokens.py``) draw on the operating system for every signature.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import orjson
from typing_extensions import override

from infra.memory.inbox import MemoryInboxKeys
from pipeline.inbox import InboxKey, key_at, key_named
from pipeline.ports.inbox import Letters
from pipeline.ports.system import Clock
from pipeline.ports.tokens import Claims, TokenIssuer, TokenVerifier

_KEY = b"made up for the simulation"


class SimTokens(TokenIssuer, TokenVerifier):
    """One key for all."""

    @override
    def issue(self, claims: Claims) -> str:
        found = {**asdict(claims), "scope": sorted(claims.scope)}
        body = orjson.dumps(found, default=str)
        return urlsafe_b64encode(_mac(body) + body).decode()

    @override
    def published(self) -> Sequence[Mapping[str, Any]]:
        return []

    @override
    def verify(self, token: str) -> Claims | None:
        try:
            raw = urlsafe_b64decode(token)
        except ValueError:
            return None
        mac, body = raw[:32], raw[32:]
        if mac != _mac(body):
            return None
        found = orjson.loads(body)
        found["scope"] = frozenset(found["scope"])
        for name in ("issued_at", "expires_at"):
            found[name] = datetime.fromisoformat(found[name])
        return Claims(**found)


PERIOD = timedelta(seconds=6)


class SimLetters(MemoryInboxKeys, Letters):
    """Sealed by one key a period, that is named before the letter.

    A key whose name is gone opens nothing.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(length=PERIOD)
        self._clock = clock

    @override
    def published(self) -> Mapping[str, Any]:
        return {"kid": self._present().kid}

    @override
    def open(self, letter: bytes) -> bytes | None:
        kid, _, sealed = letter.partition(b".")
        if key_named(kid.decode()) not in self.names:
            return None
        raw = urlsafe_b64decode(sealed)
        return _xored(raw[16:], raw[:16])

    @override
    def seal(self, plaintext: bytes) -> bytes:
        """A letter to ourselves."""
        salt = _mac(plaintext)[:16]
        sealed = urlsafe_b64encode(salt + _xored(plaintext, salt))
        return self._present().kid.encode() + b"." + sealed

    def _present(self) -> InboxKey:
        name = key_at(self._clock.now(), self.length)
        self.names.add(name)
        return name


def _mac(body: bytes) -> bytes:
    return sha256(_KEY + body).digest()


def _xored(text: bytes, salt: bytes) -> bytes:
    stream = b"".join(
        sha256(_KEY + salt + at.to_bytes(4)).digest()
        for at in range(len(text) // 32 + 1)
    )
    return bytes(a ^ b for a, b in zip(text, stream, strict=False))
