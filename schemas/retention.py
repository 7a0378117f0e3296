"""Orders to forget, and the receipts of what was forgotten."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from schemas.audit import ActorName, Moment, Uuid
from schemas.base import Schema
from schemas.ids import TenantId
from schemas.requests import Code, Hex64

Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
KeyName = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Scope = Literal["request", "subject", "class", "tenant"]


class ErasureOrdered(Schema):
    """Somebody with the right to it ordered to forget a request, or a person.

    Or the time of a class and a day was over, and its keys are gone already.

    The event's id is the job's; who ordered it was settled before this was published.

    Attributes:
        ref: a request id; a person's pseudonym, 64 hex digits; or ``<class>:<day>``.
        keys: of a class and day, how many of the tenant's were there at the end.
    """

    kind: ClassVar[str] = "retention.due.v1"

    actor: ActorName
    scope: Literal["request", "subject", "class"]
    ref: Annotated[
        str,
        Field(
            pattern=r"^[0-9a-f-]{36}$|^[0-9a-f]{64}$|^[a-z0-9]{1,16}:\d{4}-\d\d-\d\d$"
        ),
    ]
    keys: Count = 0

    @model_validator(mode="after")
    def _ref_is_of_its_scope(self) -> Self:
        if self.scope != _scope_of(self.ref):
            raise ValueError("expected a ref of the scope's kind")
        return self


def _scope_of(ref: str) -> Scope:
    if ":" in ref:
        return "class"
    return "request" if len(ref) == 36 else "subject"  # noqa: PLR2004 - a UUID


class Forgotten(Schema):
    """What was forgotten: ``ref`` is an id, a pseudonym or ``<class>:<day>``."""

    kind: Scope
    ref: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")]


class Target(Schema):
    """One place in which something of it lay.

    Attributes:
        method: ``delete`` of rows, ``partition_drop``, or ``crypto_shred``: the bytes
            may stay, nobody can read them.
        bound_until: from then on not even the bytes are there.
    """

    store: Code
    object: Code
    method: Literal["delete", "partition_drop", "crypto_shred"]
    deleted: Count
    remaining: Count
    bound_until: Moment | None = None


class Exemption(Schema):
    """A copy that can still be read, where, why, and until when at the latest.

    Attributes:
        basis: ``inbox_plain``: the producer put the body into the inbox unsealed;
            ``inbox_key``: it was sealed to a key of the inbox that still is.
        until: from then on not even the bytes are there.
        due: when that key goes, unless admission is behind.
    """

    store: Code
    object: Code
    basis: Literal["inbox_plain", "inbox_key"]
    until: Moment
    due: Moment | None = None


class Probe(Schema):
    """A ciphertext that opened before: what the worker got when it tried again."""

    ciphertext_sha256: Hex64
    result: Literal["key_destroyed"]


class Verification(Schema):
    """What was looked at after the destruction, through the ordinary way of reading.

    Attributes:
        read_back_remaining: keys of the scope that could still be fetched.
        decrypt_probe: left out where there was no key to begin with.
    """

    read_back_remaining: Count
    decrypt_probe: Probe | None = None
    at: Moment
    verifier: Code


class LedgerRef(Schema):
    """The record of this destruction: its event id on the tenant's log."""

    event_id: Uuid


class Receipt(Schema):
    """What was destroyed, what was read back, and the bounds of what remains.

    It proves who signed what and when, and which key ids are gone. It cannot prove that
    no copy exists which no log ever mentioned.

    Attributes:
        as_of: keys made after it are not covered.
        exceptions: copies that the destroyed keys do not reach.
        keys: ids of the data keys that were destroyed, sorted; none where a whole day
            of keys was dropped.
        keystore_backup_horizon: from then on no backup of the keystore holds them.
        keystore_residue_until: from then on neither its files nor its WAL do.
        key_cache_max_staleness_s: for so long after ``completed_at`` a process that
            had fetched a key before may have held it.
        continues: the id of the receipt of what follows, where one job did not reach
            everything of its scope.
    """

    v: Literal[1] = 1
    typ: Literal["deletion-receipt"] = "deletion-receipt"
    id: Uuid
    tenant: TenantId
    scope: Forgotten
    requested_at: Moment
    as_of: Moment
    completed_at: Moment
    targets: tuple[Target, ...]
    exceptions: tuple[Exemption, ...] = ()
    keys: tuple[KeyName, ...]
    keystore_backup_horizon: Moment
    keystore_residue_until: Moment
    key_cache_max_staleness_s: Count
    ledger: LedgerRef
    verification: Verification
    continues: Uuid | None = None

    @model_validator(mode="after")
    def _nothing_is_left_without_a_bound(self) -> Self:
        open_ends = [each for each in self.targets if each.remaining]
        if open_ends or self.verification.read_back_remaining:
            raise ValueError("expected a destruction that left nothing readable")
        return self
