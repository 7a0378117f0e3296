"""One subscription at work: FastStream pushes batches in, and health looks on."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord
from faststream.kafka import KafkaBroker
from faststream.middlewares import AckPolicy
from typing_extensions import override

from consumers.delivery.concurrent import Concurrent
from consumers.delivery.holding import Holding, earliest
from consumers.delivery.means import Means, within
from consumers.delivery.offsets import firsts
from consumers.delivery.ordered import Ordered
from consumers.delivery.progress import WAITS_WITHIN_S, Progress
from consumers.delivery.subscriptions import Lanes, Subscription
from pipeline.errors import RetryableError, place
from pipeline.ports.bus import Record
from pipeline.ports.partitions import Partitions

ASK_WITHIN_S = 10.0
"""So long a rebalance waits to be told where to begin; the next batch asks again."""
POLL_MS = 1_000
"""How long one poll of the group waits for records; it returns with the first."""
LINGER_BYTES = 128 * 1024
"""So much does not linger; about a hundred records."""


class Kafka(Protocol):
    """The cluster, as delivery needs it (``infra.kafka.clients.KafkaClients``)."""

    @property
    def consumer(self) -> Mapping[str, Any]:
        """Settings of every consumer."""
        ...

    def broker(self) -> KafkaBroker:
        """A new FastStream broker, that only consumes."""
        ...

    def partitions(
        self, consumer: Callable[[], AIOKafkaConsumer | None], topic: str
    ) -> Partitions:
        """The hand on a topic's partitions."""
        ...

    def record(self, raw: "ConsumerRecord[Any, Any]") -> Record:
        """A consumed record in our words."""
        ...

    async def answers(self) -> bool:
        """Does a broker answer a fresh connection?"""
        ...


async def without_headers(records: Any, original: Any) -> Any:
    """Parse for FastStream, which must not read what a stranger wrote.

    It decodes each header as UTF-8 before any handler runs, and loses in silence the
    record where that fails. What it makes of one stands for all: nobody reads it.
    """
    message = await original((replace(records[0], headers=()),))
    message.raw_message = records
    return message


async def as_is(message: Any) -> Any:
    """Decode nothing: the records themselves."""
    return message.raw_message


