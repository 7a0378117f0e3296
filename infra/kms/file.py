"""The local provider of tenants' keys: the port over a folder of sealed files."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from typing_extensions import override

from infra.kms.folder import KeyFolder
from pipeline.errors import RetryableError
from pipeline.ports.kms import DestroyEvidence, KekRef, KeyState, Kms, Reason, Wrapped
from pipeline.ports.system import Entropy
from pipeline.sealing import NONCE_BYTES, framed
from pipeline.wrapping import unwrap, wrap
from schemas.ids import TenantId

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileKms(Kms):
    """Keys as files; safe in several processes of one machine.

    It destroys at once. It guards as well as its files are guarded: for one machine,
    for tests and for trying out.
    """

    folder: KeyFolder
    entropy: Entropy

    @override
    async def create(self, tenant: TenantId) -> KekRef:
        return await self._made(KekRef(tenant, 1))

    @override
    async def rotate(self, ref: KekRef) -> KekRef:
        await _in_thread(lambda: self.folder.key(ref))
        return await self._made(KekRef(ref.tenant_id, ref.version + 1))

    @override
    async def describe(self, ref: KekRef) -> KeyState:
        return await _in_thread(lambda: self.folder.state(ref))

    @override
    async def wrap(self, ref: KekRef, key: bytes, aad: bytes) -> Wrapped:
        kek = await _in_thread(lambda: self.folder.key(ref))
        nonce = self.entropy.bytes(NONCE_BYTES)
        return Wrapped(ref, wrap(kek, key, nonce, _bound(ref, aad)))

    @override
    async def unwrap(self, wrapped: Wrapped, aad: bytes) -> bytes:
        kek = await _in_thread(lambda: self.folder.key(wrapped.ref))
        return unwrap(kek, wrapped.ciphertext, _bound(wrapped.ref, aad))

    @override
    async def rewrap(self, wrapped: Wrapped, ref: KekRef, aad: bytes) -> Wrapped:
        return await self.wrap(ref, await self.unwrap(wrapped, aad), aad)

    @override
    async def destroy(self, ref: KekRef, reason: Reason) -> DestroyEvidence:
        return await _in_thread(lambda: self.folder.destroy(ref, reason))

    async def _made(self, ref: KekRef) -> KekRef:
        await _in_thread(lambda: self.folder.make(ref))
        return ref


def _bound(ref: KekRef, aad: bytes) -> bytes:
    version = ref.version.to_bytes(4, "big")
    return framed(b"sluice/kek/1", ref.tenant_id.encode(), version, aad)


async def _in_thread(work: Callable[[], T]) -> T:
    """Files and locks block, so they wait in a thread."""
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        raise RetryableError("the key files cannot be reached") from error
