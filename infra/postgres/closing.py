"""The end of a tenant: frozen, then closed with its log, then the log deleted."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

from infra.postgres.admin import TENANT_STATE, Admin
from infra.postgres.deletion import deleting
from infra.postgres.logs import PostgresLogs
from infra.postgres.outbox import put
from infra.postgres.pool import Connection, as_steward, become
from pipeline.acts import acted
from pipeline.audit import ROOT
from pipeline.closing import Keys, closing, kept_of
from pipeline.errors import SluiceError
from pipeline.ports.ledger import Deleted
from schemas.audit import CLOSED
from schemas.ids import TenantId

SETTLED: Final = timedelta(minutes=15)
"""How long a tenant must have been frozen: what it did before is on its log by then."""

THAWED: Final = (
    "expected a tenant that stays frozen: its keys are destroyed, and it was thawed"
    " meanwhile; sluice tenant freeze, then close it again"
)

MOVE = """
update sluice.tenant set state = $1, frozen_by = $3 where state = $2
returning tenant_id
"""
CLOSE = """
update sluice.tenant set state = 'closed' where state = 'frozen' returning tenant_id
"""
STANDS = """
select (select state from sluice.tenant) as state,
       (select count(*) from sluice.request where finished_at is null) as requests,
       (select count(*) from sluice.outbox) as events,
       case when (select frozen_by from sluice.tenant) is not null
         then (select ts from sluice.ledger_entry
                where event_id = (select frozen_by from sluice.tenant))
         else (select max(ts) from sluice.ledger_entry
                where action = 'tenant.frozen'
                  and ts >= coalesce((select max(ts) from sluice.ledger_entry
                                      where action = 'tenant.thawed'), '-infinity'))
       end as frozen_at
"""
"""Who was frozen by an earlier version has no ``frozen_by``."""


@dataclass(frozen=True, slots=True)
class Closing:
    """What an operator does to a tenant that goes."""

    admin: Admin

    async def freeze(self, tenant: TenantId) -> bool:
        """Admit nothing of it from now on, at most 5 s later; False: it is not active.

        What was admitted before goes on to its end.
        """
        return await self._moved(tenant, "frozen", "active")

    async def thaw(self, tenant: TenantId) -> bool:
        """Admit what it sends again; False: it is not frozen."""
        return await self._moved(tenant, "active", "frozen")

    async def _moved(self, tenant: TenantId, state: str, before: str) -> bool:
        action = {"frozen": "tenant.frozen", "active": "tenant.thawed"}[state]
        told = acted(self.admin.teller.act(tenant, action, tenant))
        by = UUID(told.event.attributes.id) if state == "frozen" else None
        async with as_steward(self.admin.pool, tenant) as connection:
            if await connection.fetchval(MOVE, state, before, by) is None:
                return False
            await put(connection, told)
        return True

    async def close(self, tenant: TenantId) -> datetime:
        """Destroy the tenant's keys, and with them all content; close its log.

        After an error the same again goes on. Its log is closed once the event is on
        it; what comes for it later is a dead letter.

        Raises:
            SluiceError: it was not frozen for 15 minutes, by its own log, requests or
                events of it are on their way, or it was thawed meanwhile.
        """
        async with as_steward(self.admin.pool, tenant, readonly=True) as connection:
            await self._refuse_busy(connection)
        await self.admin.keeper.terminate(tenant)
        act = self.admin.teller.act(tenant, CLOSED, tenant)
        async with as_steward(self.admin.pool, tenant) as connection:
            if await connection.fetchval(CLOSE) is not None:
                await put(connection, closing(act))
            elif await connection.fetchval(TENANT_STATE, UUID(tenant)) != "closed":
                raise SluiceError(THAWED)
        return act.at

    async def _refuse_busy(self, connection: Connection) -> None:
        stands = await connection.fetchrow(STANDS)
        if stands is None or stands["state"] not in {"frozen", "closed"}:
            raise SluiceError("expected a tenant that is frozen: sluice tenant freeze")
        if stands["state"] == "closed" and stands["frozen_at"] is None:
            raise SluiceError("it is closed already, and its log was deleted")
        if stands["requests"] or stands["events"]:
            raise SluiceError("expected no request and no event of it on their way")
        before = self.admin.clock.now() - SETTLED
        if stands["frozen_at"] is None or stands["frozen_at"] > before:
            raise SluiceError("expected its log to say tenant.frozen for 15 minutes")

    async def delete_log(self, tenant: TenantId, keys: Keys) -> Deleted:
        """Delete the log of a tenant whole; what is kept of it.

        Raises:
            SluiceError: it has no log.
            IntegrityError: it is not closed, or its last checkpoint is not yet signed
                and committed to in the root log.
        """
        logs = PostgresLogs(pool=self.admin.pool, role="sluice_tenant")
        head = await logs.head(tenant)
        if head is None:
            raise SluiceError("expected a tenant with a log")
        kept = await kept_of(logs, tenant, keys(head.origin))
        digest = sha256(kept.origin.encode()).hexdigest()
        async with deleting(self.admin.pool, kept) as connection:
            await become(connection, ROOT)  # the rest of this transaction is its own
            await self.admin.teller.tell(connection, ROOT, "log.deleted", digest)
        return kept
