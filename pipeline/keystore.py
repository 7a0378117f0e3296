"""Key ids, retention classes, and the day on which a partition of keys goes.

A key id names its own partition, so whoever holds a sealed record knows which key it
needs, and when that key will be gone, without asking anybody.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import NewType

KeyId = NewType("KeyId", str)
"""32 lower-case hex digits of 16 bytes: day u16, class u8, 13 random bytes."""

RANDOM_BYTES = 13
"""Random bytes of a key id: 104 bits, so two never meet."""

_EPOCH = date(1970, 1, 1)
_TRANSIENT_GRACE = timedelta(hours=1)
# A request admitted a second before midnight must outlive midnight; callers that wait
# for a transient answer wait for minutes, never for an hour.


@dataclass(frozen=True, slots=True)
class RetentionClass:
    """How long keys of this class live.

    Attributes:
        code: what a key id holds; never given twice.
        name: what policies and events say.
        period: how long content stays readable at least; zero for ``transient``,
            whose keys are destroyed one by one when their requests have ended.
    """

    code: int
    name: str
    period: timedelta


TRANSIENT = RetentionClass(0, "transient", timedelta())
CLASSES = (
    TRANSIENT,
    *(
        RetentionClass(code, f"{days}d", timedelta(days=days))
        for code, days in enumerate((1, 7, 30, 90, 180, 365), start=1)
    ),
)
_BY_NAME = {each.name: each for each in CLASSES}
_BY_CODE = {each.code: each for each in CLASSES}


def class_named(name: str) -> RetentionClass:
    """The class of this name.

    Raises:
        ValueError: there is none. A policy that cannot be read is an alarm: keys that
            nobody destroys look like success until somebody asks.
    """
    if name not in _BY_NAME:
        raise ValueError(f"expected a retention class of {', '.join(_BY_NAME)}")
    return _BY_NAME[name]


@dataclass(frozen=True, slots=True)
class Partition:
    """All keys of one class that were made on one day (UTC)."""

    retention_class: RetentionClass
    day: date

    @property
    def name(self) -> str:
        """How orders and records call it: ``<class>:<day>``."""
        return f"{self.retention_class.name}:{self.day.isoformat()}"

    @property
    def drops_at(self) -> datetime:
        """From then on the partition is dropped, and its content unreadable.

        Content lives for its class's period, and for 24 hours more at most.
        """
        midnight = datetime.combine(self.day + timedelta(days=1), time(), UTC)
        return midnight + (self.retention_class.period or _TRANSIENT_GRACE)


def partition_named(text: str) -> Partition:
    """The partition that orders and records call ``<class>:<day>``.

    Law: ``partition_named(p.name) == p``.

    Raises:
        ValueError: no class, or no day.
    """
    name, _, day = text.partition(":")
    return Partition(class_named(name), date.fromisoformat(day))


def last_dropped(retention_class: RetentionClass, now: datetime) -> date:
    """The last day of a class that is dropped by now.

    Law: ``Partition(c, d).drops_at <= now`` exactly for ``d <= last_dropped(c, now)``.
    """
    kept = retention_class.period or _TRANSIENT_GRACE
    return (now - kept).date() - timedelta(days=1)


def key_id(partition: Partition, random: bytes) -> KeyId:
    """A new key id in ``partition``.

    Raises:
        ValueError: ``random`` is not 13 bytes, or the day is before 1970 or so late
            that it does not fit 16 bits (2149-06-06).
    """
    if len(random) != RANDOM_BYTES:
        raise ValueError("expected 13 random bytes")
    return KeyId(partition_prefix(partition) + random.hex())


def partition_prefix(partition: Partition) -> str:
    """The six hex digits with which key ids of ``partition`` begin: day, then class.

    Law: days of one class are in order as their prefixes are.

    Raises:
        ValueError: the day does not fit 16 bits.
    """
    days = (partition.day - _EPOCH).days
    if not 0 <= days < 1 << 16:
        raise ValueError("expected a day of 16 bits")
    return (days.to_bytes(2, "big") + bytes((partition.retention_class.code,))).hex()


def partition_of(key: KeyId) -> Partition:
    """Where the key lies.

    Law: ``partition_of(key_id(p, r)) == p``.

    Raises:
        ValueError: no 32 lower-case hex digits, or a class that nobody defined.
    """
    raw = key_id_bytes(key)
    if raw[2] not in _BY_CODE:
        raise ValueError("expected a known retention class in the key id")
    day = _EPOCH + timedelta(days=int.from_bytes(raw[:2], "big"))
    return Partition(_BY_CODE[raw[2]], day)


def key_id_bytes(key: KeyId) -> bytes:
    """The 16 bytes of a key id; the inverse of ``bytes.hex``.

    Raises:
        ValueError: they are not 32 lower-case hex digits.
    """
    raw = bytes.fromhex(key)
    if raw.hex() != key or len(raw) != RANDOM_BYTES + 3:
        raise ValueError("expected a key id of 32 lower-case hex digits")
    return raw
