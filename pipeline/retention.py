"""When keys are made ready for, and when they are due to go."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from pipeline.keystore import CLASSES, TRANSIENT, KeyId, Partition
from pipeline.ports.keys import KeyRef
from schemas.events import Event
from schemas.ids import RequestId
from schemas.requests import RequestFinished

AHEAD_DAYS = 3
"""Days that are ready before they begin: a weekend without the worker harms nobody."""


def ahead(now: datetime) -> Sequence[Partition]:
    """What must be there: every class, for yesterday, today and the days to come.

    Yesterday, because clocks differ; without what would be due to go at once.
    """
    days = [(now + timedelta(days=n)).date() for n in range(-1, AHEAD_DAYS + 1)]
    wanted = [Partition(each, day) for each in CLASSES for day in days]
    return [partition for partition in wanted if partition.drops_at > now]


def expired(there: Iterable[Partition], now: datetime) -> Sequence[Partition]:
    """What is due to go, in the order of ``there``.

    Law: nothing is both expired and among what must be there.
    """
    return [partition for partition in there if partition.drops_at <= now]


def passing(ended: Iterable[Event[RequestFinished]]) -> Sequence[KeyRef]:
    """The ``transient`` keys of requests that ended: nobody needs them any more.

    Who waits for an answer holds its key itself; what is told to others later lies
    under keys of its own.
    """
    return [
        KeyRef(
            event.attributes.tenant,
            RequestId(event.attributes.subject),
            KeyId(event.data.terms.key_id),
        )
        for event in ended
        if event.data.terms
        and event.data.terms.retention.retention_class == TRANSIENT.name
    ]
