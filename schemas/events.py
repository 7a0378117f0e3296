"""An event: CloudEvents 1.0 attributes beside typed data, in Kafka's binary mode.

Attributes travel as record headers (Kafka protocol binding 1.0), the data as the
record's value. Identity so survives an unreadable body. See docs/adr/0001.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Generic, TypeVar

import orjson

from schemas.base import Schema
from schemas.ids import EventId, TenantId, event_id

Data = TypeVar("Data", bound=Schema)
Data_co = TypeVar("Data_co", bound=Schema, covariant=True)

Headers = list[tuple[str, bytes]]
_QUOTED: Final = 29
"""Characters of a moment with six digits of a second, in quotes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """Who, when, for whom and because of what.

    Attributes:
        id: derived from the cause and the kind; equal on every redelivery.
        type: the data's type with its version, e.g. ``request.screened.v1``.
        source: which part of Sluice speaks, e.g. ``/sluice/screening``.
        subject: the request id; for an event about no request, what it is about.
        tenant: whose event this is; a claim until a seal was opened with it.
        time: when the event arose, in UTC.
        causation: the id of the event that brought this one about.
        origin: the W3C traceparent of where the story began; it never changes.
        traceparent: the W3C traceparent of the last hop.
    """

    id: EventId
    type: str
    source: str
    subject: str
    tenant: TenantId
    time: datetime
    causation: EventId | None = None
    origin: str | None = None
    traceparent: str | None = None

    def headers(self) -> Headers:
        """The record headers of binary mode (Kafka protocol binding 1.0, 3.2)."""
        optional = (
            ("ce_causation", self.causation),
            ("ce_traceparent", self.origin),
            ("traceparent", self.traceparent),
        )
        return [
            ("ce_specversion", b"1.0"),
            ("ce_id", self.id.encode()),
            ("ce_type", self.type.encode()),
            ("ce_source", self.source.encode()),
            ("ce_subject", self.subject.encode()),
            ("ce_tenant", self.tenant.encode()),
            ("ce_time", timestamp(self.time).encode()),
            ("content-type", b"application/json"),
            *((name, value.encode()) for name, value in optional if value),
        ]

    @classmethod
    def from_headers(cls, headers: Iterable[tuple[str, bytes | None]]) -> "Attributes":
        """Read what :meth:`headers` wrote; unknown headers are passed over.

        Raises:
            ValueError: a required header is missing, null, not UTF-8, or no time.
        """
        found = {name: value for name, value in headers if name in _READ}
        if found.get("ce_specversion") != b"1.0":
            raise ValueError("ce_specversion: expected 1.0")
        return cls(
            id=EventId(_required(found, "ce_id")),
            type=_required(found, "ce_type"),
            source=_required(found, "ce_source"),
            subject=_required(found, "ce_subject"),
            tenant=TenantId(_required(found, "ce_tenant")),
            time=_time(_required(found, "ce_time")),
            causation=EventId(cause)
            if (cause := _text(found, "ce_causation"))
            else None,
            origin=_text(found, "ce_traceparent"),
            traceparent=_text(found, "traceparent"),
        )


_READ = frozenset(
    {
        "ce_specversion",
        "ce_id",
        "ce_type",
        "ce_source",
        "ce_subject",
        "ce_tenant",
        "ce_time",
        "ce_causation",
        "ce_traceparent",
        "traceparent",
    }
)


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with six digits of a second: always 27 characters."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    # A third of what `isoformat` takes; it leaves six zeros out.
    raw = orjson.dumps(moment, None, orjson.OPT_UTC_Z).decode()
    return raw[1:-1] if len(raw) == _QUOTED else f"{raw[1:20]}.000000Z"


def _text(found: Mapping[str, bytes | None], name: str) -> str | None:
    value = found.get(name)
    if not value:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{name}: expected UTF-8") from None


def _required(found: Mapping[str, bytes | None], name: str) -> str:
    value = _text(found, name)
    if value is None:
        raise ValueError(f"{name}: expected a value")
    return value


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("ce_time: expected RFC 3339") from None
    if moment.tzinfo is None:
        raise ValueError("ce_time: expected an offset")
    return moment


@dataclass(frozen=True, slots=True)
class Event(Generic[Data_co]):
    """Attributes and data; what every consumer handles."""

    attributes: Attributes
    data: Data_co


def after(
    cause: Attributes,
    kind: str,
    *,
    source: str,
    time: datetime,
    name: str | None = None,
) -> Attributes:
    """The attributes of the ``kind`` of event that ``cause`` brings about.

    Law: equal causes and names give equal ids, whatever the time.

    Attributes:
        name: tells it from another event of its kind by this cause; None: its kind.
    """
    return Attributes(
        id=event_id(cause.id, name or kind),
        type=kind,
        source=source,
        subject=cause.subject,
        tenant=cause.tenant,
        time=time,
        causation=cause.id,
        origin=cause.origin,
        traceparent=cause.traceparent,
    )
