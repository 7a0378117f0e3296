"""The ways in: which handler gets what of which topic."""

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias, TypeVar, overload

from consumers.delivery.holding import Holding
from pipeline.ports.bus import Record
from schemas.events import Data, Event
from schemas.topics import Outgoing, Topic

C = TypeVar("C")
Published: TypeAlias = Awaitable[Sequence[Outgoing[Any]]]
StoredOffsets: TypeAlias = Callable[[Sequence[int]], Awaitable[Mapping[int, int]]]
"""By partition, the offset to begin at, where the group's is not before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much a concurrent subscription has in hand.

    Attributes:
        total: handlers that run at once.
        per_lane: handlers of one lane that run at once.
        queued_per_lane: records that wait for their lane; beyond it: overflow.
        taken: unfinished records of a partition at which it pauses; it goes on at half.
    """

    total: int = 256
    per_lane: int = 64
    queued_per_lane: int = 64
    taken: int = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Each:
    """One event after another; what they need is fetched once a batch."""

    prepare: Callable[[Sequence[Event[Any]]], Awaitable[Any]]
    handle: Callable[[Event[Any], Any], Published]


@dataclass(frozen=True, slots=True, kw_only=True)
class Many:
    """A whole batch at once.

    Attributes:
        decoded: off, the handler gets records, and believes nothing.
    """

    handle: Callable[[Sequence[Any]], Published]
    decoded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Lanes:
    """Many events at once, in lanes; see :func:`concurrent`."""

    prepare: Callable[[Sequence[Event[Any]]], Awaitable[Any]]
    handle: Callable[[Event[Any], Any], Published]
    lane: Callable[[Event[Any]], Hashable]
    overflow: Callable[[Event[Any], Any], Published] | None
    deadline: Callable[[Event[Any]], datetime] | None
    holding: Holding | None
    bounds: Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One topic in the hands of one handler.

    Plain on purpose: were it generic, mypy would solve a wrong handler's type as Any
    and say nothing.

    Attributes:
        stranger: others than us write to it: headers are not believed, values are
            sealed before they are buried, and there is no brake.
        linger_s: how long the broker may hold records back so that more come along;
            for what nobody waits for.
    """

    topic: Topic[Any]
    work: Each | Many | Lanes
    max_records: int = 500
    stranger: bool = False
    offsets: StoredOffsets | None = None
    linger_s: float = 0.0

    @property
    def group(self) -> str:
        """The consumer group."""
        if self.topic.group is None:
            raise ValueError(f"{self.topic.name}: expected a topic with a group")
        return self.topic.group


async def nothing(_: Sequence[Event[Any]]) -> None:
    """The preparation of a handler that needs nothing."""


@overload
def ordered(
    topic: Topic[Data], handle: Callable[[Event[Data], None], Published]
) -> Subscription: ...


@overload
def ordered(
    topic: Topic[Data],
    handle: Callable[[Event[Data], C], Published],
    *,
    prepare: Callable[[Sequence[Event[Data]]], Awaitable[C]],
) -> Subscription: ...


def ordered(
    topic: Topic[Data],
    handle: Callable[[Event[Data], Any], Published],
    *,
    prepare: Callable[[Sequence[Event[Data]]], Awaitable[Any]] = nothing,
) -> Subscription:
    """Handle a partition's events one after another.

    ``prepare`` gets a poll's events, and what it returns is given to each ``handle``.
    What the events of one poll and partition returned is published together, and
    then committed.
    """
    return Subscription(topic=topic, work=Each(prepare=prepare, handle=handle))


def ordered_batch(
    topic: Topic[Data],
    handle: Callable[[Sequence[tuple[Record, Event[Data]]]], Published],
    *,
    offsets: StoredOffsets | None = None,
    max_records: int = 1_000,
    linger_s: float = 0.0,
) -> Subscription:
    """Handle a whole poll at once: up to ``max_records``, in order per partition.

    Where it raises what is not a ``RetryableError``, it is called again with one
    record at a time, to find which.

    ``offsets`` is asked at assignment: where the handler's own transaction stored an
    offset before the group's, it says where to begin, so a store that was put back
    gets again what it lost. A partition of which the group knows nothing begins at its
    start whatever was stored: its topic may be another of the same name. So the handler
    must drop what it had.

    ``linger_s``: see :attr:`Subscription.linger_s`.
    """
    return Subscription(
        topic=topic,
        work=Many(handle=handle, decoded=True),
        max_records=max_records,
        offsets=offsets,
        linger_s=linger_s,
    )


def ordered_raw(
    topic: Topic[Any], handle: Callable[[Sequence[Record]], Published]
) -> Subscription:
    """Handle a whole poll of records that strangers wrote, as they are.

    Else as :func:`ordered_batch`; see :attr:`Subscription.stranger`.
    """
    work = Many(handle=handle, decoded=False)
    return Subscription(topic=topic, work=work, stranger=True)


def concurrent(
    topic: Topic[Data],
    handle: Callable[[Event[Data], C], Published],
    *,
    prepare: Callable[[Sequence[Event[Data]]], Awaitable[C]],
    lane: Callable[[Event[Data]], Hashable],
    overflow: Callable[[Event[Data], C], Published] | None = None,
    deadline: Callable[[Event[Data]], datetime] | None = None,
    holding: Holding | None = None,
    bounds: Bounds | None = None,
) -> Subscription:
    """Handle many events at once, in any order; commit what is contiguous.

    Every event must end: by a deadline of the handler's own.
    Events of one ``lane`` share ``bounds.per_lane``, so one that hangs holds up its
    own lane alone. ``overflow`` ends an event that found its lane's queue full; without
    it, the event waits. A handler that runs 30 s beyond the event's ``deadline`` makes
    the process not alive. What it tells ``holding`` counts as waiting.
    """
    work = Lanes(
        prepare=prepare,
        handle=handle,
        lane=lane,
        overflow=overflow,
        deadline=deadline,
        holding=holding,
        bounds=bounds or Bounds(),
    )
    return Subscription(topic=topic, work=work)
