"""Subscriptions at work, side by side: they join, are looked at, drain and leave."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from consumers.delivery.means import Means
from consumers.delivery.member import Kafka, Member
from consumers.delivery.progress import TURNS_WITHIN_S
from consumers.delivery.subscriptions import Subscription
from pipeline.errors import RetryableError

DRAIN_S = 120.0
COMMIT_EVERY_S = 0.5
LOOK_EVERY_S = 5.0
TURN_EVERY_S = 1.0
ENDS_WITHIN_S = 1.0

Releases = Callable[[], Awaitable[Mapping[str, int]]]
"""By group the number of its newest release; raises RetryableError."""


class Delivery:
    """Runs subscriptions until it is asked to stop."""

    def __init__(
        self,
        subscriptions: Sequence[Subscription],
        *,
        kafka: Kafka,
        means: Means,
        releases: Releases | None = None,
        drain_s: float = DRAIN_S,
    ) -> None:
        """Wire it.

        Args:
            subscriptions: what to deliver.
            kafka: where from.
            means: what delivery itself needs.
            releases: what operators released; what is newer than the start is heeded.
            drain_s: how long running calls may go on once it stops.
        """
        self._means = means
        self._releases = releases
        self._heeded: Mapping[str, int] | None = None
        self._drain_s = drain_s
        self._broker = kafka.broker()
        self._members = [Member(one, kafka, means) for one in subscriptions]
        self._turned = means.clock.monotonic()
        self._stopping = False
        for member in self._members:
            member.declare(self._broker)

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until ``stop`` is set; then drain, commit and leave the groups."""
        watching = [
            asyncio.create_task(self._repeat(TURN_EVERY_S, self._turn)),
            asyncio.create_task(self._repeat(LOOK_EVERY_S, self._heed)),
        ]
        looking = [self._looking(member) for member in self._members]
        try:
            await self._until(stop)
        finally:
            self._stopping = True
            leaving = map(self._left, self._members, looking)
            left = await asyncio.gather(*leaving, return_exceptions=True)
            await _ended(watching)
            await self._broker.stop()
            for error in left:
                if error is not None:
                    raise error

    def _looking(self, member: Member) -> Sequence[asyncio.Task[None]]:
        """Each by itself: an answer that never comes holds up no other group."""
        commits = member.mode.commits
        settling = self._repeat(COMMIT_EVERY_S, commits.settle, commits.owing)
        looking = self._repeat(LOOK_EVERY_S, member.look)
        return [asyncio.create_task(each) for each in (settling, looking)]

    async def _left(
        self, member: Member, looking: Sequence[asyncio.Task[None]]
    ) -> None:
        """Drain, ask no more, leave: a stopped client that is asked connects anew."""
        try:
            # Who drains is alive, and commits what comes to its end.
            await member.finish(self._drain_s)
        finally:
            await _ended(looking)
            await member.leave()

    async def _until(self, stop: asyncio.Event) -> None:
        """Join the groups and go on; asked to stop, it stops also where it cannot join.

        No group waits for another's rebalance.
        """
        await self._broker.connect()
        stopping: asyncio.Task[Any] = asyncio.create_task(stop.wait())
        joining = [asyncio.create_task(member.join()) for member in self._members]
        pending = {stopping, *joining}
        try:
            while not stopping.done():
                done, pending = await asyncio.wait(
                    pending, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    task.result()
        finally:
            for task in (stopping, *joining):
                task.cancel()
            await asyncio.gather(stopping, *joining, return_exceptions=True)

    def alive(self) -> bool:
        """False: restart this process."""
        return not list(self._why_not_alive())

    def ready(self) -> bool:
        """False: something keeps it from its work; it may mend by itself."""
        return not self.reasons()

    def reasons(self) -> Sequence[str]:
        """``group:word`` for each reason why it is not ready or not alive."""
        return [*self._why_not_alive(), *self._why_not_ready()]

    def release(self, group: str) -> None:
        """An operator looked at what was held or halted: go on."""
        for member in self._members:
            if member.subscription.group == group:
                member.mode.release()

    def _why_not_alive(self) -> Iterator[str]:
        if self._means.clock.monotonic() - self._turned > TURNS_WITHIN_S:
            yield "delivery:loop_blocked"
        for member in self._members:
            if (why := member.why_not_alive()) is not None:
                yield f"{member.subscription.group}:{why}"

    def _why_not_ready(self) -> Iterator[str]:
        if self._stopping:
            yield "delivery:stopping"
        for member in self._members:
            if (why := member.why_not_ready()) is not None:
                yield f"{member.subscription.group}:{why}"

    async def _turn(self) -> None:
        self._turned = self._means.clock.monotonic()

    async def _heed(self) -> None:
        """Release what an operator released since the last look."""
        if self._releases is None:
            return
        with suppress(RetryableError):  # it is asked again
            last = await self._releases()
            before = last if self._heeded is None else self._heeded
            self._heeded = last
            for group in last:
                if last[group] != before.get(group):
                    self.release(group)

    async def _repeat(
        self, seconds: float, job: Callable[[], Any], due: asyncio.Event | None = None
    ) -> None:
        while True:
            if due is not None:
                await due.wait()
            await self._means.clock.sleep(seconds)
            try:
                await job()
            except Exception as error:  # noqa: BLE001 - the loop that must go on
                self._means.signals.unexpected("delivery", type(error).__name__)


async def _ended(tasks: Collection[asyncio.Task[None]]) -> None:
    """End them. A client may keep a cancellation to itself: then it gets another."""
    while tasks:
        for task in tasks:
            task.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=ENDS_WITHIN_S)
