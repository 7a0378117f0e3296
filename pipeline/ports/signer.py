"""Who signs checkpoints, and what was signed: kept apart from the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.checkpoint import Checkpoint, SigningKey


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint with the note that was made of it."""

    checkpoint: Checkpoint
    note: str


class Signer(Protocol):
    """The log's keys."""

    async def keys(self) -> Sequence[SigningKey]:
        """Every key that ever signed, oldest first."""
        ...

    async def sign(self, checkpoint: Checkpoint) -> str:
        """The signed note, with a line for each key that is in use."""
        ...

    async def salt(self, note: str) -> bytes:
        """32 bytes that nobody can guess, always the same for the same note.

        So a crash between the root log's commitment and its publication loses nothing.
        """
        ...


class SignerState(Protocol):
    """The last checkpoint of each log: what the signer itself remembers.

    It lies in other storage than the ledger, so that whoever restores an old ledger
    does not restore this as well.
    """

    async def last(self, origin: str) -> Signed | None:
        """The last checkpoint that was signed for a log."""
        ...

    async def swap(self, before: Signed | None, after: Signed) -> bool:
        """Remember ``after`` if ``before`` is still the last; return once durable.

        False: another signer was quicker. Nothing was changed.
        """
        ...

    async def origins(self) -> Sequence[str]:
        """Every log that was ever signed, sorted."""
        ...
