"""Jobs of forgetting in memory."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from typing_extensions import override

from pipeline.keystore import Partition
from pipeline.ports.keys import KeyRef
from pipeline.ports.retention import Plan, Purges
from pipeline.receipts import unverified
from schemas.events import timestamp
from schemas.ids import EventId, RequestId, TenantId
from schemas.requests import Arrival
from schemas.retention import Target

Job = tuple[TenantId, EventId]
Row = tuple[TenantId, RequestId]


@dataclass(frozen=True, slots=True)
class MemoryPurges(Purges):
    """Rows in one table.

    Attributes:
        rows: which requests left something in it.
        days: of which requests the keys are of which class and day, by its name.
        samples: a sealed answer under a key of a class and day.
        arrived: which requests came by the inbox, how, and when they were accepted.
    """

    rows: set[Row] = field(default_factory=set)
    days: dict[Row, str] = field(default_factory=dict)
    samples: dict[tuple[TenantId, str], tuple[KeyRef, bytes]] = field(
        default_factory=dict
    )
    arrived: dict[Row, tuple[Arrival, datetime]] = field(default_factory=dict)
    _plans: dict[Job, Plan] = field(default_factory=dict)
    _deleted: Counter[Job] = field(default_factory=Counter)
    _receipts: dict[Job, str] = field(default_factory=dict)

    @override
    async def begin(self, plan: Plan) -> Plan:
        return self._plans.setdefault((plan.tenant, plan.job), plan)

    @override
    async def sample(
        self, tenant: TenantId, partition: Partition
    ) -> tuple[KeyRef, bytes] | None:
        return self.samples.get((tenant, partition.name))

    def _of(self, plan: Plan) -> set[Row]:
        if plan.scope.kind == "class":
            return {
                row
                for row, day in self.days.items()
                if (row[0], day) == (plan.tenant, plan.scope.ref)
            }
        return {(plan.tenant, each) for each in plan.requests}

    @override
    async def delete_rows(self, plan: Plan) -> Sequence[Target]:
        gone = self.rows & self._of(plan)
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
    async def arrivals(self, plan: Plan) -> Mapping[Arrival, datetime]:
        rows = self._of(plan)
        found = sorted(
            (at, how) for row, (how, at) in self.arrived.items() if row in rows
        )
        return {how: at for at, how in found}

    @override
    async def finish(self, plan: Plan, receipt: str) -> str:
        return self._receipts.setdefault((plan.tenant, plan.job), receipt)

    @override
    async def receipts_since(self, tenant: TenantId, since: datetime) -> Sequence[str]:
        return [
            token
            for token in await self.receipts(tenant)
            if unverified(token).completed_at >= timestamp(since)
        ]

    @override
    async def receipts(self, tenant: TenantId) -> Sequence[str]:
        return [each for (whose, _), each in self._receipts.items() if whose == tenant]
