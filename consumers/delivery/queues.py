"""Lanes: what waits in each, and whose turn it is."""

from collections import deque
from collections.abc import Collection, Hashable, Iterator
from dataclasses import dataclass, field

from consumers.delivery.subscriptions import Bounds
from consumers.delivery.trials import Call
from pipeline.ports.bus import Record


@dataclass(slots=True, eq=False)
class Job:
    """One record on its way.

    Attributes:
        until: monotonic seconds at which its handler must be done: whoever sets the
            machine's clock must not make a running call overdue. None: no deadline.
        began: monotonic seconds at which it was last called.
        waits: how often it went back into its lane.
    """

    record: Record
    call: Call
    lane: Hashable
    epoch: int
    until: float | None = None
    began: float = 0.0
    waits: int = 0


@dataclass(slots=True)
class Lane:
    """What waits, and how many run."""

    queue: deque[Job] = field(default_factory=deque)
    running: int = 0


class Queues:
    """The lanes of one member."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._lanes: dict[Hashable, Lane] = {}
        self._running = 0

    @property
    def _all_taken(self) -> bool:
        return self._running >= self._bounds.total

    def put(self, job: Job) -> None:
        """Let it wait for its turn."""
        self._lanes.setdefault(job.lane, Lane()).queue.append(job)

    def is_full(self, name: Hashable) -> bool:
        """Is there no place left, neither to run in that lane nor to wait for it?

        What one poll brings is queued before any of it is started.
        """
        lane = self._lanes.get(name, Lane())
        mine = self._bounds.per_lane - lane.running
        places = max(0, min(mine, self._bounds.total - self._running))
        return len(lane.queue) >= self._bounds.queued_per_lane + places

    def turns(self) -> Iterator[Job]:
        """What there is room for, each lane in turn; who began last is last.

        Each must have begun before the next is asked for.
        """
        lanes = deque(lane for lane in self._lanes.values() if lane.queue)
        while lanes and not self._all_taken:
            lane = lanes.popleft()
            if lane.running >= self._bounds.per_lane:
                continue
            yield lane.queue.popleft()
            if lane.queue:
                lanes.append(lane)

    def began(self, job: Job) -> None:
        """It runs, whether it had waited or not."""
        # Behind the others, who come first when a place that all share is free.
        lane = self._lanes[job.lane] = self._lanes.pop(job.lane, Lane())
        lane.running += 1
        self._running += 1

    def ended(self, job: Job) -> None:
        """It runs no more."""
        lane = self._lanes[job.lane]
        lane.running -= 1
        self._running -= 1
        self._drop_empty(job.lane)

    def behind(self, names: Collection[Hashable]) -> Iterator[Job]:
        """What waits in lanes of these names: for all places, if all are taken."""
        everywhere = self._all_taken and bool(names)
        for name, lane in self._lanes.items():
            if everywhere or name in names:
                yield from lane.queue

    def clear(self) -> None:
        """Nothing waits any more; what runs goes on."""
        for name, lane in [*self._lanes.items()]:
            lane.queue.clear()
            self._drop_empty(name)

    def _drop_empty(self, name: Hashable) -> None:
        lane = self._lanes[name]
        if not lane.running and not lane.queue:
            del self._lanes[name]

    def __len__(self) -> int:
        """How many lanes there is something in."""
        return len(self._lanes)
