"""Tells subscribers of incidents that were found by whoever may tell nobody.

The scheduled passes record what they find on the logs. Here that is read, so the signer
needs no right to subscribers' rows, and what was recorded while this was down is told.
So is what an append found, whose appender tells of it behind the append.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pipeline.announcements import of_incident
from pipeline.erasures import every
from pipeline.ports.ledger import Logs
from pipeline.ports.system import Clock
from pipeline.ports.webhooks import Deliveries, Message
from pipeline.querying import Query
from schemas.ids import TenantId

TOLD: Final = (
    "incident.full_pass",
    "incident.content",
    "incident.second_terminal",
    "incident.coverage",
)
"""Incidents that are recorded by whoever tells nobody, or may die before it does."""
TOLD_FOR: Final = timedelta(hours=24)
"""Less than messages are kept: the same message again changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incidents:
    """Announces the incidents of the last day; each message is kept once."""

    logs: Logs
    deliveries: Deliveries
    clock: Clock

    async def round(self) -> bool:
        """Every log once; False: there is no more to do now.

        Raises:
            RetryableError: the database is away; the next round goes on.
        """
        now = self.clock.now()
        found = [
            message
            for tenant in await self.logs.tenants()
            for message in await self._of(tenant, now)
        ]
        await self.deliveries.announce(found)
        return False

    async def _of(self, tenant: TenantId, now: datetime) -> Sequence[Message]:
        since = now - TOLD_FOR
        return [
            message
            for action in TOLD
            async for row in every(self.logs, tenant, Query(action=action, since=since))
            for message in of_incident(
                tenant, row.event_id, datetime.fromisoformat(row.ts)
            )
        ]
