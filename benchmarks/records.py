"""Records of a usual size, for the ledger's rates."""

from collections.abc import Iterator, Sequence

from infra.system import SystemClock, SystemEntropy
from pipeline.audit import Recorded
from schemas.audit import AuditRecorded
from schemas.events import Attributes, Event
from schemas.ids import Actor, RequestId, TenantId, event_id
from schemas.requests import Decision, PolicyRef

ENTROPY, CLOCK = SystemEntropy(), SystemClock()
DECISIONS = tuple(
    Decision(stage="screening", control=guard, verdict="allowed")
    for guard in ("phrases", "secrets", "pii")
)


def events(tenants: Sequence[TenantId]) -> Iterator[Recorded]:
    """Records of a usual size, tenant after tenant, without end."""
    policy = PolicyRef(id="default", version=1, sha256="0" * 64)
    guards = ("phrases", "secrets", "pii")
    while True:
        for tenant in tenants:
            request = RequestId(ENTROPY.uuid7())
            attributes = Attributes(
                id=event_id(request, "bench"),
                type=AuditRecorded.kind,
                source="/sluice/bench",
                subject=request,
                tenant=tenant,
                time=CLOCK.now(),
            )
            data = AuditRecorded(
                action="request.screened",
                actor=Actor("key:bench"),
                status="allowed",
                request_id=request,
                decision=DECISIONS,
                guards_required=guards,
                guards_ran=guards,
                policy=policy,
                model="bench-1",
            )
            yield Event(attributes, data)


def new_tenants(count: int) -> list[TenantId]:
    return [TenantId(ENTROPY.uuid7()) for _ in range(count)]
