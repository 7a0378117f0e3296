"""Attempts deliveries: claimed, signed anew, sent, settled."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from pipeline.announcements import due, named
from pipeline.egress import EgressRules, Forbidden, target
from pipeline.endpoint_secrets import EndpointSecrets
from pipeline.errors import KeyDestroyed, NotYet
from pipeline.ports.system import Clock, Entropy, Hold
from pipeline.ports.webhooks import Claimed, Deliveries, Due, Sender, Settled
from pipeline.webhooks import SCHEDULE, Again, Attempt, by_topic, headers
from schemas.events import Event
from schemas.topics import (
    WEBHOOKS_DUE,
    WEBHOOKS_RETRY_5M,
    WEBHOOKS_RETRY_5S,
    Outgoing,
    Topic,
)
from schemas.webhooks import WebhookDue

SOURCE: Final = "/sluice/webhooks"
LEASE: Final = timedelta(seconds=60)
SPILL: Final = (1.0, 5.0)
"""Seconds, spread: what its lane had no room for comes back through the sweeper."""
_TOPICS: Final[dict[timedelta | None, Topic[WebhookDue]]] = {
    SCHEDULE[1]: WEBHOOKS_RETRY_5S,
    SCHEDULE[2]: WEBHOOKS_RETRY_5M,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhooksConsumer:
    """One attempt an event. Keys and address are those of the moment.

    Attributes:
        hold: open as long as a database did not answer; an endpoint takes its time.
    """

    deliveries: Deliveries
    secrets: EndpointSecrets
    sender: Sender
    rules: EgressRules
    clock: Clock
    entropy: Entropy
    hold: Hold

    async def handle(
        self, event: Event[WebhookDue], _: None = None
    ) -> Sequence[Outgoing[Any]]:
        """What follows: the next attempt where a topic brings it back."""
        now = self.clock.now()
        with self.hold():
            claimed = await self.deliveries.claim(named(event), now, LEASE)
        if claimed is None:
            return ()
        began = self.clock.monotonic()
        try:
            seen = await self._attempt(claimed)
        except KeyDestroyed:
            with self.hold():
                await self.deliveries.end(claimed.due, "erased")
            return ()
        took = timedelta(seconds=self.clock.monotonic() - began)
        with self.hold():
            settled = await self.deliveries.settle(
                claimed.due,
                seen,
                took=took,
                now=self.clock.now(),
                jitter=self.entropy.uniform(0, 1),
                asked=claimed.url_sealed,
            )
        now = self.clock.now()
        others = [
            due(each, WEBHOOKS_DUE, source=SOURCE, now=now, at=now)
            for each in settled.told
        ]
        return [*self._again(claimed.due, settled), *others]

    async def overflow(
        self, event: Event[WebhookDue], _: None = None
    ) -> Sequence[Outgoing[Any]]:
        """Its endpoint's lane is full: it spills into the database."""
        spread = timedelta(seconds=self.entropy.uniform(*SPILL))
        with self.hold():
            await self.deliveries.park(named(event), self.clock.now() + spread)
        return ()

    async def _attempt(self, claimed: Claimed) -> Attempt:
        tenant, endpoint = claimed.due.tenant_id, claimed.due.endpoint_id
        with self.hold():
            url = await self.secrets.url(tenant, endpoint, claimed.url_sealed)
        place = target(url, self.rules)
        if isinstance(place, Forbidden):
            return Attempt(status=None, error="target_forbidden")
        with self.hold():
            keys = await self.secrets.opened(tenant, claimed.secrets)
        signed = headers(keys, claimed.message_id, self.clock.now(), claimed.body)
        return await self.sender.send(place.url, signed, claimed.body)

    def _again(self, done: Due, settled: Settled) -> Sequence[Outgoing[Any]]:
        again = settled.next
        topic = _TOPICS.get(by_topic(again)) if isinstance(again, Again) else None
        if not isinstance(again, Again) or topic is None:
            return ()
        now, follows = self.clock.now(), replace(done, attempt=again.attempt)
        return [due(follows, topic, source=SOURCE, now=now, at=now + again.delay)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetriesConsumer:
    """Brings back what a delaying topic held, once it is due."""

    clock: Clock

    async def handle(
        self, event: Event[WebhookDue], _: None = None
    ) -> Sequence[Outgoing[WebhookDue]]:
        """The same attempt, now.

        Raises:
            NotYet: it is due later, and so is all behind it.
        """
        now = self.clock.now()
        left = (event.data.not_before - now).total_seconds()
        if left > 0:
            raise NotYet(left)
        return [due(named(event), WEBHOOKS_DUE, source=SOURCE, now=now, at=now)]


def lane(event: Event[WebhookDue]) -> str:
    """The endpoint: one that hangs holds up itself alone."""
    return event.attributes.subject
