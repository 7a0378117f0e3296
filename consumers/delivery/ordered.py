"""Ordered batches: a partition's records one after another, partitions side by side."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from typing_extensions import override

from consumers.delivery.attempts import Again, Bury, Halt, Handled, Later
from consumers.delivery.brake import Brake
from consumers.delivery.commits import Commits
from consumers.delivery.holding import earliest
from consumers.delivery.means import Means, within
from consumers.delivery.prepared import Item, each, many, read, with_spans
from consumers.delivery.stops import Stops
from consumers.delivery.subscriptions import Lanes, Many, Subscription
from consumers.delivery.trials import Trials
from consumers.delivery.turns import Turns
from pipeline.errors import InvalidMessage, RetryableError
from pipeline.ports.bus import Record
from pipeline.ports.partitions import Listener, Partitions
from schemas.topics import Outgoing

LEAVE_WITHIN_S = 10.0


@dataclass(slots=True)
class Lot:
    """One partition's part of a poll.

    Attributes:
        begin: the first offset whose effects are not durable.
        handled: what was handled since, and is not yet published.
        until: monotonic seconds at which it returns to the poll.
    """

    partition: int
    items: Sequence[Item]
    begin: int
    epoch: int
    until: float
    handled: list[tuple[Record, Sequence[Outgoing[Any]]]] = field(default_factory=list)


class Ordered(Listener):
    """One member of an ordered subscription's group."""

    def __init__(
        self, subscription: Subscription, partitions: Partitions, means: Means
    ) -> None:
        group = subscription.group
        self._subscription = subscription
        self._partitions = partitions
        self._means = means
        self._trials = Trials(subscription, means)
        self._turns = Turns(means.clock)
        self._brake = Brake()
        self._epoch = 0
        self._leaving = self._gone = False
        self._went_on: float | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self.stops = Stops(group, partitions, means)
        self.commits = Commits(group, partitions, means)

    async def batch(self, records: Sequence[Record]) -> None:
        """Handle one poll. Nothing escapes but a cancellation."""
        if self._leaving or self.stops.held:
            self.stops.rewind(records)
            return
        began = self._went_on = self._means.clock.monotonic()
        epoch = self._epoch
        self._idle.clear()
        try:
            lots = await self._lots(records, began)
            await asyncio.gather(*map(self._carried_out, lots))
        except Exception as error:  # noqa: BLE001 - FastStream would lose the batch
            self._all_wait(records, error, epoch)
        finally:
            self._went_on = None
            self._idle.set()
        took = self._means.clock.monotonic() - began
        self._means.signals.batch(self._subscription.group, took)

    @override
    async def revoked(self, partitions: Collection[int]) -> None:
        await self._finish_the_record(LEAVE_WITHIN_S)
        await self.commits.settle()
        self._epoch += 1
        self._trials.clear()
        self.commits.forget()

    @override
    async def assigned(self, partitions: Collection[int]) -> None:
        self._leaving = self._gone
        self.stops.restore(partitions)

    async def leave(self, _: float) -> None:
        """The record in hand finishes and is committed; the rest is another's."""
        self._gone = True
        await self._finish_the_record(LEAVE_WITHIN_S)
        self.stops.close()
        await self.commits.settle()

    def release(self) -> None:
        """An operator looked."""
        self._brake.release()
        self.stops.release()

    def busy(self, partition: int) -> bool:
        """Is there a reason why nothing of it moves?"""
        return self.stops.stands(partition)

    def overdue(self) -> bool:
        """Handlers here have no deadline of their own; progress watches them."""
        return False

    @property
    def waiting_since(self) -> float | None:
        """When the longest wait began; None: nothing waits.

        A batch in hand counts from its last record that came to an end: what it leans
        on may say nothing at all.
        """
        return earliest((self.stops.waiting_since, self._went_on))

    async def _finish_the_record(self, seconds: float) -> None:
        self._leaving = True
        await within(self._means.clock, seconds, self._idle.wait())

    async def _lots(self, records: Sequence[Record], began: float) -> list[Lot]:
        epoch = self._epoch
        items = with_spans(await self._items(records), self._subscription, self._means)
        self._went_on = self._means.clock.monotonic()
        parts: dict[int, list[Item]] = {}
        for item in items:
            parts.setdefault(item.record.partition, []).append(item)
        until = began + self._means.batch_within_s
        return [
            Lot(partition, part, part[0].record.offset, epoch, until)
            for partition, part in parts.items()
        ]

    async def _items(self, records: Sequence[Record]) -> list[Item]:
        work = self._subscription.work
        if isinstance(work, Many):
            return await many(self._subscription, work, records, self._means)
        if isinstance(work, Lanes):
            raise TypeError("expected an ordered subscription")
        return await each(work, read(self._subscription, records), self._means)

    def _all_wait(
        self, records: Sequence[Record], error: Exception, epoch: int
    ) -> None:
        self._means.signals.retried(self._subscription.group, type(error).__name__)
        if epoch == self._epoch:
            self.stops.all_wait(records)

    async def _carried_out(self, lot: Lot) -> None:
        """Whatever goes wrong, what is not durable is read again."""
        try:
            await self._walk(lot)
        except Exception as error:  # noqa: BLE001 - the loop that must go on
            self._means.signals.retried(self._subscription.group, type(error).__name__)
            if lot.epoch == self._epoch:
                self.stops.wait(lot.partition, lot.begin)

    async def _walk(self, lot: Lot) -> None:
        for item in lot.items:
            if not item.done:
                await self._turns.next()
                if not self._may_go_on(lot):
                    await self._flush(lot)
                    if lot.epoch == self._epoch:
                        self._partitions.rewind(lot.partition, item.record.offset)
                    return
            verdict = await self._trials.run(item.record, item.call)
            self._went_on = self._means.clock.monotonic()
            if isinstance(verdict, Handled):
                lot.handled.append((item.record, verdict.outgoing))
                continue
            await self._flush(lot)
            if isinstance(verdict, Bury):
                await self._bury(lot, item.record, verdict)
            else:
                self._stop(lot, item.record, verdict)
                return
        await self._flush(lot)

    def _may_go_on(self, lot: Lot) -> bool:
        if self._leaving or self.stops.held or lot.epoch != self._epoch:
            return False
        return self._means.clock.monotonic() < lot.until

    def _stop(self, lot: Lot, record: Record, verdict: Again | Later | Halt) -> None:
        if lot.epoch != self._epoch:
            return
        if isinstance(verdict, Halt):
            self.stops.halt(lot.partition, record.offset)
        elif isinstance(verdict, Later):
            self.stops.delay(lot.partition, record.offset, verdict.seconds)
        else:
            self.stops.wait(lot.partition, record.offset)

    async def _flush(self, lot: Lot) -> None:
        """Publish what was handled, and await it."""
        handled, lot.handled = lot.handled, []
        if not handled:
            return
        try:
            await self._means.publisher.publish([o for _, out in handled for o in out])
        except InvalidMessage:
            await self._flush_singly(lot, handled)
        else:
            await self._ended(lot, [record for record, _ in handled])

    async def _flush_singly(
        self, lot: Lot, handled: Sequence[tuple[Record, Sequence[Outgoing[Any]]]]
    ) -> None:
        """One of them returned what no topic takes: find and bury it."""
        for record, outgoing in handled:
            verdict = await self._trials.run(record, partial(self._sent, outgoing))
            match verdict:
                case Handled():
                    await self._ended(lot, [record])
                case Bury():
                    await self._bury(lot, record, verdict)
                case _:
                    raise RetryableError("expected acknowledgements")

    async def _sent(self, outgoing: Sequence[Outgoing[Any]]) -> Sequence[Outgoing[Any]]:
        await self._means.publisher.publish(outgoing)
        return ()

    async def _bury(self, lot: Lot, record: Record, verdict: Bury) -> None:
        await self._trials.bury(record, verdict)
        if verdict.counts:
            self._brake.buried()
        await self._ended(lot, [record], handled=False)
        if self._brake.pulled and not self._subscription.stranger:
            self.stops.hold()

    async def _ended(
        self, lot: Lot, records: Sequence[Record], *, handled: bool = True
    ) -> None:
        """Their effects are durable: they may be committed."""
        lot.begin = records[-1].offset + 1
        for record in records:
            self._trials.forget(record)
            if handled:
                self._brake.handled()
        self._means.signals.handled(self._subscription.group, len(records))
        self._means.aged(self._subscription.group, records[0])
        self.stops.moved(lot.partition)
        if lot.epoch == self._epoch:
            self.commits.finished(lot.partition, lot.begin)
