"""Completeness: accepted requests, counted against the ledger, and recorded there."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from pipeline.announcements import of_incident
from pipeline.audit import ROOT, Recorded
from pipeline.checked import CHECKED, checked, skipped
from pipeline.closing import is_closed
from pipeline.completeness import Completeness, reconcile
from pipeline.errors import HeadBent, RetryableError
from pipeline.ports.accepted import AcceptedRequests, Span
from pipeline.ports.ledger import Ledger, Logs, SourceOffsets
from pipeline.ports.system import Clock
from pipeline.ports.webhooks import Deliveries
from schemas.audit import MAX_MISSING, AuditRecorded, OffsetRange, Reconciled
from schemas.events import Attributes, Event
from schemas.ids import Actor, EventId, RequestId, TenantId, derived
from schemas.requests import Decision
from schemas.topics import REQUESTS_ACCEPTED

INCIDENT = "incident.completeness"
_Told: TypeAlias = tuple[TenantId, TenantId]
"""Whose requests, and on whose log it is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletenessWorker:
    """Reads on where its last record ended; that stands on the ledger itself.

    Of two copies that read the same one appends, and the other begins again.

    Attributes:
        settled: how old a request must be to be counted: it has ended by then.
        alarm: told of how many logs get an incident.
        tell: told up to which time, in seconds since 1970, all was checked.
    """

    accepted: AcceptedRequests
    ledger: Ledger
    logs: Logs
    deliveries: Deliveries
    clock: Clock
    alarm: Callable[[int], None]
    tell: Callable[[float], None]
    settled: timedelta

    async def round(self) -> bool:
        """Check what settled since; True: there may be more.

        An accepted request that is not on the ledger, or did not end exactly once, is
        an incident on its tenant's log; accepted requests that went before they could
        be checked, a topic that was made anew, and stored offsets that are ahead of
        what the root log says, are incidents on the root log.

        Raises:
            RetryableError: something is away, or another copy was quicker; the next
                round begins again.
        """
        now = self.clock.now()
        read = await self.ledger.source(REQUESTS_ACCEPTED.name)
        before, gaps = now - self.settled, await self._skipped(read)
        begin = {**read.next_offsets, **{at: gap.start for at, gap in gaps.items()}}
        span = await self.accepted.read(begin, before, read.before)
        if span.ends == span.begins and not (span.expired or span.anew or gaps):
            self.tell(span.until.timestamp())
            return False
        events = await self._events(_Round(span, read, now, gaps))
        await self._raised([e for e in events if e.data.action == INCIDENT], now)
        source = SourceOffsets(read.topic, span.ends, read.next_offsets, before)
        await self.ledger.append(events, source)
        self.tell(span.until.timestamp())
        return True

    async def _skipped(self, read: SourceOffsets) -> Mapping[int, range]:
        """What nobody checked, though the offsets that are stored lie behind it."""
        gaps = skipped(read.next_offsets, await checked(self.logs))
        if gaps and await self.ledger.source(read.topic) != read:
            raise RetryableError("somebody else read on")
        return gaps

    async def _events(self, this: "_Round") -> Sequence[Recorded]:
        checked = await self._checked(this.span)
        return [
            *(event for told, found in checked for event in this.of(*told, found)),
            *this.of_root(),
        ]

    async def _raised(self, incidents: Sequence[Recorded], now: datetime) -> None:
        """Before the append: whoever dies in between raises it again, not never."""
        if incidents:
            self.alarm(len(incidents))
            await self._announced(incidents, now)

    async def _announced(self, incidents: Sequence[Recorded], now: datetime) -> None:
        """Keep deliveries for those who want to know; the sweeper brings them on."""
        messages = [
            message
            for each in incidents
            for message in of_incident(each.attributes.tenant, each.attributes.id, now)
        ]
        await self.deliveries.announce(messages)

    async def _checked(self, span: Span) -> Sequence[tuple[_Told, Completeness]]:
        asked: dict[TenantId, list[RequestId]] = {}
        for tenant, request in span.requests:
            asked.setdefault(tenant, []).append(request)
        # Whoever closed a log saw that every request had ended.
        for each in await self.logs.deleted():
            asked.pop(each.tenant, None)
        return [
            (
                await self._told(tenant),
                reconcile(ids, await self.logs.actions(tenant, ids)),
            )
            for tenant, ids in asked.items()
        ]

    async def _told(self, tenant: TenantId) -> _Told:
        """A log that is closed, or bent, is told nothing more: the root log is."""
        try:
            closed = await is_closed(self.logs, tenant)
        except HeadBent:
            closed = True
        return tenant, ROOT if closed else tenant


@dataclass(frozen=True, slots=True)
class _Round:
    """What one round says. The same reading gives the same events."""

    span: Span
    read: SourceOffsets
    now: datetime
    skipped: Mapping[int, range]

    def of(
        self, tenant: TenantId, told: TenantId, found: Completeness
    ) -> Iterator[Recorded]:
        """What became of a tenant's requests, and the incident where it is not all.

        It stands on the log of ``told``.
        """
        missing = (*found.unrecorded, *found.unended, *found.twice)
        counted = Reconciled(
            accepted=found.accepted,
            unrecorded=len(found.unrecorded),
            unended=len(found.unended),
            twice=len(found.twice),
            missing=tuple(dict.fromkeys(missing))[:MAX_MISSING],
        )
        status = "complete" if found.complete else "incomplete"
        facts = {"status": status, "completeness": counted}
        yield self._event(tenant, CHECKED, told, **facts)
        if not found.complete:
            yield self._event(tenant, INCIDENT, told, **facts)

    def of_root(self) -> Iterator[Recorded]:
        """Which offsets were read, and those that nobody can read any more."""
        begins, ends = self.span.begins, self.span.ends
        read = {at: range(begin, ends[at]) for at, begin in begins.items()}
        yield self._event(ROOT, CHECKED, ROOT, offsets=_ranges(read))
        if self.span.expired or self.span.anew or self.skipped:
            yield self._event(
                ROOT,
                INCIDENT,
                ROOT,
                status="unread",
                decision=tuple(_unread(self.span, self.skipped)),
                offsets=_ranges({**self.skipped, **self.span.expired}),
            )

    def _event(
        self, tenant: TenantId, action: str, told: TenantId, **facts: Any
    ) -> Recorded:
        read = (self.read.before, *map(sorted, _items(self.read, self.span)))
        attributes = Attributes(
            id=EventId(derived(tenant, action, repr(read))),
            type=AuditRecorded.kind,
            source="/sluice/completeness",
            subject=CHECKED,
            tenant=told,
            time=self.now,
        )
        actor = Actor("system:completeness")
        return Event(attributes, AuditRecorded(action=action, actor=actor, **facts))


def _items(read: SourceOffsets, span: Span) -> Sequence[Collection[tuple[int, int]]]:
    return read.next_offsets.items(), span.ends.items()


def _ranges(read: Mapping[int, range]) -> tuple[OffsetRange, ...]:
    return tuple(
        OffsetRange(partition=at, begin=each.start, end=each.stop)
        for at, each in sorted(read.items())
    )


def _unread(span: Span, gaps: Collection[int]) -> Iterator[Decision]:
    found = (("expired", span.expired), ("made_anew", span.anew), ("skipped", gaps))
    for verdict, partitions in found:
        for at in sorted(partitions):
            yield Decision(
                stage="ledger",
                control="completeness",
                verdict=verdict,
                rule=f"partition_{at}",
            )
