"""Tells a log of an operator's act, in the transaction of the act."""

from dataclasses import dataclass
from typing import Final

from infra.postgres.outbox import put
from infra.postgres.pool import Connection
from pipeline.acts import Act, acted
from pipeline.ports.system import Clock, Entropy
from schemas.ids import Actor, TenantId

SOURCE: Final = "/sluice/operator"


@dataclass(frozen=True, slots=True)
class Teller:
    """One operator.

    Attributes:
        actor: who acts, as the ledger names them.
    """

    clock: Clock
    entropy: Entropy
    actor: Actor

    async def tell(
        self,
        connection: Connection,
        tenant: TenantId,
        action: str,
        about: str,
        model: str | None = None,
    ) -> None:
        """Leave the record of an act in the outbox."""
        await put(connection, acted(self.act(tenant, action, about, model)))

    def act(
        self, tenant: TenantId, action: str, about: str, model: str | None = None
    ) -> Act:
        """What the operator does now."""
        return Act(
            id=self.entropy.uuid7(),
            tenant=tenant,
            actor=self.actor,
            stage="operator",
            action=action,
            about=about,
            source=SOURCE,
            at=self.clock.now(),
            model=model,
        )
