"""The scheduled full pass: every log recomputed from its bytes, once a day.

What the checkpointer verifies is what is new; a change in an older row is found here
alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from infra.log import Log
from pipeline.audit import ROOT
from pipeline.checkpoint import Checkpoint, VerifyKey
from pipeline.closing import gone
from pipeline.commitments import uncommitted
from pipeline.errors import HeadBent, IntegrityError
from pipeline.passes import full_pass
from pipeline.ports.ledger import Ledger, Logs
from pipeline.ports.signer import SignerState
from pipeline.ports.system import Clock
from pipeline.presence import fewer
from pipeline.verification import Broken
from producers.findings import Finding, recorded
from schemas.ids import TenantId

INCIDENT = "incident.full_pass"


@dataclass(frozen=True, slots=True, kw_only=True)
class FullPass:
    """Passes over each log in turn.

    Attributes:
        keys: the keys of a log, by its origin.
        state: what the signer remembers: it tells of a cut or rewritten history, and
            of a log that is gone.
        tell: is told after each round how many logs do not hold.
        alarm: is told how many findings are new.
        standby: a copy of the same database; each log that it has as far as it was
            signed is read there, so that a pass is no load on the primary.
    """

    logs: Logs
    ledger: Ledger
    keys: Callable[[str], Sequence[VerifyKey]]
    state: SignerState
    clock: Clock
    log: Log
    tell: Callable[[int], None]
    alarm: Callable[[int], None]
    standby: Logs | None = None

    async def round(self) -> bool:
        """Every log once; False: there is no more to do now.

        Raises:
            IntegrityError: a log does not hold, or is gone. There is a record of each,
                with the first sequence number; all others had their turn.
        """
        signed = await self._signed()
        found = [await self._one(each) for each in await self.logs.tenants()]
        findings = [each for each in found if each]
        findings += [_gone(each) for each in await gone(self.logs, signed, self.keys)]
        findings += [_fewer(seq) for seq in [await fewer(self.logs)] if seq is not None]
        self.tell(len(findings))
        if findings:
            self.alarm(await self._recorded(findings))
            raise IntegrityError("a log does not hold", "full_pass")
        return False

    async def _signed(self) -> Sequence[Checkpoint]:
        origins = await self.state.origins()
        found = [await self.state.last(each) for each in origins]
        return [each.checkpoint for each in found if each]

    async def _recorded(self, findings: Sequence[Finding]) -> int:
        """How many of them are new."""
        return sum([await self._new(each) for each in findings])

    async def _new(self, found: Finding) -> bool:
        now = self.clock.now()
        try:
            return await recorded(self.ledger, found, INCIDENT, "full_pass", now)
        except HeadBent:
            return True  # the root log takes no record: it is told with each pass

    async def _one(self, tenant: TenantId) -> Finding | None:
        try:
            return await self._passed(tenant)
        except HeadBent:
            self.log.error("log_broken", tenant=tenant)  # noqa: TRY400
            return Finding(tenant, f"{tenant} head", "broken", "head")

    async def _passed(self, tenant: TenantId) -> Finding | None:
        head = await self.logs.head(tenant)
        if head is None:
            return None  # it went meanwhile: the signer remembers it
        last = await self.state.last(head.origin)
        outside = [last.note] if last else []
        logs = await self._read(tenant, last.checkpoint.size if last else 0)
        report = await full_pass(logs, tenant, self.keys(head.origin), outside)
        broken = report.broken if report else None
        # Where a standby is read, the root log there may be behind this one.
        broken = broken or await uncommitted(self.logs, tenant)
        if broken is None or await self.logs.head(tenant) is None:
            return None  # it went while it was read, and so it does not hold
        self.log.error("log_broken", tenant=tenant, seq=broken.seq)
        return _broken(tenant, broken)

    async def _read(self, tenant: TenantId, signed: int) -> Logs:
        """Where a log is read. What a standby has not received yet is not missing."""
        copy = await self.standby.head(tenant) if self.standby else None
        behind = copy is None or copy.size < signed
        return self.logs if behind or self.standby is None else self.standby


def _broken(tenant: TenantId, found: Broken) -> Finding:
    what = f"{tenant} {found.seq} {found.reason}"
    return Finding(tenant, what, "broken", f"record_{found.seq}")


def _gone(origin: str) -> Finding:
    """The root log has it, and names no log: a hash stands for the origin."""
    digest = sha256(origin.encode()).hexdigest()
    return Finding(ROOT, digest, "gone", f"log_{digest[:32]}")


def _fewer(seq: int) -> Finding:
    return Finding(ROOT, f"heartbeat {seq}", "fewer_logs", f"record_{seq}")