class Member:
    """One subscription at work."""

    def __init__(self, subscription: Subscription, kafka: Kafka, means: Means) -> None:
        self._kafka = kafka
        self._means = means
        self.subscription = subscription
        self.assigned_once = False
        self.progress = Progress(means.clock)
        self.taken: dict[int, int] = {}
        self.partitions = kafka.partitions(self._consumer, subscription.topic.name)
        kind = Concurrent if isinstance(subscription.work, Lanes) else Ordered
        self.mode: Ordered | Concurrent = kind(subscription, self.partitions, means)
        self._begin: dict[int, int] = {}
        self._lost: dict[int, int] = {}
        self._unknown = self._unasked = False
        self._epoch = 0
        self._asking = Holding(means.clock)
        self._kafka_away = False
        self._subscriber: Any = None

    def declare(self, broker: KafkaBroker) -> None:
        """Tell FastStream. The one subscriber of Sluice."""
        self._subscriber = broker.subscriber(
            self.subscription.topic.name,
            group_id=self.subscription.group,
            batch=True,
            max_records=self.subscription.max_records,
            batch_timeout_ms=POLL_MS,
            ack_policy=AckPolicy.MANUAL,
            # A stranger's reply_to header would name a topic for our results.
            no_reply=True,
            parser=without_headers,
            decoder=as_is,
            listener=_Rebalances(self),
            **_lingering(self.subscription.linger_s),
            **self._kafka.consumer,
        )
        self._subscriber(self.batch)

    async def batch(self, records: Sequence[Any]) -> None:
        """What FastStream calls."""
        for raw in records:
            self.taken[raw.partition] = raw.offset + 1
        found = [self._kafka.record(raw) for raw in records]
        if self._unknown:
            await self._hold_back(found)
        else:
            await self.mode.batch(found)

    async def revoked(self, partitions: Collection[int]) -> None:
        """Let go."""
        await self.mode.revoked(partitions)

    async def assigned(self, partitions: Collection[int]) -> None:
        """Begin where it is stored, or else where the group says."""
        self._epoch += 1
        self.taken.clear()
        self._begin = {}
        self._lost.clear()
        await self.mode.assigned(partitions)
        await within(self._means.clock, ASK_WITHIN_S, self._ask(partitions))
        self.progress.keep(frozenset(partitions))
        self.assigned_once = True

    async def join(self) -> None:
        """Join the group; it may take as long as another member needs to let go."""
        await self._subscriber.start()

    async def finish(self, seconds: float) -> None:
        """Finish what is in hand."""
        await self.mode.leave(seconds)

    async def leave(self) -> None:
        """Leave the group."""
        await self._subscriber.stop()

    async def look(self) -> None:
        """Ask how much there is to do, and note what moved."""
        ours = self.partitions.assigned()
        self.progress.keep(ours)
        try:
            bounds: Mapping[int, range] = await self.partitions.bounds(ours)
            if self._unasked:  # nobody answered when they were assigned
                await self._find(ours)
                self._expired(bounds)
        except RetryableError:
            self._kafka_away = True
            excused = not await self._kafka.answers()
            for partition in ours:
                self._saw(partition, None, excused=excused)
            return
        self._kafka_away = False
        lags = {p: max(0, at.stop - self._finished(p, at)) for p, at in bounds.items()}
        for partition, lag in lags.items():
            if not lag:
                self.mode.stops.nothing_left(partition)
            self._saw(partition, lag, excused=self.mode.busy(partition))
        self._means.signals.lag(self.subscription.group, sum(lags.values()))

    def why_not_ready(self) -> str | None:
        """A word; None: ready."""
        stops = self.mode.stops
        since = earliest((self.mode.waiting_since, self._asking.since))
        if not self.assigned_once:
            return "not_assigned"
        if self._kafka_away:
            return "kafka_away"
        if stops.held:
            return "held"
        if stops.halted:
            return "halted"
        if since is not None and self._means.clock.monotonic() - since > WAITS_WITHIN_S:
            return "waiting"
        return None

    def why_not_alive(self) -> str | None:
        """A word; None: alive."""
        if self.progress.stalled:
            return "stalled"
        return "overdue" if self.mode.overdue() else None

    def _consumer(self) -> AIOKafkaConsumer | None:
        return None if self._subscriber is None else self._subscriber.consumer

    def _finished(self, partition: int, bounds: range) -> int:
        begin = self._begin.get(partition, bounds.start)
        return self.mode.commits.done.get(partition, begin)

    def _saw(self, partition: int, lag: int | None, *, excused: bool) -> None:
        self.progress.saw(
            partition,
            taken=self.taken.get(partition, -1),
            finished=self.mode.commits.done.get(partition, -1),
            lag=lag,
            excused=excused,
        )

    async def _ask(self, partitions: Collection[int]) -> None:
        """Ask where to begin; nothing is handled before the handler's store said it.

        Where a rebalance comes between, the answer says nothing of what that brought.
        """
        epoch = self._epoch
        self._unknown = self.subscription.offsets is not None
        self._unasked = known = False
        try:
            with self._asking.one():
                await self._begin_at(partitions)
            known = True
        except RetryableError:
            return
        except Exception as error:  # noqa: BLE001 - what is handed out would be lost
            self._means.signals.unexpected(self.subscription.group, place(error))
        finally:  # also where a rebalance waited for it no longer
            if epoch == self._epoch:
                self._unasked = not known
                self._unknown = self._unknown and not known

    async def _hold_back(self, records: Sequence[Record]) -> None:
        """Ask again; these come again, behind what lies before them."""
        await self._ask(self.partitions.assigned())
        for partition, offset in firsts(records).items():
            if self._unknown:
                self.mode.stops.wait(partition, offset)
            else:
                self.partitions.rewind(partition, offset)

    async def _begin_at(self, partitions: Collection[int]) -> None:
        epoch = self._epoch
        begin = await self._find(partitions)
        if self.subscription.offsets is not None:
            stored = await self.subscription.offsets(sorted(partitions))
            if epoch != self._epoch:
                return
            earlier = {p: at for p, at in stored.items() if at < begin.get(p, 0)}
            for partition, offset in earlier.items():
                self.partitions.begin(partition, offset)
            begin.update(earlier)
        self._expired(await self.partitions.bounds(partitions))

    async def _find(self, partitions: Collection[int]) -> dict[int, int]:
        epoch = self._epoch
        committed = await self.partitions.committed(partitions)
        found = {p: at for p, at in committed.items() if at is not None}
        if epoch == self._epoch:
            self._begin, self._unasked = found, False
        return found

    def _expired(self, bounds: Mapping[int, range]) -> None:
        for partition, at in bounds.items():
            known = self._lost.get(partition, 0)
            lost = at.start - self._finished(partition, at) - known
            if lost > 0:
                self._lost[partition] = known + lost
                self._means.signals.expired(self.subscription.group, partition, lost)


def _lingering(seconds: float) -> Mapping[str, Any]:
    """Let the broker gather records; by default it answers with the first."""
    if not seconds:
        return {}
    wait_ms = int(seconds * 1000)
    return {"fetch_min_bytes": LINGER_BYTES, "fetch_max_wait_ms": wait_ms}


class _Rebalances(ConsumerRebalanceListener):  # type: ignore[misc]
    """aiokafka drops what its listeners raise, so nothing here may rest on that."""

    def __init__(self, member: Member) -> None:
        self._member = member

    @override
    async def on_partitions_revoked(self, revoked: Any) -> None:
        await self._member.revoked({tp.partition for tp in revoked})

    @override
    async def on_partitions_assigned(self, assigned: Any) -> None:
        await self._member.assigned({tp.partition for tp in assigned})
