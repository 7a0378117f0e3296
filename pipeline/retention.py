"""When keys are made ready for, and when they are due to go."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta

from pipeline.keystore import CLASSES, Partition, RetentionClass, last_dropped

AHEAD_DAYS = 3
"""Days that are ready before they begin: a weekend without the worker harms nobody."""


def ahead(now: datetime) -> Sequence[Partition]:
    """What must be there: every class, for yesterday, today and the days to come.

    Yesterday, because clocks differ; without what would be due to go at once.
    """
    days = [(now + timedelta(days=n)).date() for n in range(-1, AHEAD_DAYS + 1)]
    wanted = [Partition(each, day) for each in CLASSES for day in days]
    return [partition for partition in wanted if partition.drops_at > now]


def last_expired(now: datetime) -> Mapping[RetentionClass, date]:
    """By class the last day whose keys are due to go, and all days before it.

    Law: it agrees with :attr:`Partition.drops_at`.
    """
    return {each: last_dropped(each, now) for each in CLASSES}


def expired(there: Iterable[Partition], now: datetime) -> Sequence[Partition]:
    """What is due to go, in the order of ``there``.

    Law: nothing is both expired and among what must be there.
    """
    return [partition for partition in there if partition.drops_at <= now]
