"""Brings due deliveries back to their topic, and forgets old messages."""

from dataclasses import dataclass
from typing import Final

from pipeline.announcements import due
from pipeline.ports.bus import Publisher
from pipeline.ports.system import Clock
from pipeline.ports.webhooks import Deliveries
from pipeline.webhooks import KEPT
from schemas.topics import WEBHOOKS_DUE

SOURCE: Final = "/sluice/webhooks"
BATCH: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class DueWebhooks:
    """A timed worker, safe in several copies: each row is taken by one."""

    deliveries: Deliveries
    publisher: Publisher
    clock: Clock

    async def round(self) -> bool:
        """Publish what is due; True: there is more.

        Raises:
            RetryableError: something is away; what was taken is due again in a minute.
        """
        now = self.clock.now()
        found = await self.deliveries.sweep(now, BATCH)
        await self.publisher.publish(
            [due(each, WEBHOOKS_DUE, source=SOURCE, now=now, at=now) for each in found]
        )
        return len(found) >= BATCH

    async def forget(self) -> bool:
        """Delete what is old enough."""
        await self.deliveries.forget(self.clock.now() - KEPT)
        return False
