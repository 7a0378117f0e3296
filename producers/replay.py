"""Erasures outlive the keystore: what a restored backup brings back goes again."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from pipeline.ports.keys import KeyKeeper
from pipeline.ports.retention import Purges
from pipeline.ports.system import Clock
from pipeline.receipts import BACKUP_HORIZON
from schemas.ids import TenantId

SINCE = BACKUP_HORIZON + timedelta(days=1)
"""No backup is older than the horizon, so no older receipt can be undone by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A timed worker. After a restore, run a round before anything else starts."""

    keeper: KeyKeeper
    purges: Purges
    tenants: Callable[[], Awaitable[Sequence[TenantId]]]
    clock: Clock

    async def round(self) -> bool:
        """Destroy what receipts say is gone; nothing, unless a backup was restored."""
        since = self.clock.now() - SINCE
        for tenant in await self.tenants():
            gone = await self.purges.destroyed_since(tenant, since)
            if gone:
                await self.keeper.destroy_keys(tenant, gone)
        return False
