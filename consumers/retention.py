"""Forgets what it was ordered to forget, and signs what was destroyed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.announcements import due, of_receipt
from pipeline.contents import Contents
from pipeline.erasure import SOURCE, completed, rest
from pipeline.errors import InvalidMessage, RetryableError
from pipeline.keystore import partition_named
from pipeline.ports.inbox import InboxKeys
from pipeline.ports.keys import (
    Destroyed,
    KeyKeeper,
    KeyRef,
    KeyStore,
    OfRequest,
    OfSubject,
)
from pipeline.ports.retention import Plan, Purges
from pipeline.ports.system import Clock
from pipeline.ports.webhooks import Deliveries
from pipeline.receipts import Destruction, exceptions, probed, receipt
from pipeline.sealing import Purpose, key_id_of, open_sealed
from schemas.events import Event
from schemas.ids import RequestId
from schemas.retention import ErasureOrdered, Exemption, Forgotten, Probe, Receipt
from schemas.topics import WEBHOOKS_DUE, Outgoing
from schemas.webhooks import WebhookDue

CANARY = b"a canary that must not be read again"
BATCH = 1_000
"""Keys that are destroyed at once, so that no transaction holds a lock for long."""
PART = 10_000
"""Keys of one job at most: whoever has more is forgotten in several, each with its
receipt, and other orders come in between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionConsumer:
    """Rows first, then keys, then a look through the ordinary way of reading.

    Each step can be repeated: the first plan and the first receipt of a job stand.
    """

    keeper: KeyKeeper
    keys: KeyStore
    purges: Purges
    inbox: InboxKeys
    deliveries: Deliveries
    contents: Contents
    sign: Callable[[Receipt], str]
    clock: Clock

    async def handle(
        self, event: Event[ErasureOrdered], _: None = None
    ) -> Sequence[Outgoing[Any]]:
        """Carry out one order; the record of it goes onto the tenant's log."""
        plan = await self.purges.begin(await self._plan(event))
        rows = await self.purges.delete_rows(plan)
        day = plan.scope.kind == "class"
        if not day:
            await self._destroy(plan)
        await self._read_back(plan)
        probe = await self._tried(plan)
        left = await self._left(plan)
        more = rest(event) if len(plan.keys) >= PART else None
        recorded = completed(event, plan.as_of, partly=more is not None)
        done = Destruction(
            job=plan.job,
            tenant=plan.tenant,
            scope=plan.scope,
            requested_at=plan.requested_at,
            as_of=plan.as_of,
            completed_at=self.clock.now(),
            keys=[] if day else [ref.key_id for ref in plan.keys],
            dropped=event.data.keys if day else None,
            rows=rows,
            exceptions=left,
            probe=probe,
            record=recorded.event.attributes.id,
            continues=more.event.attributes.id if more else None,
        )
        await self.purges.finish(plan, self.sign(receipt(done)))
        told = await self._announced(plan, done.completed_at)
        return [recorded, *told, *([more] if more else [])]

    async def _announced(
        self, plan: Plan, now: datetime
    ) -> Sequence[Outgoing[WebhookDue]]:
        messages = of_receipt(plan.tenant, plan.job, now)
        return [
            due(each, WEBHOOKS_DUE, source=SOURCE, now=now, at=now)
            for each in await self.deliveries.announce(messages)
        ]

    async def _plan(self, event: Event[ErasureOrdered]) -> Plan:
        attributes, order = event.attributes, event.data
        as_of = self.clock.now()
        keys, probe = await self._covered(event)
        return Plan(
            job=attributes.id,
            tenant=attributes.tenant,
            scope=Forgotten(kind=order.scope, ref=order.ref),
            requested_at=attributes.time,
            as_of=as_of,
            keys=tuple(keys),
            probe=probe,
        )

    async def _covered(
        self, event: Event[ErasureOrdered]
    ) -> tuple[Sequence[KeyRef], bytes | None]:
        """The keys of an order, and what one of them sealed.

        A day of keys is gone already: one of them is tried, on an answer that it
        sealed.
        """
        if event.data.scope == "class":
            day = partition_named(event.data.ref)
            found = await self.purges.sample(event.attributes.tenant, day)
            return ((), None) if found is None else ((found[0],), found[1])
        keys = await self.keeper.of(_selector(event), PART)
        return keys, await self._probe(keys)

    async def _probe(self, keys: Sequence[KeyRef]) -> bytes | None:
        """A canary under the first key that is there."""
        for key in (await self.keys.fetch(keys[:1])).values():
            if not isinstance(key, Destroyed):
                return self.contents.seal(key, Purpose.PROBE, CANARY).sealed
        return None

    async def _left(self, plan: Plan) -> Sequence[Exemption]:
        """The copies in the inbox that a request's own key never sealed."""
        arrivals = await self.purges.arrivals(plan)
        keys = await self.inbox.there() if arrivals else ()
        return exceptions(arrivals, keys, self.inbox.period, self.clock.now())

    async def _tried(self, plan: Plan) -> Probe | None:
        """What became of opening the kept canary, by the key that it names itself.

        Raises:
            RetryableError: its key is there, so there is no receipt.
        """
        if plan.probe is None:
            return None
        ref = KeyRef(plan.tenant, plan.keys[0].request_id, key_id_of(plan.probe))
        key = (await self.keys.fetch([ref]))[ref]
        if isinstance(key, Destroyed):
            return probed(plan.probe)
        try:
            open_sealed(key, Purpose.PROBE, plan.probe)
        except InvalidMessage:
            raise RetryableError("a destroyed key's id has a key again") from None
        raise RetryableError("the canary opens after its key was destroyed")

    async def _destroy(self, plan: Plan) -> None:
        """The plan's keys alone, however often and however late the order comes.

        What was made after the plan is not covered by it: nobody would be told of it.
        """
        keys = [ref.key_id for ref in plan.keys]
        for at in range(0, len(keys), BATCH):
            await self.keeper.destroy_keys(plan.tenant, keys[at : at + BATCH])

    async def _read_back(self, plan: Plan) -> None:
        found = await self.keys.fetch(plan.keys)
        if any(not isinstance(key, Destroyed) for key in found.values()):
            raise RetryableError("a key is still read after it was destroyed")


def _selector(event: Event[ErasureOrdered]) -> OfRequest | OfSubject:
    tenant, order = event.attributes.tenant, event.data
    if order.scope == "request":
        return OfRequest(tenant, RequestId(order.ref))
    return OfSubject(tenant, bytes.fromhex(order.ref))
