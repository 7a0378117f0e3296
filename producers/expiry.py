"""Days of keys come and go: made ahead, dropped when their period is over."""

from dataclasses import dataclass
from datetime import datetime

from pipeline.keystore import Partition
from pipeline.ports.bus import Publisher
from pipeline.ports.keys import KeyPartitions
from pipeline.ports.system import Clock
from pipeline.retention import ahead, expired
from schemas.audit import AuditRecorded, Erase, Retained
from schemas.events import Attributes, Event, timestamp
from schemas.ids import Actor, EventId, TenantId, derived
from schemas.topics import AUDIT_RECORDED, Outgoing

SOURCE = "/sluice/expiry"
ACTION = "retention.expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """A timed worker, safe in several copies: each step can be repeated."""

    partitions: KeyPartitions
    publisher: Publisher
    clock: Clock

    async def round(self) -> bool:
        """Make the days ahead, then drop the oldest that is due; True: there was one.

        A day is detached first: from then on nobody reads its keys. Then the ledgers
        are told, and only then the table goes, because it knows whom to tell.
        """
        now = self.clock.now()
        await self.partitions.prepare(ahead(now))
        due = expired(await self.partitions.there(), now)
        if not due:
            return False
        keys = await self.partitions.detach(due[0])
        await self.publisher.publish(
            [_recorded(tenant, due[0], now) for tenant in keys]
        )
        await self.partitions.retire(due[0])
        return True

    async def rewrite(self) -> bool:
        """Rewrite the files in which destroyed keys' bytes lie."""
        await self.partitions.rewrite()
        return False


def _recorded(
    tenant: TenantId, partition: Partition, now: datetime
) -> Outgoing[AuditRecorded]:
    """For the log of a tenant that had keys there: why its content opens no more."""
    name, day = partition.retention_class.name, partition.day.isoformat()
    ref = f"{name}:{day}"
    data = AuditRecorded(
        action=ACTION,
        actor=Actor("system:expiry"),
        status="ok",
        retention=Retained(retention_class=name, day=day),
        erase=Erase(scope="class", ref=ref, as_of=timestamp(now)),
    )
    attributes = Attributes(
        id=EventId(derived(tenant, ref, ACTION)),
        type=AuditRecorded.kind,
        source=SOURCE,
        subject=ref,
        tenant=tenant,
        time=now,
    )
    return Outgoing(AUDIT_RECORDED, Event(attributes, data))
