"""The root log: one log that commits to every other log's checkpoints.

A tenant shows with it that there is one history for all: only the root is anchored
outside. A leaf is salted, so the root says nothing of whose checkpoint it holds, and a
heartbeat in each interval says how many logs there are: one that vanishes is told.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from pipeline.audit import ROOT, Recorded
from pipeline.checkpoint import SigningKey, parse_note
from schemas.audit import MAX_DECISIONS, AuditRecorded, Heartbeat
from schemas.events import Attributes, Event, timestamp
from schemas.ids import Actor, EventId, event_id
from schemas.requests import Decision

KEYS: Final = "ledger.keys"
HEARTBEAT: Final = "ledger.heartbeat"
_LEAF: Final = b"sluice/root-leaf/v1\n"
_ACTOR: Final = Actor("system:checkpointer")


@dataclass(frozen=True, slots=True)
class Rooted:
    """Where the root log commits to a checkpoint: what opens the commitment.

    It lies beside the checkpoint, and goes to that log's tenant only.
    """

    salt: bytes
    seq: int


def commitment(salt: bytes, note: str) -> str:
    """The root's commitment to a signed checkpoint: 64 hex digits.

    ``salt`` is 32 bytes that nobody can guess.
    """
    return sha256(_LEAF + salt + note.encode()).hexdigest()


def committed(note: str, salt: bytes, time: datetime) -> Recorded:
    """That a checkpoint was signed. The same note gives the same event again."""
    signed = parse_note(note)
    of = event_id(f"{signed.origin} {signed.size}", "checkpoint.committed")
    commit = commitment(salt, note)
    return _event(
        of,
        time,
        AuditRecorded(action="checkpoint.committed", actor=_ACTOR, commit=commit),
    )


def heartbeat(origins: Collection[str], time: datetime) -> Recorded:
    """How many logs there are now, and which, without naming one."""
    digests = sorted(sha256(origin.encode()).digest() for origin in origins)
    counted = Heartbeat(logs=len(digests), sha256=sha256(b"".join(digests)).hexdigest())
    of = event_id(timestamp(time), HEARTBEAT)
    return _event(
        of,
        time,
        AuditRecorded(action=HEARTBEAT, actor=_ACTOR, heartbeat=counted),
    )


def signed_by(keys: Sequence[SigningKey], time: datetime) -> Recorded:
    """Which keys sign, and until when; the same keys give the same event again.

    So a change of keys is a record of the root log, and whoever follows that log sees
    it. A key is named by the first half of the SHA-256 of its 32 bytes.
    """
    said = tuple(_said(each) for each in keys[-MAX_DECISIONS:])
    of = event_id(repr([(each.rule, each.verdict) for each in said]), KEYS)
    named = AuditRecorded(action=KEYS, actor=_ACTOR, decision=said)
    return _event(of, time, named)


def _said(key: SigningKey) -> Decision:
    until = f"{key.not_after:%Y%m%dT%H%M%SZ}".lower() if key.not_after else None
    return Decision(
        stage="ledger",
        control="key",
        verdict=f"signs_until_{until}" if until else "signs",
        rule=f"ed25519_{sha256(key.public).hexdigest()[:32]}",
    )


def _event(of: EventId, time: datetime, data: AuditRecorded) -> Recorded:
    attributes = Attributes(
        id=of,
        type=AuditRecorded.kind,
        source="/sluice/checkpointer",
        subject="root",
        tenant=ROOT,
        time=time,
    )
    return Event(attributes, data)
