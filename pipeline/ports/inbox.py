"""Letters: bodies that were sealed to us for the inbox, and the keys that open them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from pipeline.inbox import InboxKey


class Letters(Protocol):
    """Bodies that were encrypted to the published key (RFC 7516, compact)."""

    def published(self) -> Mapping[str, Any]:
        """The public JWK to seal to now, ``use: enc``. May block on the disk."""
        ...

    def open(self, letter: bytes) -> bytes | None:
        """The plaintext; None where no key of ours that still is opens it."""
        ...

    def seal(self, plaintext: bytes) -> bytes:
        """A letter to ourselves: what a stranger sent, before it is buried."""
        ...


class InboxKeys(Protocol):
    """The keys of letters, each with its end."""

    @property
    def period(self) -> timedelta:
        """How long each is published; it is taken for as long again."""
        ...

    async def there(self) -> Sequence[InboxKey]:
        """Every key that still opens letters, oldest first."""
        ...

    async def destroy(self, key: InboxKey) -> None:
        """Destroy a key: nobody opens what was sealed to it. Can be repeated."""
        ...


class InboxProgress(Protocol):
    """How far admission has come."""

    async def handled(self, before: datetime) -> bool:
        """Is everything handled that was appended to the inbox before that?

        Raises:
            RetryableError: Kafka does not answer.
        """
        ...
