"""A poll's records, read, with what their handlers need fetched once for all."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from consumers.delivery.attempts import QUICK_S
from consumers.delivery.decode import decode
from consumers.delivery.means import Means
from consumers.delivery.subscriptions import (
    Each,
    Lanes,
    Many,
    Published,
    Subscription,
)
from consumers.delivery.traced import traced, traced_batch
from consumers.delivery.trials import Call, raising
from pipeline.errors import InvalidMessage, RetryableError
from pipeline.ports.bus import Record
from schemas.events import Event
from schemas.topics import Outgoing


@dataclass(frozen=True, slots=True)
class Item:
    """One record, and what to call to handle it.

    Attributes:
        event: None where nothing was decoded, or nothing could be.
        overflow: what to call where its lane has no room; None: it waits.
        done: its effects are durable already; calling it does nothing.
    """

    record: Record
    call: Call
    event: Event[Any] | None = None
    overflow: Call | None = None
    done: bool = False


@dataclass(frozen=True, slots=True)
class Readable:
    """A record that says what its topic says it should."""

    record: Record
    event: Event[Any]


def read(
    subscription: Subscription, records: Sequence[Record]
) -> list[Readable | Item]:
    """Decode each; one that cannot be read becomes an item that says so."""
    return [_read(subscription, record) for record in records]


def _read(subscription: Subscription, record: Record) -> Readable | Item:
    try:
        return Readable(record, decode(subscription.topic, record))
    except InvalidMessage as error:
        return Item(record, raising(error))


async def each(
    work: Each | Lanes, found: Sequence[Readable | Item], means: Means
) -> list[Item]:
    """Items of a mode that handles one event at a time.

    Raises:
        RetryableError: what they need cannot be had now.
    """
    events = [one.event for one in found if isinstance(one, Readable)]
    context = await _context(work, events, means) if events else None
    return [
        _item(work, one, context) if isinstance(one, Readable) else one for one in found
    ]


def _item(work: Each | Lanes, one: Readable, context: "Context | None") -> Item:
    overflow = work.overflow if isinstance(work, Lanes) else None
    return Item(
        record=one.record,
        call=_call(work, work.handle, one.event, context),
        event=one.event,
        overflow=overflow and _call(work, overflow, one.event, context),
    )


@dataclass(frozen=True, slots=True)
class Context:
    """What ``prepare`` returned."""

    of: Any


def with_spans(
    items: list[Item], subscription: Subscription, means: Means
) -> list[Item]:
    """The same, each handled under a span of its own where traces are kept."""
    if means.tracing is None:
        return items
    return [
        item
        if item.done
        else replace(
            item,
            call=traced(item.call, subscription, item.record, means),
            overflow=item.overflow
            and traced(item.overflow, subscription, item.record, means),
        )
        for item in items
    ]


async def _context(
    work: Each | Lanes, events: Sequence[Event[Any]], means: Means
) -> Context | None:
    """None: something is wrong with one of them; each prepares by itself."""
    try:
        return Context(await quickly(lambda: work.prepare(events), means))
    except RetryableError:
        raise
    except Exception:  # noqa: BLE001 - found again, and judged, one by one
        return None


def _call(
    work: Each | Lanes,
    handle: Callable[[Event[Any], Any], Published],
    event: Event[Any],
    context: Context | None,
) -> Call:
    async def call() -> Sequence[Outgoing[Any]]:
        own = context or Context(await work.prepare([event]))
        return await handle(event, own.of)

    return call


async def many(
    subscription: Subscription, work: Many, records: Sequence[Record], means: Means
) -> list[Item]:
    """Items of a mode that handles a whole poll: handled already, where that went well.

    Raises:
        RetryableError: it cannot be handled, or published, now.
    """
    found = read(subscription, records) if work.decoded else [*records]
    given = [_given(one) for one in found if not isinstance(one, Item)]

    handle = traced_batch(work.handle, subscription, means)

    async def whole() -> None:
        await means.publisher.publish(await handle(given))

    try:
        if given:
            await quickly(whole, means)
    except RetryableError:
        raise
    except Exception:  # noqa: BLE001 - found again, and judged, one by one
        return [_one(work, one) for one in found]
    return [one if isinstance(one, Item) else _done(one) for one in found]


def _given(one: Readable | Record) -> Any:
    return (one.record, one.event) if isinstance(one, Readable) else one


def _one(work: Many, one: Readable | Record | Item) -> Item:
    if isinstance(one, Item):
        return one

    async def call() -> Sequence[Outgoing[Any]]:
        return await work.handle([_given(one)])

    return Item(_record(one), call)


def _done(one: Readable | Record) -> Item:
    return Item(_record(one), _no_more, done=True)


async def _no_more() -> Sequence[Outgoing[Any]]:
    return ()


def _record(one: Readable | Record) -> Record:
    return one.record if isinstance(one, Readable) else one


async def quickly(call: Callable[[], Awaitable[Any]], means: Means) -> Any:
    """Call; three times more where something shared is away."""
    for pause in QUICK_S:
        try:
            return await call()
        except RetryableError:
            await means.clock.sleep(pause)
    return await call()
