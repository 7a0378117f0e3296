"""The identities that thread through everything."""

from hashlib import sha1
from typing import Final, NewType
from uuid import UUID

TenantId = NewType("TenantId", str)
"""Canonical text of a UUIDv7."""
RequestId = NewType("RequestId", str)
"""Canonical text of a UUID: the same in headers, topics, tables, ledger and errors."""
EventId = NewType("EventId", str)
"""Canonical text of a UUIDv5 of the event's cause and its kind."""
EndpointId = NewType("EndpointId", str)
Actor = NewType("Actor", str)
"""A principal: ``key:``, ``client:``, ``user:``, ``agent:``, ``system:`` and an id."""

_NAMESPACE: Final = UUID("5b1f0f6e-8e2c-5a52-9f61-6a0f6c1d7a11").bytes
_UUID5: Final = {digit: f"{int(digit, 16) & 3 | 8:x}" for digit in "0123456789abcdef"}
"""The digit that holds the variant, from the hash's own."""


def derived(*parts: str) -> str:
    """The UUIDv5 (RFC 9562 section 5.5) of ``parts``.

    Law: equal parts give the equal id, so a redelivery makes the same id again.
    Parts are joined by U+001F, which no id and no kind holds.
    """
    # As uuid.uuid5 has it, without an object in between: there are ten to a request.
    name = _NAMESPACE + "\x1f".join(parts).encode()
    d = sha1(name, usedforsecurity=False).hexdigest()
    return f"{d[:8]}-{d[8:12]}-5{d[13:16]}-{_UUID5[d[16]]}{d[17:20]}-{d[20:32]}"


def event_id(cause: str, kind: str) -> EventId:
    """The id of the ``kind`` of event that ``cause`` brings about."""
    return EventId(derived(cause, kind))
