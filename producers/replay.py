"""Erasures outlive the keystore: what a restored backup brings back goes again."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from pipeline.errors import IntegrityError
from pipeline.keystore import KeyId
from pipeline.ports.keys import KeyKeeper
from pipeline.ports.retention import Purges
from pipeline.ports.system import Clock
from pipeline.receipts import BACKUP_HORIZON
from schemas.ids import TenantId
from schemas.retention import Receipt

SINCE = BACKUP_HORIZON + timedelta(days=1)
"""No backup is older than the horizon, so no older receipt can be undone by one."""
PART = 50
"""Receipts that are read at once: each may name thousands of keys."""
BATCH = 1_000
"""Keys that are destroyed at once, so that no transaction holds a lock for long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A timed worker. After a restore, run a round before anything else starts.

    Attributes:
        stated: what each receipt says; None: our key did not sign it.
    """

    keeper: KeyKeeper
    purges: Purges
    stated: Callable[[Sequence[str]], Awaitable[Sequence[Receipt | None]]]
    tenants: Callable[[], Awaitable[Sequence[TenantId]]]
    clock: Clock

    async def round(self) -> bool:
        """Destroy what receipts say is gone; nothing, unless a backup was restored.

        Raises:
            IntegrityError: our key did not sign a receipt, and nothing was destroyed
                by its word: whoever may write to a tenant's rows could name any key.
                What all others say was done.
        """
        since = self.clock.now() - SINCE
        odd = 0
        for tenant in await self.tenants():
            tokens = await self.purges.receipts_since(tenant, since)
            for at in range(0, len(tokens), PART):
                odd += await self._replayed(tenant, tokens[at : at + PART])
        if odd:
            raise IntegrityError("expected receipts that our key signed", "receipt")
        return False

    async def _replayed(self, tenant: TenantId, tokens: Sequence[str]) -> int:
        """Destroy what these receipts say is gone; how many our key did not sign."""
        found = [each for each in await self.stated(tokens) if each is not None]
        gone = [KeyId(key_id) for each in found for key_id in each.keys]
        for at in range(0, len(gone), BATCH):
            await self.keeper.destroy_keys(tenant, gone[at : at + BATCH])
        return len(tokens) - len(found)
