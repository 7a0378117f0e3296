"""From an error to a decision, and how long to wait before trying again."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from pipeline.errors import (
    IntegrityError,
    InvalidMessage,
    LogClosed,
    NotYet,
    RetryableError,
    place,
)
from pipeline.ports.system import Entropy
from schemas.topics import Outgoing

QUICK_S = (0.05, 0.2, 0.8)
"""Tries in place after the first, before the partition waits."""
ATTEMPTS = 5
"""Of an error that nobody translated; after them the record is buried."""
LONGEST_WAIT_S = 60.0


class Reason(StrEnum):
    """Why a record was buried."""

    INVALID_MESSAGE = "invalid_message"
    HANDLER_ERROR = "handler_error"


@dataclass(frozen=True, slots=True)
class Handled:
    """The handler is done; this is to be published."""

    outgoing: Sequence[Outgoing[Any]]


@dataclass(frozen=True, slots=True)
class Bury:
    """One dead letter, then on.

    Attributes:
        where: class and field names, or a place in our code; no values.
        counts: it may be our fault, so the brake counts it.
    """

    reason: Reason
    where: str
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Again:
    """Try again; where tries in place did not help, wait."""


@dataclass(frozen=True, slots=True)
class Later:
    """It is due in so many seconds; nothing is wrong."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Halt:
    """Stop this partition here until somebody looks."""


Verdict: TypeAlias = Handled | Bury | Again | Later | Halt


def judge(error: Exception, failed: int) -> Bury | Again | Later | Halt:
    """What happens next. ``failed``: untranslated errors of this record, this one too.

    Law: a :class:`RetryableError` has no last attempt.
    """
    if isinstance(error, InvalidMessage):
        # A log's end is its tenant's: whoever still speaks of it stops no other's.
        counts = not isinstance(error, LogClosed)
        return Bury(Reason.INVALID_MESSAGE, error.where, counts=counts)
    if isinstance(error, NotYet):
        return Later(error.seconds)
    if isinstance(error, RetryableError):
        return Again()
    if isinstance(error, IntegrityError):
        return Halt()
    if failed >= ATTEMPTS:
        return Bury(Reason.HANDLER_ERROR, place(error))
    return Again()


def translated(error: Exception) -> bool:
    """Is it an error of ours that says what happens next?"""
    ours = InvalidMessage | NotYet | RetryableError | IntegrityError
    return isinstance(error, ours)


def back_off(waits: int, entropy: Entropy) -> float:
    """Seconds to wait after ``waits`` waits before: full jitter, 60 at most."""
    return entropy.uniform(0, min(LONGEST_WAIT_S, 2.0 ** min(waits, 10)))
