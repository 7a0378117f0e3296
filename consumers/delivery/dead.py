"""Dead letters: what is buried, under which headers, and who is told."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from consumers.delivery.attempts import Bury
from pipeline.errors import InvalidMessage, RetryableError
from pipeline.letters import REPLAY_OF
from pipeline.ports.bus import Publisher, RawOutgoing, Record
from pipeline.ports.system import Clock
from schemas.audit import AuditRecorded
from schemas.events import Attributes, Event, timestamp
from schemas.ids import Actor, EventId, RequestId, TenantId, derived, event_id
from schemas.requests import Decision, Outcome, RequestFinished
from schemas.topics import (
    AUDIT_RECORDED,
    REQUESTS_ACCEPTED,
    REQUESTS_FINISHED,
    REQUESTS_REDACTED,
    REQUESTS_SCREENED,
    Outgoing,
    Topic,
)

SOURCE = "/sluice/delivery"
ACTION = "record.buried"
REASON = "poison"
CARRIED = frozenset({"content-type", "traceparent", "tracestate", REPLAY_OF})
ENDS_ITS_REQUEST = frozenset(
    topic.name
    for topic in (
        REQUESTS_ACCEPTED,
        REQUESTS_SCREENED,
        REQUESTS_REDACTED,
        REQUESTS_FINISHED,
    )
)
"""Topics whose every record stands for one open request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpse:
    """A record to bury, and what is known of its death."""

    topic: Topic[Any]
    group: str
    record: Record
    verdict: Bury
    attempts: int
    first_at: datetime
    stranger: bool

    @property
    def dead_id(self) -> EventId:
        """The same for every burial of this record by this group."""
        at = (self.group, self.record.topic, self.record.partition, self.record.offset)
        return EventId(derived("dead", *map(str, at)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Burial:
    """Buries records: the dead letter, an audit record, the end of its request.

    Attributes:
        version: of the code that could not handle it.
        seal_stranger: encrypts what strangers wrote, where they did not themselves.
    """

    publisher: Publisher
    clock: Clock
    version: str
    seal_stranger: Callable[[bytes], bytes]

    async def bury(self, corpse: Corpse) -> None:
        """Return once all three are durable. Repeating it is harmless.

        Raises:
            RetryableError: they may not be.
        """
        now = self.clock.now()
        letter = self._letter(corpse, now)
        try:
            await self.publisher.publish_raw(letter)
        except InvalidMessage:
            await self._shortened(letter)
        await self.publisher.publish(list(told(corpse, now)))

    async def _shortened(self, letter: RawOutgoing) -> None:
        """Sealing made it too large: bury that it was, not what it was."""
        headers = (*letter.headers, ("dead_omitted", str(len(letter.value)).encode()))
        try:
            await self.publisher.publish_raw(
                replace(letter, key=None, value=b"", headers=headers)
            )
        except InvalidMessage:
            raise RetryableError("expected a dead letter that can be written") from None

    def _letter(self, corpse: Corpse, now: datetime) -> RawOutgoing:
        record = corpse.record
        key, value = record.key, record.value or b""
        if corpse.stranger:
            key = self.seal_stranger(key) if key else None
            value = self.seal_stranger(value) if value else b""
        carried = () if corpse.stranger else _carried(record)
        headers = (*carried, *_ours(corpse, self.version, now))
        return RawOutgoing(
            topic=f"{record.topic}.dead",
            partition=record.partition,
            key=key,
            value=value,
            headers=headers,
        )


def _carried(record: Record) -> Iterator[tuple[str, bytes]]:
    for name, value in record.headers:
        if value is not None and (name.startswith("ce_") or name in CARRIED):
            yield name, value


def _ours(corpse: Corpse, version: str, now: datetime) -> Iterator[tuple[str, bytes]]:
    record = corpse.record
    appended = datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)
    told_now = {
        "dead_id": corpse.dead_id,
        "dead_topic": record.topic,
        "dead_partition": record.partition,
        "dead_offset": record.offset,
        "dead_timestamp": timestamp(appended),
        "dead_group": corpse.group,
        "dead_reason": corpse.verdict.reason.value,
        "dead_where": corpse.verdict.where,
        "dead_attempts": corpse.attempts,
        "dead_first_at": timestamp(corpse.first_at),
        "dead_at": timestamp(now),
        "dead_version": version,
    }
    for name, value in told_now.items():
        yield name, str(value).encode()


def told(corpse: Corpse, now: datetime) -> Iterator[Outgoing[Any]]:
    """What the ledger and the request's end are told, as far as headers can say.

    Strangers' headers say nothing. A record of our own making, about a burial, ends
    here: else one bug would bury without end.
    """
    claimed = None if corpse.stranger else claims(corpse, now)
    if claimed is None or claimed.source == SOURCE:
        return
    request = None if claimed.subject == corpse.dead_id else _uuid(claimed.subject)
    ours = replace(claimed, source=SOURCE, time=now, causation=claimed.id)
    audited = replace(
        ours,
        # Another version may not handle it for another reason.
        id=event_id(corpse.dead_id, f"audit.{ACTION}.v1:{corpse.verdict.reason}"),
        type=AuditRecorded.kind,
    )
    yield Outgoing(AUDIT_RECORDED, Event(audited, _audit(corpse, request)))
    if corpse.topic.name in ENDS_ITS_REQUEST and request is not None:
        ended = replace(
            ours,
            id=event_id(claimed.id, RequestFinished.kind),
            type=RequestFinished.kind,
        )
        yield Outgoing(REQUESTS_FINISHED, Event(ended, FINISHED))


FINISHED = RequestFinished(
    terms=None,
    outcome=Outcome.FAILED,
    reason=REASON,
    decisions=(),
    guards_ran=(),
)


def claims(corpse: Corpse, now: datetime) -> Attributes | None:
    """What the headers claim; None where they do not even tell whose it is."""
    headers = dict(corpse.record.headers)
    tenant = _uuid(_text(headers.get("ce_tenant")))
    if tenant is None:
        return None
    return Attributes(
        id=EventId(_text(headers.get("ce_id")) or corpse.dead_id),
        type=_text(headers.get("ce_type")),
        source=_text(headers.get("ce_source")),
        subject=_text(headers.get("ce_subject")) or corpse.dead_id,
        tenant=TenantId(tenant),
        time=now,
        origin=_text(headers.get("ce_traceparent")) or None,
        traceparent=_text(headers.get("traceparent")) or None,
    )


def _audit(corpse: Corpse, request: str | None) -> AuditRecorded:
    digest = hashlib.sha256(corpse.record.value or b"").hexdigest()
    return AuditRecorded(
        action=ACTION,
        actor=Actor(f"system:{corpse.group}"),
        status=corpse.verdict.reason.value,
        request_id=RequestId(request) if request else None,
        decision=(
            Decision(
                stage=corpse.group,
                control="delivery",
                verdict="buried",
                rule=f"sha256:{digest}",
            ),
        ),
    )


def _text(value: bytes | None) -> str:
    try:
        return (value or b"").decode()
    except UnicodeDecodeError:
        return ""


def _uuid(text: str) -> str | None:
    """``text`` where it is a UUID in canonical form."""
    try:
        return text if str(UUID(text)) == text else None
    except ValueError:
        return None
