"""A signed ledger of two tenants, and whoever passes over it."""

from dataclasses import dataclass, field
from pathlib import Path

from infra.log import Log
from infra.memory.ledger import MemoryLedger
from infra.signer.ed25519 import FileSigner, PublicKeys, ensure_key
from infra.signer.state import FileState
from infra.system import SystemClock, SystemEntropy
from pipeline.audit import record
from producers.checkpointer import Checkpointer
from producers.fullpass import INCIDENT, FullPass
from schemas.ids import TenantId
from tests.support.audit import NOON, OTHER, TENANT, recorded
from tests.support.bent import BentLedger

CLOCK = SystemClock()


@dataclass
class Passed:
    """Two logs, whoever signs them, and whoever passes over them."""

    ledger: BentLedger
    keys: PublicKeys
    state: FileState
    checkpointer: Checkpointer
    told: list[int] = field(default_factory=list)
    alarms: list[int] = field(default_factory=list)
    standby: MemoryLedger | None = None

    @property
    def worker(self) -> FullPass:
        """The full pass."""
        return FullPass(
            logs=self.ledger,
            ledger=self.ledger,
            keys=self.keys.named,
            state=self.state,
            clock=CLOCK,
            log=Log("test"),
            tell=self.told.append,
            alarm=self.alarms.append,
            standby=self.standby,
        )

    async def incidents(self, tenant: TenantId) -> list[str | None]:
        """What the full pass recorded on a log."""
        rows = await self.ledger.read(tenant, 0, 99)
        found = [record(row.body) for row in rows if row.action == INCIDENT]
        return [each.decision[0].rule for each in found]


async def passed(folder: Path) -> Passed:
    """Five records on each log, signed once."""
    keys = ensure_key(folder, bytes(32), NOON)
    ledger = BentLedger("test.example", SystemEntropy())
    state = FileState(folder / "state")
    checkpointer = Checkpointer(
        ledger=ledger,
        logs=ledger,
        signer=FileSigner(folder, CLOCK),
        state=state,
        clock=CLOCK,
        log=Log("test"),
    )
    for tenant in (TENANT, OTHER):
        await ledger.append([recorded(name, tenant=tenant) for name in "abcde"])
    await checkpointer.round()
    return Passed(ledger, keys, state, checkpointer)
