"""The store of data keys, and what else lies under tenants' keys."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.keystore import KeyId, Partition
from pipeline.ports.kms import DestroyEvidence
from pipeline.sealing import DataKey
from pipeline.wrapping import SecretRef
from schemas.ids import RequestId, TenantId

SUBJECT_BYTES = 32


@dataclass(frozen=True, slots=True)
class KeyRef:
    """The key that an event claims for its tenant and its request.

    The claim is not believed: a key of another tenant is not found, and a seal of
    another request does not open.
    """

    tenant_id: TenantId
    request_id: RequestId
    key_id: KeyId


@dataclass(frozen=True, slots=True)
class NewKey:
    """A data key to be kept.

    Attributes:
        subject: 32 bytes, the pseudonym of the person whose request it is.
    """

    key: DataKey
    subject: bytes | None = None

    def __post_init__(self) -> None:
        if self.subject is not None and len(self.subject) != SUBJECT_BYTES:
            raise ValueError("expected a pseudonym of 32 bytes")


@dataclass(frozen=True, slots=True)
class Destroyed:
    """The key is gone, and with it what it sealed. An answer, not a failure."""


@dataclass(frozen=True, slots=True)
class OfRequest:
    """All keys of one request."""

    tenant_id: TenantId
    request_id: RequestId


@dataclass(frozen=True, slots=True)
class OfSubject:
    """All keys of requests that named this person.

    Attributes:
        subject: 32 bytes, as in :class:`NewKey`.
    """

    tenant_id: TenantId
    subject: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminated:
    """What the end of a tenant destroyed: every version, then every row."""

    evidence: tuple[DestroyEvidence, ...]
    deleted: int


class KeyStore(Protocol):
    """Data keys, wrapped by their tenants' keys, in a database of their own.

    Every method may raise ``RetryableError``: the store or the provider is away; and
    ``InvalidMessage``: an id is not written as ours are.
    """

    async def create(self, keys: Sequence[NewKey]) -> Sequence[bool]:
        """Keep keys of any tenants, durably, in one transaction; one answer per key.

        True: it is kept (also when it was before). False: its tenant has no key any
        more, or this id was destroyed once: nothing may be sealed under it.
        """
        ...

    async def fetch(
        self, wanted: Sequence[KeyRef]
    ) -> Mapping[KeyRef, DataKey | Destroyed]:
        """Keys of any tenants, in one query; an answer for each that is wanted.

        A key that is not there is destroyed: it was kept before anything was sealed
        under it. So is a key of another tenant than the one that asks.

        Raises:
            IntegrityError: a key that is there does not unwrap.
        """
        ...

    async def forget(self, keys: Sequence[KeyRef]) -> int:
        """Destroy ``transient`` keys whose requests have ended; how many were there.

        No tombstones: their partition is dropped the next day.
        """
        ...


class KeyKeeper(Protocol):
    """Who gives tenants their keys, and destroys keys by order.

    Errors as :class:`KeyStore`.
    """

    async def enrol(self, tenant: TenantId) -> None:
        """Give a tenant its first key; nothing if it has one.

        Raises:
            KeyDestroyed: the tenant was terminated; it gets no key again.
        """
        ...

    async def rotate(self, tenant: TenantId) -> int:
        """Wrap new keys under a new version from now on; the version.

        Raises:
            KeyDestroyed: the tenant was terminated, or was never enrolled.
        """
        ...

    async def of(self, selector: OfRequest | OfSubject, most: int) -> Sequence[KeyRef]:
        """The first ``most`` of the keys that are there, by id."""
        ...

    async def destroy_keys(
        self, tenant: TenantId, keys: Collection[KeyId]
    ) -> Collection[KeyId]:
        """Destroy keys for good; those that were there.

        Their ids are never taken again. New reads see it at once. Whoever fetched a
        key before may hold it for as long as it handles one record, 10 minutes at most.
        """
        ...

    async def terminate(self, tenant: TenantId) -> Terminated:
        """Destroy every version of the tenant's key, then all its data keys.

        Resumable: after an error, or when repeated, it gives the first evidence again.
        """
        ...


class Secrets(Protocol):
    """Seals tenants' long-lived secrets; who asks keeps the bytes, in its own row."""

    async def seal(self, ref: SecretRef, plain: bytes) -> bytes:
        """Seal under the tenant's present key.

        Raises:
            KeyDestroyed: the tenant was terminated, or was never enrolled.
        """
        ...

    async def open(self, ref: SecretRef, sealed: bytes) -> bytes:
        """The secret.

        Raises:
            KeyDestroyed: the tenant was terminated.
            IntegrityError: it was sealed for another row, or was bent.
        """
        ...


class Subjects(Protocol):
    """Pseudonyms of people, so that one can be forgotten without being named."""

    async def pseudonym(self, tenant: TenantId, person: str) -> bytes:
        """32 bytes: HMAC-SHA-256 of the person's id under a key of the tenant's.

        Law: equal for equal tenants and ids, for as long as the tenant lives.

        Raises:
            KeyDestroyed: the tenant was terminated, or was never enrolled.
        """
        ...


class KeyPartitions(Protocol):
    """The days of keys: made ahead, and dropped when their period is over."""

    async def prepare(self, wanted: Sequence[Partition]) -> int:
        """Make what is missing; how many were made."""
        ...

    async def there(self) -> Sequence[Partition]:
        """What there is, sorted by class and day."""
        ...

    async def detach(self, partition: Partition) -> Mapping[TenantId, int]:
        """Take a partition out: its keys are destroyed for every reader from now on.

        Returns how many there were, by tenant; the same again until it is retired,
        so whoever records it may be cut short. Absent: nothing.
        """
        ...

    async def retire(self, partition: Partition) -> None:
        """Drop what was detached. Absent: nothing.

        Raises:
            IntegrityError: it was not detached.
        """
        ...

    async def rewrite(self) -> int:
        """Rewrite every partition in which keys were destroyed since; how many.

        A deleted row's bytes stay in its file until then; and in the new one where a
        transaction that began before may still see them, so the next call repeats it.

        Raises:
            RetryableError: one could not be rewritten now; all others were.
        """
        ...
