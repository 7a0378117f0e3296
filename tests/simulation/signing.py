"""The checkpointer's own: a key, what it remembers, and what must hold of its notes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from hmac import digest
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typing_extensions import override

from pipeline.audit import ROOT
from pipeline.checkpoint import (
    Checkpoint,
    SigningKey,
    VerifyKey,
    open_checkpoint,
    sign,
)
from pipeline.merkle import root_of
from pipeline.ports.signer import Signed, Signer, SignerState
from schemas.ids import TenantId

if TYPE_CHECKING:
    from tests.simulation.world import World

SEED = bytes(range(32))


@cache
def _pair() -> tuple[Ed25519PrivateKey, bytes]:
    private = Ed25519PrivateKey.from_private_bytes(SEED)
    return private, private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


class SimSigner(Signer):
    """One key for all logs and for ever."""

    @override
    async def keys(self) -> Sequence[SigningKey]:
        return [SigningKey(_pair()[1], None)]

    @override
    async def sign(self, checkpoint: Checkpoint) -> str:
        (key,) = verifiers(checkpoint.origin)
        return sign(checkpoint.text, [(key, _pair()[0].sign)])

    @override
    async def salt(self, note: str) -> bytes:
        return digest(SEED, note.encode(), "sha256")


def verifiers(origin: str) -> Sequence[VerifyKey]:
    """The keys of a log."""
    return (VerifyKey(origin, _pair()[1]),)


@dataclass(frozen=True, slots=True)
class SimState(SignerState):
    """The signer's disk; ``notes``: every note that ever was the last, in order."""

    notes: dict[str, list[Signed]] = field(default_factory=dict)

    @override
    async def last(self, origin: str) -> Signed | None:
        return next(reversed(self.notes.get(origin, [])), None)

    @override
    async def swap(self, before: Signed | None, after: Signed) -> bool:
        origin = after.checkpoint.origin
        if await self.last(origin) != before:
            return False
        self.notes.setdefault(origin, []).append(after)
        return True

    @override
    async def origins(self) -> Sequence[str]:
        return sorted(self.notes)


def unsigned(world: "World") -> Iterator[str]:
    """Each published note is signed, was remembered first, and is what its log was."""
    for tenant, notes in world.ledger._notes.items():
        leaves = [entry.leaf for entry in world.ledger._entries[tenant]]
        for size, note in notes.items():
            yield from _wrong(world, tenant, note, leaves[:size])


def _wrong(
    world: "World", tenant: TenantId, note: str, leaves: Sequence[bytes]
) -> Iterator[str]:
    origin = world.ledger._heads[tenant].origin
    found = open_checkpoint(note, verifiers(origin))
    if (found.size, found.root) != (len(leaves), root_of(leaves)):
        yield f"the checkpoint {found.size} of {tenant} is not what its log was"
    if note not in {signed.note for signed in world.state.notes.get(origin, ())}:
        yield f"the checkpoint {found.size} of {tenant} was published, not remembered"
    if tenant != ROOT and (tenant, found.size) not in world.ledger._rooted:
        yield f"the checkpoint {found.size} of {tenant} is not in the root log"
