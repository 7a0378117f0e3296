"""Completeness: accepted requests, counted against the ledger, and recorded there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.announcements import of_incident
from pipeline.audit import ROOT, Recorded
from pipeline.completeness import Completeness, reconcile
from pipeline.ports.accepted import AcceptedRequests, Span
from pipeline.ports.ledger import Ledger, Logs, SourceOffsets
from pipeline.ports.system import Clock
from pipeline.ports.webhooks import Deliveries
from schemas.audit import MAX_MISSING, AuditRecorded, OffsetRange, Reconciled
from schemas.events import Attributes, Event
from schemas.ids import Actor, EventId, RequestId, TenantId, derived
from schemas.topics import REQUESTS_ACCEPTED

CHECKED = "completeness.checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletenessWorker:
    """Reads on where its last record ended; that stands on the ledger itself.

    Attributes:
        settled: how old a request must be to be counted: it has ended by then.
        alarm: told of how many tenants' records say that something is missing.
    """

    accepted: AcceptedRequests
    ledger: Ledger
    logs: Logs
    deliveries: Deliveries
    clock: Clock
    alarm: Callable[[int], None]
    settled: timedelta

    async def round(self) -> bool:
        """Check what settled since; True: there may be more.

        An accepted request that is not on the ledger, or did not end exactly once, is
        an alarm, and its tenant is told; the records say which it is.

        Raises:
            RetryableError: something is away; the next round begins again.
        """
        now = self.clock.now()
        begin = await self.ledger.offsets(REQUESTS_ACCEPTED.name)
        span = await self.accepted.read(begin, now - self.settled)
        if span.ends == span.begins:
            return False
        checked = await self._checked(span)
        events = [_of_tenant(each, found, span, now) for each, found in checked]
        source = SourceOffsets(REQUESTS_ACCEPTED.name, span.ends)
        await self.ledger.append([*events, _of_root(span, now)], source)
        lacking = [
            event
            for event, (_, found) in zip(events, checked, strict=True)
            if not found.complete
        ]
        if lacking:
            await self._announced(lacking, now)
            self.alarm(len(lacking))
        return True

    async def _announced(self, incidents: Sequence[Recorded], now: datetime) -> None:
        """Keep deliveries for those who want to know; the sweeper brings them on."""
        messages = [
            message
            for each in incidents
            for message in of_incident(each.attributes.tenant, each.attributes.id, now)
        ]
        await self.deliveries.announce(messages)

    async def _checked(self, span: Span) -> Sequence[tuple[TenantId, Completeness]]:
        asked: dict[TenantId, list[RequestId]] = {}
        for tenant, request in span.requests:
            asked.setdefault(tenant, []).append(request)
        return [
            (tenant, reconcile(ids, await self.logs.actions(tenant, ids)))
            for tenant, ids in asked.items()
        ]


def _of_tenant(
    tenant: TenantId, found: Completeness, span: Span, now: datetime
) -> Recorded:
    missing = (*found.unrecorded, *found.unended)
    counted = Reconciled(
        accepted=found.accepted,
        unrecorded=len(found.unrecorded),
        unended=len(found.unended),
        twice=len(found.twice),
        missing=tuple(dict.fromkeys(missing))[:MAX_MISSING],
    )
    status = "complete" if found.complete else "incomplete"
    return _event(tenant, span, now, status=status, completeness=counted)


def _of_root(span: Span, now: datetime) -> Recorded:
    ranges = tuple(
        OffsetRange(partition=at, begin=begin, end=span.ends[at])
        for at, begin in sorted(span.begins.items())
    )
    return _event(ROOT, span, now, offsets=ranges)


def _event(
    tenant: TenantId,
    span: Span,
    now: datetime,
    *,
    status: str | None = None,
    completeness: Reconciled | None = None,
    offsets: tuple[OffsetRange, ...] = (),
) -> Recorded:
    attributes = Attributes(
        id=EventId(derived(tenant, CHECKED, repr(sorted(span.ends.items())))),
        type=AuditRecorded.kind,
        source="/sluice/completeness",
        subject=CHECKED,
        tenant=tenant,
        time=now,
    )
    data = AuditRecorded(
        action=CHECKED,
        actor=Actor("system:completeness"),
        status=status,
        completeness=completeness,
        offsets=offsets,
    )
    return Event(attributes, data)
