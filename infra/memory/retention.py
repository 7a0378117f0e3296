"""Jobs of forgetting in memory."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from typing_extensions import override

from pipeline.keystore import KeyId
from pipeline.ports.retention import Plan, Purges
from pipeline.receipts import unverified
from schemas.events import timestamp
from schemas.ids import EventId, RequestId, TenantId
from schemas.retention import Target

Job = tuple[TenantId, EventId]


@dataclass(frozen=True, slots=True)
class MemoryPurges(Purges):
    """``rows`` says which requests left something in the one table there is."""

    rows: set[tuple[TenantId, RequestId]] = field(default_factory=set)
    _plans: dict[Job, Plan] = field(default_factory=dict)
    _deleted: Counter[Job] = field(default_factory=Counter)
    _receipts: dict[Job, str] = field(default_factory=dict)

    @override
    async def begin(self, plan: Plan) -> Plan:
        return self._plans.setdefault((plan.tenant, plan.job), plan)

    @override
    async def delete_rows(self, plan: Plan) -> Sequence[Target]:
        gone = self.rows & {(plan.tenant, each) for each in plan.requests}
        self.rows.difference_update(gone)
        self._deleted[plan.tenant, plan.job] += len(gone)
        return [
            Target(
                store="postgres",
                object="request",
                method="delete",
                deleted=self._deleted[plan.tenant, plan.job],
                remaining=0,
            )
        ]

    @override
    async def finish(self, plan: Plan, receipt: str) -> str:
        return self._receipts.setdefault((plan.tenant, plan.job), receipt)

    @override
    async def destroyed_since(
        self, tenant: TenantId, since: datetime
    ) -> Collection[KeyId]:
        return [
            KeyId(key_id)
            for token in await self.receipts(tenant)
            if (stated := unverified(token)).completed_at >= timestamp(since)
            for key_id in stated.keys
        ]

    @override
    async def receipts(self, tenant: TenantId) -> Sequence[str]:
        return [each for (whose, _), each in self._receipts.items() if whose == tenant]
