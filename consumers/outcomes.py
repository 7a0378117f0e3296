"""Writes the one end of each request."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pipeline.announcements import due, of_end
from pipeline.ports.bus import Record
from pipeline.ports.requests import Requests
from pipeline.ports.system import Clock
from pipeline.ports.webhooks import Deliveries
from pipeline.trail import Step, recorded
from schemas.audit import AuditRecorded
from schemas.events import Event
from schemas.ids import RequestId
from schemas.requests import RequestFinished, Terms
from schemas.topics import WEBHOOKS_DUE, Outgoing
from schemas.webhooks import WebhookDue

SOURCE: Final = "/sluice/outcomes"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomesConsumer:
    """The first end wins; only the winner is recorded as terminal."""

    requests: Requests
    deliveries: Deliveries
    clock: Clock

    async def handle(
        self, batch: Sequence[tuple[Record, Event[RequestFinished]]]
    ) -> Sequence[Outgoing[Any]]:
        """The terminal records of those whose end this is."""
        events = [event for _, event in batch]
        won = await self.requests.finish(events)
        ends = [
            (event, terms)
            for event, first in zip(events, won, strict=True)
            if first and (terms := event.data.terms or await self._admitted(event))
        ]
        recorded = [self._recorded(event, terms) for event, terms in ends]
        return [*recorded, *await self._announced(ends)]

    async def _announced(
        self, ends: Sequence[tuple[Event[RequestFinished], Terms]]
    ) -> Sequence[Outgoing[WebhookDue]]:
        """Messages are kept with their deliveries before anybody is told of them."""
        told = [(each, end.attributes) for end, by in ends for each in of_end(end, by)]
        causes = {each.id: cause for each, cause in told}
        now, found = self.clock.now(), [each for each, _ in told]
        return [
            due(
                each,
                WEBHOOKS_DUE,
                source=SOURCE,
                now=now,
                at=now,
                cause=causes.get(each.message_id or ""),
            )
            for each in await self.deliveries.announce(found)
        ]

    def _recorded(
        self, event: Event[RequestFinished], terms: Terms
    ) -> Outgoing[AuditRecorded]:
        data = event.data
        step = Step(
            action=f"request.{data.outcome}",
            status=data.reason or "ok",
            decisions=data.decisions,
            guards_ran=data.guards_ran,
            usage=data.usage,
            model=data.model,
            looked=data.looked,
        )
        now = self.clock.now()
        return recorded(event.attributes, terms, step, source=SOURCE, now=now)

    async def _admitted(self, event: Event[RequestFinished]) -> Terms | None:
        """The terms of a request whose event lost them: those of its row."""
        attributes = event.attributes
        state = await self.requests.get(
            attributes.tenant, RequestId(attributes.subject)
        )
        return None if state is None else state.terms
