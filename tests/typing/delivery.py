"""Read by mypy alone: an unused ``type: ignore`` is an error, so each line must err."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from consumers.delivery import concurrent, ordered, ordered_batch, ordered_raw
from pipeline.ports.bus import Record
from schemas.events import Event
from schemas.requests import RequestAccepted, RequestScreened
from schemas.topics import REQUESTS_ACCEPTED, REQUESTS_INBOX, Outgoing

Answer = Awaitable[Sequence[Outgoing[Any]]]
Accepted = Event[RequestAccepted]
Screened = Event[RequestScreened]


def one_by_one(
    keys: Callable[[Sequence[Accepted]], Awaitable[int]],
    names: Callable[[Sequence[Accepted]], Awaitable[str]],
    right: Callable[[Accepted, int], Answer],
    wrong: Callable[[Screened, int], Answer],
    lone: Callable[[Accepted, None], Answer],
) -> None:
    ordered(REQUESTS_ACCEPTED, right, prepare=keys)
    ordered(REQUESTS_ACCEPTED, lone)
    ordered(REQUESTS_ACCEPTED, wrong, prepare=keys)  # type: ignore[arg-type]
    ordered(REQUESTS_ACCEPTED, right, prepare=names)  # type: ignore[misc]
    ordered(REQUESTS_ACCEPTED, right)  # type: ignore[arg-type]


def many(
    raw: Callable[[Sequence[Record]], Answer],
    whole: Callable[[Sequence[tuple[Record, Accepted]]], Answer],
    other: Callable[[Sequence[tuple[Record, Screened]]], Answer],
) -> None:
    ordered_batch(REQUESTS_ACCEPTED, whole)
    ordered_batch(REQUESTS_ACCEPTED, other)  # type: ignore[arg-type]
    ordered_raw(REQUESTS_INBOX, raw)
    ordered_raw(REQUESTS_INBOX, whole)  # type: ignore[arg-type]


def at_once(
    keys: Callable[[Sequence[Accepted]], Awaitable[int]],
    right: Callable[[Accepted, int], Answer],
    wrong: Callable[[Screened, int], Answer],
    lane: Callable[[Accepted], str],
    odd: Callable[[Screened], str],
) -> None:
    topic = REQUESTS_ACCEPTED
    concurrent(topic, right, prepare=keys, lane=lane)
    concurrent(topic, wrong, prepare=keys, lane=lane)  # type: ignore[arg-type]
    concurrent(topic, right, prepare=keys, lane=odd)  # type: ignore[arg-type]
