"""The scheduled pass over content: does it open where it must, and nowhere else?"""

from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.forgetting import STILL_THERE, Fetch, content_pass
from pipeline.ports.ledger import Ledger, Logs
from pipeline.ports.system import Clock
from pipeline.verification import Broken
from producers.findings import Finding, recorded
from schemas.ids import TenantId

INCIDENT = "incident.content"
Suspect = tuple[TenantId, Broken]


@dataclass(slots=True, kw_only=True)
class ContentPass:
    """Holds the keys of every log against what the log says was destroyed.

    A record may reach the log a while after the key went, so only what two rounds find
    is an incident.

    Attributes:
        alarm: is told how many findings are new.
    """

    logs: Logs
    ledger: Ledger
    fetch: Fetch
    clock: Clock
    alarm: Callable[[int], None]
    _suspects: frozenset[Suspect] = field(default=frozenset(), init=False)

    async def round(self) -> bool:
        """Every log once; False: there is no more to do now.

        Raises:
            RetryableError: the ledger or the keystore is away.
        """
        found = [
            (tenant, broken)
            for tenant in await self.logs.tenants()
            for broken in await content_pass(self.logs, tenant, self.fetch)
        ]
        sure = [each for each in found if each in self._suspects]
        if sure:
            now = self.clock.now()
            made = [
                await recorded(
                    self.ledger, _finding(*each), INCIDENT, "content_pass", now
                )
                for each in sure
            ]
            if new := sum(made):
                self.alarm(new)
        self._suspects = frozenset(found)
        return False


def _finding(tenant: TenantId, found: Broken) -> Finding:
    verdict = "still_opens" if found.reason == STILL_THERE else "does_not_open"
    what = f"{tenant} {found.seq} {verdict}"
    return Finding(tenant, what, verdict, f"record_{found.seq}")
