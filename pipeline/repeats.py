"""Deliveries as an operator sees them, and what is sent once more at their word."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal, TypeAlias, get_args

from pipeline.webhooks import KEPT
from schemas.ids import EndpointId

State: TypeAlias = Literal["due", "delivered", "exhausted", "skipped", "erased"]
STATES: Final[tuple[State, ...]] = get_args(State)
MOST_ATTEMPTS: Final = 32
"""The event that is due names no higher number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One delivery in ids and words of ours: no body, no address, no secret.

    Attributes:
        message_id: the ``webhook-id``; the event's id is the same behind ``evt_``.
        created_at: when that arose of which it tells.
        attempts: how many were made.
        last: what the last of them was answered, a status or the word for none; None:
            nobody tried.
        next_at: when it is attempted at the latest, unless it waits once more for its
            endpoint; None: it is over.
    """

    id: str
    message_id: str
    kind: str
    endpoint_id: EndpointId
    created_at: datetime
    state: State
    attempts: int
    last: str | None
    last_at: datetime | None
    next_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One page of a tenant's deliveries, newest first.

    Attributes:
        endpoint: None: of any.
        after: the id of the delivery behind which the page begins.
        limit: so many at most.
    """

    limit: int
    endpoint: EndpointId | None = None
    states: tuple[State, ...] = STATES
    after: str | None = None


class Repeat(StrEnum):
    """What became of an operator's word that a delivery be sent once more."""

    AGAIN = "due again"
    SOONER = "due now"
    DELIVERED = "it was delivered: it stays as it is"
    ERASED = "its tenant's keys are destroyed: nobody can open its address"
    OLD = "it is older than 30 days: it is about to be deleted"
    DISABLED = (
        "its endpoint is disabled: any change of that enables it, then say it again"
    )
    UNDER_WAY = "it is being attempted"
    TOO_OFTEN = "it had 32 attempts: it gets no more"


DONE: Final = frozenset({Repeat.AGAIN, Repeat.SOONER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a delivery stands at the moment.

    Attributes:
        attempt: the number of the attempt that is next, or was the last.
        age: since that arose of which it tells.
    """

    state: State
    attempt: int
    age: timedelta
    leased: bool
    disabled: bool


def repeat(of: Standing) -> Repeat:
    """May it be attempted once more?"""
    if of.state == "delivered":
        return Repeat.DELIVERED
    if of.state == "erased":
        return Repeat.ERASED
    if of.age >= KEPT:
        return Repeat.OLD
    if of.disabled:
        return Repeat.DISABLED
    if of.state == "due":
        return Repeat.UNDER_WAY if of.leased else Repeat.SOONER
    return Repeat.AGAIN if of.attempt < MOST_ATTEMPTS else Repeat.TOO_OFTEN


def number(of: Standing) -> int:
    """The number of the attempt that is then due.

    What was over gets one that it never had: a late word of an attempt before would
    else be taken for this one's end. Behind the schedule it is followed by no other.
    """
    return of.attempt if of.state == "due" else of.attempt + 1


@dataclass(frozen=True, slots=True)
class Repeated:
    """What became of one delivery."""

    delivery: str
    endpoint_id: EndpointId
    became: Repeat
