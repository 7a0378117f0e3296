"""What the inbox did not accept, told to the ledger."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from pipeline.admission import Refused
from pipeline.ports.bus import Record
from schemas.audit import MAX_DECISIONS, AuditRecorded
from schemas.events import Attributes, Event
from schemas.ids import Actor, EventId, RequestId, TenantId, derived
from schemas.requests import Decision
from schemas.topics import AUDIT_RECORDED, Outgoing

REJECTED: Final = "request.rejected"
_PATH: Final = re.compile(r"[a-z0-9_.]{1,128}")


def rejected(
    record: Record,
    refused: Refused,
    *,
    tenant: TenantId,
    actor: Actor,
    request: RequestId | None,
    source: str,
    now: datetime,
) -> Outgoing[AuditRecorded]:
    """The ledger's record of a request that was not accepted.

    Law: its id follows from the record's place, the reason and the paths, so a
    redelivery says the same again, and a record that is judged anew, once a token was
    revoked, a model added or a check changed meanwhile, contradicts nothing.
    """
    place = f"{record.topic}[{record.partition}]@{record.offset}"
    data = AuditRecorded(
        action=REJECTED,
        actor=actor,
        status=refused.why,
        request_id=request,
        decision=decisions(refused.errors),
    )
    paths = [each.rule or "" for each in data.decision]
    attributes = Attributes(
        id=EventId(derived("inbox", place, REJECTED, refused.why, *paths)),
        type=AuditRecorded.kind,
        source=source,
        subject=request or place,
        tenant=tenant,
        time=now,
    )
    return Outgoing(AUDIT_RECORDED, Event(attributes, data))


def decisions(errors: Sequence[str]) -> tuple[Decision, ...]:
    """Field errors as decisions: the path is the rule that was broken.

    Paths hold names of ours and indexes only; what was expected there is in the
    dialect's reference.
    """
    paths = (error.partition(":")[0] for error in errors)
    return tuple(
        Decision(stage="admission", control="dialect", verdict="refused", rule=path)
        for path in dict.fromkeys(paths)
        if _PATH.fullmatch(path)
    )[:MAX_DECISIONS]
