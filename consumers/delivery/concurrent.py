"""Many records at once, in lanes; what is committed stays contiguous."""

import asyncio
from collections.abc import Collection, Hashable, Iterator, Sequence
from datetime import datetime
from typing import Any

from typing_extensions import override

from consumers.delivery.attempts import Again, Bury, Halt, Handled, Later, back_off
from consumers.delivery.brake import Brake
from consumers.delivery.commits import Commits
from consumers.delivery.holding import Holding, earliest
from consumers.delivery.means import Means, within
from consumers.delivery.offsets import Window
from consumers.delivery.prepared import Item, each, read, with_spans
from consumers.delivery.progress import TRIED_WITHIN_S
from consumers.delivery.queues import Job, Queues
from consumers.delivery.stops import Stops
from consumers.delivery.subscriptions import Lanes, Subscription
from consumers.delivery.trials import Call, Trials, raising
from pipeline.ports.bus import Record
from pipeline.ports.partitions import Listener, Partitions
from schemas.topics import Outgoing

LEAVE_WITHIN_S = 10.0
OVERDUE_S = 30.0


class Concurrent(Listener):
    """One member of a concurrent subscription's group."""

    def __init__(
        self, subscription: Subscription, partitions: Partitions, means: Means
    ) -> None:
        group = subscription.group
        if not isinstance(subscription.work, Lanes):
            raise TypeError("expected a concurrent subscription")
        self._work = subscription.work
        self._bounds = subscription.work.bounds
        self._subscription = subscription
        self._partitions = partitions
        self._means = means
        self._trials = Trials(subscription, means)
        self._brake = Brake()
        self._epoch = 0
        self._leaving = self._gone = False
        self._windows: dict[int, Window] = {}
        self._paused: set[int] = set()
        self._queues = Queues(self._bounds)
        self._running: dict[asyncio.Task[None], Job] = {}
        self._waiting: dict[Job, float] = {}
        self._sleeping: dict[asyncio.Task[None], Job] = {}
        self._halted: list[Job] = []
        self._preparing = Holding(means.clock)
        self.stops = Stops(group, partitions, means, beside=self._waiting)
        self.commits = Commits(group, partitions, means)

    async def batch(self, records: Sequence[Record]) -> None:
        """Take one poll into the lanes; return before they are handled."""
        if self._leaving or self.stops.held:
            self.stops.rewind(records)
            return
        epoch = self._epoch
        try:
            with self._preparing.one():
                await self._taken(records, epoch)
        except Exception as error:  # noqa: BLE001 - FastStream would lose the batch
            self._means.signals.retried(self._subscription.group, type(error).__name__)
            if epoch == self._epoch:
                self.stops.all_wait(records)

    async def _taken(self, records: Sequence[Record], epoch: int) -> None:
        found = read(self._subscription, records)
        items = with_spans(
            await each(self._work, found, self._means), self._subscription, self._means
        )
        if epoch != self._epoch or self._leaving:
            return
        if self.stops.held:
            self.stops.rewind(records)
            return
        for item in items:
            self._take(item)
        self._pause()
        self._start()

    @override
    async def revoked(self, partitions: Collection[int]) -> None:
        await self._let_go(LEAVE_WITHIN_S)
        self._epoch += 1
        self._windows.clear()
        self._paused.clear()
        self._trials.clear()
        self.commits.forget()

    @override
    async def assigned(self, partitions: Collection[int]) -> None:
        self._leaving = self._gone
        self.stops.restore(partitions)

    async def leave(self, seconds: float) -> None:
        """Start nothing more; what runs gets so long."""
        self._gone = True
        self._partitions.pause(self._partitions.assigned())
        await self._let_go(seconds)
        self.stops.close()
        for task in [*self._running]:
            task.cancel()

    def release(self) -> None:
        """An operator looked."""
        self._brake.release()
        self.stops.release()
        self._partitions.pause(self._paused)
        for job in self._halted:
            self._again(job)
        self._halted.clear()
        self._start()

    def busy(self, partition: int) -> bool:
        """Is there a reason why nothing of it moves?

        It stands; a record of it waits, by itself, behind others of its lane or for a
        place that all lanes share; or a call of it has time left, or waits for what is
        away and may yet say so.
        """
        able = [job for job in self._running.values() if self._may_run(job)]
        jobs = (*self._sleeping.values(), *self._behind(able), *able)
        return self.stops.stands(partition) or any(
            job.epoch == self._epoch and job.record.partition == partition
            for job in jobs
        )

    def _behind(self, able: Collection[Job]) -> Iterator[Job]:
        """What waits in its lane, where who is before it may yet come to an end."""
        recent = (job for job in self._running.values() if self._lately(job.began))
        return self._queues.behind({job.lane for job in (*able, *recent)})

    def _may_run(self, job: Job) -> bool:
        holds = self._work.holding.since if self._work.holding else None
        tried = job.began if job in self._waiting else None
        if self._lately(holds) or self._lately(tried):
            return True
        return job.until is not None and self._means.clock.monotonic() <= job.until

    def _lately(self, since: float | None) -> bool:
        now = self._means.clock.monotonic()
        return since is not None and now <= since + TRIED_WITHIN_S

    def overdue(self) -> bool:
        """Does a handler run long after its deadline?

        One that was called after it has its time too: what is over is ended then.
        """
        now = self._means.clock.monotonic()
        ends = (
            max(job.until, job.began)
            for job in self._running.values()
            if job.until is not None
        )
        return any(now > at + OVERDUE_S for at in ends)

    @property
    def waiting_since(self) -> float | None:
        """When the longest wait began; None: nothing waits."""
        held = self._work.holding.since if self._work.holding else None
        own = self.stops.waiting_since, self._preparing.since
        return earliest((*own, held, *self._waiting.values()))

    async def _let_go(self, seconds: float) -> None:
        self._leaving = True
        self._queues.clear()
        for task in self._sleeping:
            task.cancel()
        self._waiting.clear()
        self._halted.clear()
        running = [t for t, job in self._running.items() if job.epoch == self._epoch]
        if running:
            await within(self._means.clock, seconds, asyncio.wait(running))
        await self.commits.settle()

    def _take(self, item: Item) -> None:
        record, event = item.record, item.event
        window = self._windows.setdefault(record.partition, Window())
        if record.partition in self.stops.halted or not window.take(record.offset):
            return
        self.stops.moved(record.partition)
        if event is None:
            self._queues.put(self._job(record, item.call))
            return
        try:
            lane = self._work.lane(event)
            deadline = self._work.deadline and self._work.deadline(event)
        except Exception as error:  # noqa: BLE001 - a bug there is this record's alone
            self._queues.put(self._job(record, raising(error)))
            return
        if item.overflow and self._queues.is_full(lane):
            self._run(self._job(record, item.overflow))
            return
        self._queues.put(self._job(record, item.call, lane, deadline))

    def _job(
        self,
        record: Record,
        call: Call,
        lane: Hashable = None,
        deadline: datetime | None = None,
    ) -> Job:
        async def published() -> Sequence[Outgoing[Any]]:
            await self._means.publisher.publish(await call())
            return ()

        return Job(record, published, lane, self._epoch, self._monotonic(deadline))

    def _monotonic(self, deadline: datetime | None) -> float | None:
        if deadline is None:
            return None
        clock = self._means.clock
        return clock.monotonic() + (deadline - clock.now()).total_seconds()

    def _pause(self) -> None:
        full = {
            partition
            for partition, window in self._windows.items()
            if window.unfinished >= self._bounds.taken
        }
        self._partitions.pause(full - self._paused)
        self._paused |= full

    def _go_on(self, partition: int) -> None:
        window = self._windows.get(partition)
        if window is None or partition not in self._paused:
            return
        if window.unfinished <= self._bounds.taken // 2:
            self._paused.discard(partition)
            if not self.stops.stands(partition) and not self._leaving:
                self._partitions.resume([partition])

    def _start(self) -> None:
        """Start what there is room for."""
        if self._leaving or self.stops.held:
            return
        for job in self._queues.turns():
            self._run(job)

    def _run(self, job: Job) -> None:
        self._queues.began(job)
        job.began = self._means.clock.monotonic()
        task = asyncio.create_task(self._carry_out(job))
        self._running[task] = job
        task.add_done_callback(self._ran)

    def _ran(self, task: asyncio.Task[None]) -> None:
        self._queues.ended(self._running.pop(task))
        self._start()

    async def _carry_out(self, job: Job) -> None:
        try:
            await self._tried(job)
        except Exception as error:  # noqa: BLE001 - the loop that must go on
            self._means.signals.retried(self._subscription.group, type(error).__name__)
            self._later(job)

    async def _tried(self, job: Job) -> None:
        match await self._trials.run(job.record, job.call):
            case Handled():
                self._brake.handled()
                self._ended(job)
            case Bury() as verdict:
                await self._bury(job, verdict)
            case Again() | Later():
                self._later(job)
            case Halt() if job.epoch == self._epoch:
                self._halted.append(job)
                self._waiting.pop(job, None)
                self.stops.halt(job.record.partition, job.record.offset)

    def _later(self, job: Job) -> None:
        """Back into its lane after a while."""
        if job.epoch != self._epoch or self._leaving:
            return
        self._waiting.setdefault(job, self._means.clock.monotonic())
        self.stops.tell()
        task = asyncio.create_task(self._sleep(job))
        self._sleeping[task] = job
        task.add_done_callback(self._sleeping.pop)

    async def _sleep(self, job: Job) -> None:
        seconds = back_off(job.waits, self._means.entropy)
        job.waits += 1
        await self._means.clock.sleep(seconds)
        self._again(job)
        self._start()

    def _again(self, job: Job) -> None:
        if job.epoch == self._epoch and not self._leaving:
            self._queues.put(job)

    async def _bury(self, job: Job, verdict: Bury) -> None:
        await self._trials.bury(job.record, verdict)
        if verdict.counts:
            self._brake.buried()
        self._ended(job)
        if self._brake.pulled:
            self.stops.hold()

    def _ended(self, job: Job) -> None:
        """Its effects are durable; an old epoch's end is another member's matter."""
        if job.epoch != self._epoch:
            return
        partition, window = job.record.partition, self._windows[job.record.partition]
        self._trials.forget(job.record)
        if self._waiting.pop(job, None) is not None:
            self.stops.tell()
        window.finish(job.record.offset)
        if window.ready is not None:
            self.commits.finished(partition, window.ready)
        self._means.signals.handled(self._subscription.group, 1)
        self._means.aged(self._subscription.group, job.record)
        self._go_on(partition)
