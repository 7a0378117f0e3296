"""Deletes what nobody can open any more, because its key's time is over."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from pipeline.ports.retention import ExpiredRows
from pipeline.ports.system import Clock
from pipeline.retention import last_expired
from schemas.ids import TenantId

BATCH: Final = 1_000
"""Rows a transaction changes at most: it holds no lock for long."""
ROUND_S: Final = 60.0
"""A round ends after so long, and the next goes on at once."""
CALLS_KEPT: Final = timedelta(days=1)
"""No deadline is further away than an hour, and past it no result is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """A timed worker, safe in several copies: rows that another holds are left."""

    rows: ExpiredRows
    tenants: Callable[[], Awaitable[Collection[TenantId]]]
    clock: Clock

    async def round(self) -> bool:
        """Answers by class and day of their keys, results of calls by age.

        True: the time was up before all was done.
        """
        until = self.clock.monotonic() + ROUND_S
        for tenant in await self.tenants():
            while await self._some(tenant):
                if self.clock.monotonic() > until:
                    return True
        return False

    async def _some(self, tenant: TenantId) -> bool:
        now = self.clock.now()
        answers = await self.rows.answers(tenant, last_expired(now), BATCH)
        calls = await self.rows.calls(tenant, now - CALLS_KEPT, BATCH)
        return max(answers, calls) >= BATCH
