"""Those who hold something of a log that we cannot take back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from schemas.ids import TenantId


class Kind(StrEnum):
    """What sort of evidence it is."""

    TIMESTAMP = "timestamp"
    WITNESS = "witness"
    COPY = "copy"


@dataclass(frozen=True, slots=True)
class Anchored:
    """What one of them gave us for one checkpoint.

    Attributes:
        size: of the checkpoint.
        by: the operator's name for whoever gave it.
        evidence: an RFC 3161 response; signature lines; where the copy lies (JSON).
        at: when we got it. The evidence itself says when it was made.
    """

    size: int
    kind: Kind
    by: str
    evidence: bytes
    at: datetime


class Anchors(Protocol):
    """What we were given; raises RetryableError where it cannot be known now."""

    async def anchored(self, tenant: TenantId) -> Sequence[Anchored]:
        """All of a log's, by size, kind and name."""
        ...

    async def keep(self, tenant: TenantId, anchored: Anchored) -> None:
        """Store one. A second one of the same size, kind and name is dropped."""
        ...


class Stamper(Protocol):
    """A time-stamping authority."""

    async def stamp(self, message: bytes) -> bytes:
        """The authority's response for these bytes (DER), which holds.

        Raises:
            RetryableError: the authority is away.
            IntegrityError: what it answered does not hold.
        """
        ...


@dataclass(frozen=True, slots=True)
class Behind:
    """The witness knows another size than we thought: prove from there."""

    size: int


class Witness(Protocol):
    """Whoever remembers the largest tree that it saw of a log."""

    async def add(
        self, old: int, proof: Sequence[bytes], note: str
    ) -> Sequence[str] | Behind:
        """Its true cosignature lines under ``note``, at least one.

        Raises:
            RetryableError: the witness is away.
            IntegrityError: the witness saw another history, or does not know the log.
        """
        ...


class Vault(Protocol):
    """Storage in which nothing is changed or deleted before its time."""

    async def put(self, name: str, content: bytes) -> str:
        """Store one object, held from now on; the version that holds it.

        Raises:
            RetryableError: the storage is away.
            IntegrityError: it stored, but holds nothing.
        """
        ...

    async def holds(self, name: str, version: str) -> bool:
        """Is that version of an object there, and held?

        Raises:
            RetryableError: the storage is away.
        """
        ...
