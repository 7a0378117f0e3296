"""What the keystore's functions take: ids sorted by tenant, and what they give back."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from pipeline.errors import InvalidMessage
from pipeline.keystore import KeyId, key_id_bytes
from pipeline.ports.keys import KeyRef
from schemas.ids import RequestId, TenantId


@dataclass(frozen=True, slots=True)
class Batch:
    """Ids of many tenants, as arrays: each tenant, how many ids it has, the ids."""

    tenants: tuple[UUID, ...]
    counts: tuple[int, ...]
    ids: tuple[bytes, ...]


def batch(refs: Iterable[KeyRef]) -> Batch:
    """Each key once, sorted by tenant.

    Raises:
        InvalidMessage: a tenant or a key id is not written as ours are.
    """
    wanted = sorted({(ref.tenant_id, ref.key_id) for ref in refs})
    counts = Counter(tenant for tenant, _ in wanted)
    return Batch(
        tuple(tenant_uuid(tenant) for tenant in counts),
        tuple(counts.values()),
        tuple(id_bytes(key_id) for _, key_id in wanted),
    )


def tenant_uuid(tenant: TenantId) -> UUID:
    """The tenant's id for the driver.

    Raises:
        InvalidMessage: it is no UUID in canonical text. Keys are bound to that text.
    """
    return _uuid(tenant, "tenant")


def request_uuid(request: RequestId) -> UUID:
    """As :func:`tenant_uuid`."""
    return _uuid(request, "request_id")


def id_bytes(key_id: KeyId) -> bytes:
    """The 16 bytes of a key id that an event claims.

    Raises:
        InvalidMessage: they are no such thing.
    """
    try:
        return key_id_bytes(key_id)
    except ValueError:
        raise InvalidMessage("expected 32 lower-case hex digits", "key_id") from None


def _uuid(text: str, where: str) -> UUID:
    try:
        found = UUID(text)
    except ValueError:
        raise InvalidMessage("expected a UUID", where) from None
    if str(found) != text:
        raise InvalidMessage("expected a UUID in canonical text", where)
    return found
