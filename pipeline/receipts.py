"""Deletion receipts: what they state, and how they are signed.

A receipt is a compact JWS (RFC 7515), ES256, over canonical JSON. Its key is no
tenant's, and is published as a JWK set, so a receipt outlives whom it is about and is
checked by any JOSE library.
"""

from base64 import urlsafe_b64decode
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet
from joserfc.jws import JWSRegistry

from pipeline.canonical import canonical
from pipeline.inbox import InboxKey, key_at
from pipeline.keystore import KeyId
from schemas.events import timestamp
from schemas.ids import EventId, TenantId
from schemas.requests import Arrival
from schemas.retention import (
    Exemption,
    Forgotten,
    LedgerRef,
    Probe,
    Receipt,
    Target,
    Verification,
)

TYPE = "deletion-receipt+jws"
ALGORITHM = "ES256"

KAFKA_BOUND = timedelta(hours=78, minutes=6)
"""How long a record may lie in Kafka: 72 h kept, 6 h of segment, 5 min between checks,
1 min until the file goes. It holds for topics that stamp records at append."""
BACKUP_HORIZON = timedelta(days=7)
"""How long backups and WAL of the keystore are kept."""
REWRITE_WITHIN = timedelta(days=1)
"""How long until partitions with destroyed keys are rewritten."""
MAX_STALENESS_S = 600
"""How long a process may hold a data key that it fetched."""

CLOCKS_DIFFER = timedelta(minutes=1)
"""Who published a key and who accepted a letter are two machines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destruction:
    """All that a receipt is made of.

    Attributes:
        dropped: of a whole day of keys, how many there were; else None.
        rows: what was deleted beside the keys.
        exceptions: copies that can still be read.
        probe: what became of opening what one of the keys had sealed; None where there
            was no key.
        continues: the job that forgets the rest; None where nothing was left over.
    """

    job: EventId
    tenant: TenantId
    scope: Forgotten
    requested_at: datetime
    as_of: datetime
    completed_at: datetime
    keys: Collection[KeyId]
    dropped: int | None = None
    rows: Sequence[Target]
    exceptions: Sequence[Exemption]
    probe: Probe | None
    record: EventId
    continues: EventId | None = None


def receipt(done: Destruction) -> Receipt:
    """State a destruction after which nothing could be read back."""
    at = timestamp(done.completed_at)
    return Receipt(
        id=done.job,
        tenant=done.tenant,
        scope=done.scope,
        requested_at=timestamp(done.requested_at),
        as_of=timestamp(done.as_of),
        completed_at=at,
        targets=(*_shredded(done), *done.rows),
        exceptions=tuple(done.exceptions),
        keys=tuple(sorted(done.keys)),
        keystore_backup_horizon=timestamp(done.completed_at + BACKUP_HORIZON),
        keystore_residue_until=timestamp(
            done.completed_at + REWRITE_WITHIN + BACKUP_HORIZON
        ),
        key_cache_max_staleness_s=MAX_STALENESS_S,
        ledger=LedgerRef(event_id=done.record),
        continues=done.continues,
        verification=Verification(
            read_back_remaining=0,
            decrypt_probe=done.probe,
            at=at,
            verifier="retention",
        ),
    )


def exceptions(
    arrivals: Mapping[Arrival, datetime],
    keys: Sequence[InboxKey],
    period: timedelta,
    now: datetime,
) -> Sequence[Exemption]:
    """What of a destruction can still be read in the inbox.

    Args:
        arrivals: how the requests lay there, and when the last was accepted.
        keys: those that still open letters; one that began after a letter was
            accepted does not open it.
        period: of these keys.
        now: what ended before is left out.
    """
    found = [_exception(how, at, keys, period) for how, at in sorted(arrivals.items())]
    return [each for each in found if each and each.until > timestamp(now)]


def _exception(
    how: Arrival, at: datetime, keys: Sequence[InboxKey], period: timedelta
) -> Exemption | None:
    """``at``: accepted, so no earlier than appended."""
    until = timestamp(at + KAFKA_BOUND)
    store = {"store": "kafka", "object": "sluice.requests.inbox.v1"}
    if how is Arrival.PLAIN:
        return Exemption(**store, basis="inbox_plain", until=until)
    if not any(key.begins <= at + CLOCKS_DIFFER for key in keys):
        return None
    due = timestamp(key_at(at, period).last_use(period))
    return Exemption(**store, basis="inbox_key", until=until, due=due)


def probed(ciphertext: bytes) -> Probe:
    """What to state of a ciphertext that was tried, and whose key was not there."""
    digest = sha256(ciphertext).hexdigest()
    return Probe(ciphertext_sha256=digest, result="key_destroyed")


def sign(stated: Receipt, key: ECKey) -> str:
    """The receipt as a compact JWS; ``kid`` is the key's thumbprint (RFC 7638)."""
    header = {"alg": ALGORITHM, "typ": TYPE, "kid": key.thumbprint()}
    payload = canonical(stated.model_dump(mode="json", exclude_none=True))
    return jws.serialize_compact(header, payload, key, algorithms=[ALGORITHM])


def verified(token: str, keys: Mapping[str, Any]) -> Receipt | None:
    """What a receipt states, if a key of the JWK set ``keys`` signed it."""
    rules = JWSRegistry(algorithms=[ALGORITHM])
    # The library's own bound is less than the receipt of a person with 3,000 keys.
    rules.max_payload_length = len(token)
    try:
        known = KeySet.import_key_set({"keys": list(keys["keys"])})
        found = jws.deserialize_compact(token, known, registry=rules)
        if found.headers().get("typ") == TYPE:
            return Receipt.model_validate_json(found.payload)
    # No such key, another's signature, no receipt, a header that is of other types.
    except (JoseError, ValueError, TypeError):
        pass
    return None


def unverified(token: str) -> Receipt:
    """What a receipt states that is shown; its signature is for others to check."""
    part = token.split(".")[1]
    padded = part + "=" * (-len(part) % 4)
    return Receipt.model_validate_json(urlsafe_b64decode(padded))


def key_set(keys: Sequence[ECKey]) -> dict[str, Any]:
    """The public keys, as a JWK set (RFC 7517 section 5)."""
    return {"keys": [_public(key) for key in keys]}


def _public(key: ECKey) -> dict[str, Any]:
    use = {"kid": key.thumbprint(), "use": "sig", "alg": ALGORITHM}
    return {**key.as_dict(private=False), **use}


def _shredded(done: Destruction) -> tuple[Target, ...]:
    """Where sealed bytes may lie that no one can read any more."""
    keys = Target(
        store="keystore",
        object="dek",
        method="delete" if done.dropped is None else "partition_drop",
        deleted=len(done.keys) if done.dropped is None else done.dropped,
        remaining=0,
    )
    kafka = Target(
        store="kafka",
        object="topics",
        method="crypto_shred",
        deleted=0,
        remaining=0,
        bound_until=timestamp(done.completed_at + KAFKA_BOUND),
    )
    return keys, kafka
