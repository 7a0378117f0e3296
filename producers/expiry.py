"""Days of keys come and go: made ahead, dropped when their period is over."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from pipeline.erasure import order
from pipeline.keystore import Partition
from pipeline.ports.bus import Publisher
from pipeline.ports.keys import KeyPartitions
from pipeline.ports.system import Clock
from pipeline.retention import ahead, expired
from schemas.audit import AuditRecorded, Erase, Retained
from schemas.events import Attributes, Event, timestamp
from schemas.ids import Actor, EventId, TenantId, derived
from schemas.retention import ErasureOrdered
from schemas.topics import AUDIT_RECORDED, RETENTION_DUE, Outgoing

SOURCE = "/sluice/expiry"
ACTION = "retention.expired"
ACTOR = Actor("system:expiry")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """A timed worker, safe in several copies: each step can be repeated.

    Attributes:
        users: who else is owed a receipt of a day: their keys went one by one.
    """

    users: Callable[[Partition], Awaitable[Collection[TenantId]]]
    partitions: KeyPartitions
    publisher: Publisher
    clock: Clock

    async def round(self) -> bool:
        """Make the days ahead, then drop the oldest that is due; True: there was one.

        A day is detached first: from then on nobody reads its keys. Then the ledgers
        are told and receipts ordered, and only then the table goes, because it knows
        whom to tell.
        """
        now = self.clock.now()
        await self.partitions.prepare(ahead(now))
        due = expired(await self.partitions.there(), now)
        if not due:
            return False
        keys = await self.partitions.detach(due[0])
        told = {**dict.fromkeys(await self.users(due[0]), 0), **keys}
        await self.publisher.publish(
            [
                outgoing
                for tenant, count in told.items()
                for outgoing in (
                    _recorded(tenant, due[0], now),
                    _due(tenant, due[0], count, now),
                )
            ]
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
    ref = partition.name
    data = AuditRecorded(
        action=ACTION,
        actor=ACTOR,
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


def _due(
    tenant: TenantId, partition: Partition, keys: int, now: datetime
) -> Outgoing[ErasureOrdered]:
    """The order to delete what lay under these keys, and to sign that they are gone."""
    job = EventId(derived(tenant, partition.name, ErasureOrdered.kind))
    data = ErasureOrdered(actor=ACTOR, scope="class", ref=partition.name, keys=keys)
    return Outgoing(RETENTION_DUE, order(tenant, data, job, SOURCE, now))
