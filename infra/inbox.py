"""The inbox's keys as files: made when they are first needed, destroyed for good.

They lie as tenants' keys do (:mod:`infra.kms.folder`): sealed under a root that is let
go with every destruction, so what remains on the disk of a destroyed key opens nothing.
Nothing is kept in memory: a key that was destroyed opens no letter from then on.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Self

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwe import JWERegistry
from joserfc.jwk import ECKey
from joserfc.util import urlsafe_b64decode
from typing_extensions import override

from infra.kms.folder import KeyFolder
from pipeline.errors import IntegrityError, KeyDestroyed
from pipeline.inbox import (
    ENCRYPTION,
    SEALING,
    InboxKey,
    key_at,
    key_named,
    private_key,
)
from pipeline.ports.inbox import InboxKeys, Letters
from pipeline.ports.kms import KekRef, Reason
from pipeline.ports.system import Clock, Entropy
from schemas.ids import TenantId
from schemas.topics import MAX_RECORD_BYTES

_NAME: Final = TenantId("inbox")
REMEMBERED: Final = timedelta(days=30)
"""For so long a destroyed key leaves a name behind; no clock is as wrong as that."""


class _Registry(JWERegistry):
    """Opens what fits into a record; by default joserfc opens 64 KB."""

    max_ciphertext_length = MAX_RECORD_BYTES


_REGISTRY: Final = _Registry(algorithms=[SEALING, ENCRYPTION])
_UNREADABLE: Final = (JoseError, ValueError, TypeError, RecursionError)
"""Of whatever a stranger may send; a header may be nested ever so deep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInboxKeys(Letters, InboxKeys):
    """One folder, shared by the gateways, admission, retention and the timed workers.

    Attributes:
        period: of the published key; whole seconds.
    """

    folder: KeyFolder
    period: timedelta
    clock: Clock

    @classmethod
    def at(
        cls,
        own: Path,
        root: Path,
        *,
        period: timedelta,
        clock: Clock,
        entropy: Entropy,
    ) -> Self:
        """Keys in ``own``, sealed under a root that lies beside ``root``."""
        folder = KeyFolder(
            directory=own / "inbox",
            root=root.with_name("inbox.root"),
            entropy=entropy,
            clock=clock,
        )
        return cls(folder=folder, period=period, clock=clock)

    @override
    def published(self) -> Mapping[str, Any]:
        found: dict[str, Any] = self._present().as_dict(private=False)
        return found

    @override
    def open(self, letter: bytes) -> bytes | None:
        for name in self._named(letter):
            with suppress(KeyDestroyed, IntegrityError):
                plaintext = _opened(letter, self._key(name))
                if plaintext is not None:
                    return plaintext
        return None

    @override
    def seal(self, plaintext: bytes) -> bytes:
        key = self._present()
        header = {"alg": SEALING, "enc": ENCRYPTION, "kid": key.kid}
        return jwe.encrypt_compact(header, plaintext, key, registry=_REGISTRY).encode()

    @override
    async def there(self) -> Sequence[InboxKey]:
        return await asyncio.to_thread(self._there)

    @override
    async def destroy(self, key: InboxKey) -> None:
        await asyncio.to_thread(self.folder.destroy, _ref(key), Reason.ROTATION)
        before = key_at(self.clock.now() - REMEMBERED, self.period)
        await asyncio.to_thread(self.folder.forget, _NAME, before.begun)

    def _there(self) -> Sequence[InboxKey]:
        return [InboxKey(begun) for begun in self.folder.versions(_NAME)]

    def _named(self, letter: bytes) -> Sequence[InboxKey]:
        """The key that a letter names; where it names none, all that are there."""
        try:
            header = json.loads(urlsafe_b64decode(letter.split(b".", 1)[0]))
            kid = header.get("kid")
        except (AttributeError, *_UNREADABLE):
            return ()
        if kid is None:
            return self._there()
        name = key_named(kid)
        return () if name is None else (name,)

    def _present(self) -> ECKey:
        name = key_at(self.clock.now(), self.period)
        self.folder.make(_ref(name))
        return self._key(name)

    def _key(self, name: InboxKey) -> ECKey:
        return private_key(name, self.folder.key(_ref(name)))


def _opened(letter: bytes, key: ECKey) -> bytes | None:
    """What is in it; None: with this key it does not open."""
    try:
        return jwe.decrypt_compact(letter, key, registry=_REGISTRY).plaintext
    except Exception:  # noqa: BLE001 - whatever the library stumbles over, a stranger wrote
        return None


def _ref(key: InboxKey) -> KekRef:
    return KekRef(_NAME, key.begun)
