"""The scheduled full pass: every log recomputed from its bytes, once a day.

What the checkpointer verifies is what is new; a change in an older row is found here
alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from infra.log import Log
from pipeline.audit import Recorded
from pipeline.checkpoint import VerifyKey
from pipeline.errors import IntegrityError
from pipeline.passes import full_pass
from pipeline.ports.ledger import Ledger, Logs
from pipeline.ports.signer import SignerState
from pipeline.ports.system import Clock
from pipeline.verification import Broken
from schemas.audit import AuditRecorded
from schemas.events import Attributes, Event
from schemas.ids import Actor, TenantId, event_id
from schemas.requests import Decision

INCIDENT = "incident.full_pass"


@dataclass(frozen=True, slots=True, kw_only=True)
class FullPass:
    """Passes over each log in turn.

    Attributes:
        keys: the keys of a log, by its origin.
        state: what the signer remembers: it tells of a cut or rewritten history.
        tell: is told after each round how many logs do not hold.
    """

    logs: Logs
    ledger: Ledger
    keys: Callable[[str], Sequence[VerifyKey]]
    state: SignerState
    clock: Clock
    log: Log
    tell: Callable[[int], None]

    async def round(self) -> bool:
        """Every log once; False: there is no more to do now.

        Raises:
            IntegrityError: a log does not hold. Each that does not has a record of it,
                with the first sequence number; all others had their turn.
        """
        passed = [(each, await self._one(each)) for each in await self.logs.tenants()]
        broken = [(tenant, found) for tenant, found in passed if found is not None]
        self.tell(len(broken))
        for tenant, found in broken:
            self.log.error("log_broken", tenant=tenant, seq=found.seq)
        if broken:
            await self.ledger.append([self._incident(*each) for each in broken])
            raise IntegrityError("a log does not hold", "full_pass")
        return False

    async def _one(self, tenant: TenantId) -> Broken | None:
        head = await self.logs.head(tenant)
        if head is None:
            return Broken(0, "the log is gone")
        signed = await self.state.last(head.origin)
        outside = [signed.note] if signed else []
        report = await full_pass(self.logs, tenant, self.keys(head.origin), outside)
        return report.broken if report else Broken(0, "the log is gone")

    def _incident(self, tenant: TenantId, found: Broken) -> Recorded:
        """The same finding gives the same event: it is recorded once, not each day."""
        attributes = Attributes(
            id=event_id(f"{tenant} {found.seq} {found.reason}", INCIDENT),
            type=AuditRecorded.kind,
            source="/sluice/full_pass",
            subject=INCIDENT,
            tenant=tenant,
            time=self.clock.now(),
        )
        said = Decision(
            stage="ledger",
            control="full_pass",
            verdict="broken",
            rule=f"record_{found.seq}",
        )
        data = AuditRecorded(
            action=INCIDENT,
            actor=Actor("system:full_pass"),
            status="broken",
            decision=(said,),
        )
        return Event(attributes, data)
