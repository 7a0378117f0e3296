"""Requests and claims on provider calls, in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from typing_extensions import override

from pipeline.keystore import TRANSIENT, KeyId
from pipeline.ports.keys import KeyRef
from pipeline.ports.requests import (
    Done,
    Fresh,
    Held,
    Known,
    NewRequest,
    Overdue,
    ProviderCalls,
    Requests,
    RequestState,
    Spent,
    Sweep,
    Taken,
)
from pipeline.ports.system import Clock
from schemas.events import Event
from schemas.ids import RequestId, TenantId
from schemas.requests import RequestFinished

Name = tuple[TenantId, RequestId]
MAX_TAKES = 2


@dataclass(frozen=True, slots=True)
class MemoryRequests(Requests, Sweep):
    """Rows in a dictionary."""

    rows: dict[Name, RequestState] = field(default_factory=dict)
    _fingerprints: dict[Name, bytes] = field(default_factory=dict)

    @override
    async def admit(self, request: NewRequest) -> Fresh | Known:
        name = request.tenant_id, request.request_id
        if name in self.rows:
            return Known(self.rows[name].terms, self._fingerprints.get(name, b""))
        self._fingerprints[name] = request.fingerprint
        self.rows[name] = RequestState(
            tenant_id=request.tenant_id,
            request_id=request.request_id,
            accepted_at=request.accepted_at,
            terms=request.terms,
            finished_at=None,
            finished_by=None,
            finished=None,
        )
        return Fresh()

    @override
    async def finish(self, events: Sequence[Event[RequestFinished]]) -> Sequence[bool]:
        return [self._finish(event) for event in events]

    def _finish(self, event: Event[RequestFinished]) -> bool:
        attributes, end = event.attributes, event.data
        name = attributes.tenant, RequestId(attributes.subject)
        row = self.rows.get(name)
        if row is None and end.terms is None:
            return True  # it ends what was admitted, and nothing was
        if row is None and end.terms is not None:
            row = RequestState(
                tenant_id=name[0],
                request_id=name[1],
                accepted_at=attributes.time,
                terms=end.terms,
                finished_at=None,
                finished_by=None,
                finished=None,
            )
        if row is not None and row.finished is None:
            row = replace(
                row,
                finished_at=attributes.time,
                finished_by=attributes.id,
                finished=end,
            )
            self.rows[name] = row
        return row is not None and row.finished_by == attributes.id

    @override
    async def get(self, tenant: TenantId, request: RequestId) -> RequestState | None:
        return self.rows.get((tenant, request))

    def ended(self, tenant: TenantId, request: RequestId) -> bool:
        """Has it its end?"""
        row = self.rows.get((tenant, request))
        return row is not None and row.finished is not None

    @override
    async def overdue(self, before: datetime, limit: int) -> Sequence[Overdue]:
        return [
            Overdue(row.tenant_id, row.request_id, row.terms)
            for row in self.rows.values()
            if row.finished is None and row.terms.deadline < before
        ][:limit]

    @override
    async def transient(self, since: datetime, until: datetime) -> Sequence[TenantId]:
        return sorted({ref.tenant_id for ref in await self.passing(since, until)})

    @override
    async def passing(self, since: datetime, until: datetime) -> Sequence[KeyRef]:
        return [
            KeyRef(row.tenant_id, row.request_id, KeyId(row.terms.key_id))
            for row in self.rows.values()
            if row.terms.retention.retention_class == TRANSIENT.name
            and since < row.terms.deadline <= until
        ]


@dataclass(slots=True)
class Claim:
    """On one call; without a result it is held until then."""

    until: datetime
    takes: int = 1
    result: bytes | None = None


@dataclass(frozen=True, slots=True)
class MemoryProviderCalls(ProviderCalls):
    """Claims in a dictionary, on a clock that a test may move.

    Attributes:
        requests: whose ends are heeded.
    """

    clock: Clock
    requests: MemoryRequests = field(default_factory=MemoryRequests)
    taken: dict[Name, Claim] = field(default_factory=dict)

    @override
    async def take(
        self, tenant: TenantId, request: RequestId, lease: timedelta
    ) -> Taken | Held | Done | Spent:
        now = self.clock.now()
        call = self.taken.get((tenant, request))
        ended = self.requests.ended(tenant, request)
        if call is None and not ended:
            self.taken[tenant, request] = Claim(now + lease)
            return Taken(again=False)
        if call is None:
            return Spent()
        if call.result is not None:
            return Done(call.result)
        if call.until >= now:
            return Held(call.until)
        if call.takes >= MAX_TAKES or ended:
            return Spent()
        call.takes, call.until = call.takes + 1, now + lease
        return Taken(again=True)

    @override
    async def renew(
        self, tenant: TenantId, request: RequestId, lease: timedelta
    ) -> bool:
        call = self.taken.get((tenant, request))
        if call is None or call.result is not None:
            return False
        call.until = self.clock.now() + lease
        return True

    @override
    async def done(self, tenant: TenantId, request: RequestId, result: bytes) -> bytes:
        call = self.taken.setdefault((tenant, request), Claim(self.clock.now()))
        if call.result is None:
            call.result = result
        return call.result

    @override
    async def begun(self, tenant: TenantId, request: RequestId) -> bool:
        return (tenant, request) in self.taken
