"""A ledger on which the ends of some logs are bent, as a superuser could bend them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from typing_extensions import override

from infra.memory.ledger import MemoryLedger
from pipeline.audit import Head, Recorded
from pipeline.errors import HeadBent
from pipeline.sequencing import Growth
from schemas.ids import TenantId


@dataclass(frozen=True)
class BentLedger(MemoryLedger):
    """The twin; of the logs of ``bent`` the end can neither be read nor grow."""

    bent: set[TenantId] = field(default_factory=set)

    @override
    async def head(self, tenant: TenantId) -> Head | None:
        self._straight(tenant)
        return await MemoryLedger.head(self, tenant)

    @override
    def _grow(self, tenant: TenantId, events: Sequence[Recorded]) -> Growth:
        self._straight(tenant)
        return MemoryLedger._grow(self, tenant, events)

    def _straight(self, tenant: TenantId) -> None:
        if tenant in self.bent:
            raise HeadBent(self._heads[tenant].origin)
