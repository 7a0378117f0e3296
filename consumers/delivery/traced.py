"""Spans over handlers: one a record, below the one that its record names.

What a handler returns carries the span's ``traceparent`` on, so the next hop's span
stands below it. Without tracing nothing here is called.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from consumers.delivery.means import Means
from consumers.delivery.subscriptions import Subscription
from consumers.delivery.trials import Call
from pipeline.ports.bus import Record
from pipeline.ports.tracing import Fact, Span, Tracing
from schemas.events import Event
from schemas.ids import EventId
from schemas.topics import Outgoing

Handle = Callable[[Sequence[Any]], Awaitable[Sequence[Outgoing[Any]]]]


def traced(
    call: Call, subscription: Subscription, record: Record, means: Means
) -> Call:
    """``call`` under a span; each attempt has one of its own."""
    tracing, attempt = means.tracing, 0
    if tracing is None:
        return call

    async def under() -> Sequence[Outgoing[Any]]:
        nonlocal attempt
        attempt += 1
        span = _begin(tracing, subscription, record, attempt)
        with ended([span]):
            return [below(out, span) for out in await call()]

    return under


def traced_batch(handle: Handle, subscription: Subscription, means: Means) -> Handle:
    """A whole poll's handler, with a span over each of its records.

    What strangers wrote names no story of ours; there, each event that was admitted
    gets the span, below the story that admission found or began for it.
    """
    tracing = means.tracing
    if tracing is None:
        return handle
    if subscription.stranger:
        return _after(handle, subscription, tracing, means)
    return _over(handle, subscription, tracing)


def _over(handle: Handle, subscription: Subscription, tracing: Tracing) -> Handle:
    async def under(batch: Sequence[Any]) -> Sequence[Outgoing[Any]]:
        spans = {
            event.attributes.id: _begin(tracing, subscription, record, 1)
            for record, event in batch
        }
        with ended([*spans.values()]):
            made = await handle(batch)
        return [below(out, spans.get(_cause(out))) for out in made]

    return under


def _cause(out: Outgoing[Any]) -> EventId:
    return out.event.attributes.causation or EventId("")


def _after(
    handle: Handle, subscription: Subscription, tracing: Tracing, means: Means
) -> Handle:
    async def under(batch: Sequence[Any]) -> Sequence[Outgoing[Any]]:
        began = means.clock.now()
        made = await handle(batch)
        name, found = _name(subscription), list[Outgoing[Any]]()
        for out in made:
            attributes = out.event.attributes
            facts: dict[str, Fact] = {"sluice.event_id": attributes.id}
            parent = attributes.traceparent
            span = tracing.begin(name, "consumer", parent, facts, at=began)
            span.end()
            found.append(below(out, span))
        return found

    return under


@contextmanager
def ended(spans: Sequence[Span]) -> Iterator[None]:
    """End them with the block, and say how it failed; never with what text."""
    error: str | None = None
    try:
        yield
    except BaseException as raised:
        error = type(raised).__name__
        raise
    finally:
        for span in spans:
            span.end(error)


def below(out: Outgoing[Any], span: Span | None) -> Outgoing[Any]:
    """The event again, as something that follows from ``span``."""
    if span is None:
        return out
    attributes = replace(out.event.attributes, traceparent=span.traceparent)
    return replace(out, event=Event(attributes, out.event.data))


def _begin(
    tracing: Tracing, subscription: Subscription, record: Record, attempt: int
) -> Span:
    facts: dict[str, Fact] = {
        "messaging.system": "kafka",
        "messaging.destination.name": subscription.topic.name,
        "messaging.destination.partition.id": str(record.partition),
        "messaging.kafka.offset": record.offset,
        "messaging.consumer.group.name": subscription.group,
        "sluice.attempt": attempt,
    }
    return tracing.begin(_name(subscription), "consumer", _parent(record), facts)


def _name(subscription: Subscription) -> str:
    return f"process {subscription.group}"


def _parent(record: Record) -> str | None:
    """What the record says came before; unreadable: nothing."""
    value = dict(record.headers).get("traceparent") or b""
    return value.decode("ascii", "replace")
