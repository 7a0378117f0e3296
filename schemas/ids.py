"""The identities that thread through everything."""

from typing import NewType
from uuid import UUID, uuid5

TenantId = NewType("TenantId", str)
"""Canonical text of a UUIDv7."""
RequestId = NewType("RequestId", str)
"""Canonical text of a UUID: the same in headers, topics, tables, ledger and errors."""
EventId = NewType("EventId", str)
"""Canonical text of a UUIDv5 of the event's cause and its kind."""
EndpointId = NewType("EndpointId", str)
Actor = NewType("Actor", str)
"""A principal: ``key:``, ``client:``, ``user:``, ``agent:``, ``system:`` and an id."""

_NAMESPACE = UUID("5b1f0f6e-8e2c-5a52-9f61-6a0f6c1d7a11")


def derived(*parts: str) -> str:
    """The UUIDv5 (RFC 9562 section 5.5) of ``parts``.

    Law: equal parts give the equal id, so a redelivery makes the same id again.
    Parts are joined by U+001F, which no id and no kind holds.
    """
    return str(uuid5(_NAMESPACE, "\x1f".join(parts)))


def event_id(cause: str, kind: str) -> EventId:
    """The id of the ``kind`` of event that ``cause`` brings about."""
    return EventId(derived(cause, kind))
