"""Appends what happened to the ledger."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pipeline.announcements import due, of_incident
from pipeline.coverage import uncovered
from pipeline.ports.bus import Record
from pipeline.ports.ledger import Ledger, SourceOffsets
from pipeline.ports.system import Clock
from pipeline.ports.webhooks import Deliveries
from schemas.audit import AuditRecorded
from schemas.events import Event
from schemas.ids import EventId
from schemas.topics import AUDIT_RECORDED, WEBHOOKS_DUE, Outgoing

SOURCE: Final = "/sluice/audit"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditConsumer:
    """One transaction a batch; what it appended is on the ledger before the commit.

    Attributes:
        alarm: told how many incidents the ledger recorded on its own account: a second
            end of a request, a guard that was required and did not run.
    """

    ledger: Ledger
    deliveries: Deliveries
    clock: Clock
    alarm: Callable[[int], None]

    async def handle(
        self, batch: Sequence[tuple[Record, Event[AuditRecorded]]]
    ) -> Sequence[Outgoing[Any]]:
        """Nothing follows an append, but that subscribers are told of incidents."""
        ends = {record.partition: record.offset + 1 for record, _ in batch}
        source = SourceOffsets(AUDIT_RECORDED.name, ends)
        appended = await self.ledger.append([event for _, event in batch], source)
        if not appended.incidents:
            return ()
        self.alarm(len(appended.incidents))
        events = [event for _, event in batch]
        return await self._announced(events, set(appended.incidents))

    async def _announced(
        self, events: Sequence[Event[AuditRecorded]], incidents: Collection[EventId]
    ) -> Sequence[Outgoing[Any]]:
        own = (incident for event in events if (incident := uncovered(event)))
        now = self.clock.now()
        messages = [
            message
            for each in (*events, *own)
            if each.attributes.id in incidents
            for message in of_incident(each.attributes.tenant, each.attributes.id, now)
        ]
        return [
            due(each, WEBHOOKS_DUE, source=SOURCE, now=now, at=now)
            for each in await self.deliveries.announce(messages)
        ]

    async def offsets(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """Behind what the last append took."""
        known = (await self.ledger.source(AUDIT_RECORDED.name)).next_offsets
        return {place: known[place] for place in partitions if place in known}
