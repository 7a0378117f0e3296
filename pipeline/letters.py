"""Dead letters as an operator sees them: what is told of one, and how it is put back.

A letter is told without its content: sizes, a digest, and those headers that hold ids
and words of ours.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

from pipeline.ports.bus import RawOutgoing, Record
from schemas.ids import RequestId, TenantId
from schemas.topics import (
    REQUESTS_ACCEPTED,
    REQUESTS_FINISHED,
    REQUESTS_INBOX,
    REQUESTS_REDACTED,
    REQUESTS_SCREENED,
    Topic,
)

REPLAY_OF: Final = "replay_of"
"""The header that says which dead letter a record was put back from."""
OURS: Final = "dead_"
_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TRACE: Final = r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"
_SHOWN: Final[Mapping[str, re.Pattern[str]]] = {
    name: re.compile(pattern)
    for name, pattern in {
        "ce_specversion": r"1\.0",
        "ce_id": _UUID,
        "ce_subject": _UUID,
        "ce_tenant": _UUID,
        "ce_causation": _UUID,
        "ce_type": r"[a-z_]{1,32}(?:\.[a-z_]{1,32}){1,3}\.v[0-9]{1,3}",
        "ce_source": r"/sluice/[a-z_]{1,32}",
        "ce_time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z",
        "ce_traceparent": _TRACE,
        "traceparent": _TRACE,
        "content-type": r"application/json",
        REPLAY_OF: _UUID,
    }.items()
}
"""Headers whose values are shown, and how they must look for that."""
_OF_REQUESTS: Final = frozenset(
    topic.name
    for topic in (
        REQUESTS_ACCEPTED,
        REQUESTS_SCREENED,
        REQUESTS_REDACTED,
        REQUESTS_FINISHED,
    )
)


class Refusal(StrEnum):
    """Why a letter is not put back."""

    STRANGER = "its producer must send it again: no bearer token is ever kept"
    OMITTED = "it was too large to bury, so its value is not in the letter"
    NOBODYS = "its headers do not say whose it is"


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What is told of one dead letter.

    Attributes:
        id: the same for every burial of this record by this group.
        place: partition and offset of the letter in the dead-letter topic.
        partition: where the record lay, with ``offset``.
        where: class and field, or class, file and line, that could not handle it.
        at: when it was buried, RFC 3339.
        sha256: of the value as it lies there; for all but the inbox the one that the
            ledger's ``record.buried`` names.
        headers: names with safe values; of all others, their size.
    """

    id: str
    place: tuple[int, int]
    topic: str
    partition: int
    offset: int
    group: str
    reason: str
    where: str
    attempts: int
    at: str
    version: str
    omitted_bytes: int
    key_bytes: int
    value_bytes: int
    sha256: str
    headers: Mapping[str, str]

    @property
    def tenant(self) -> TenantId | None:
        """Whose it is, as the headers claim."""
        found = _claimed(self.headers.get("ce_tenant"))
        return None if found is None else TenantId(found)

    @property
    def request(self) -> RequestId | None:
        """Of which request it is an event; None: of none, or nobody knows."""
        if self.topic not in _OF_REQUESTS:
            return None
        found = _claimed(self.headers.get("ce_subject"))
        return None if found is None else RequestId(found)


def letter(record: Record) -> Letter | None:
    """Read a record of a dead-letter topic; None: delivery did not write it."""
    told = dict(_told(record))
    try:
        return Letter(
            id=told["dead_id"],
            place=(record.partition, record.offset),
            topic=told["dead_topic"],
            partition=int(told["dead_partition"]),
            offset=int(told["dead_offset"]),
            group=told["dead_group"],
            reason=told["dead_reason"],
            where=told["dead_where"],
            attempts=int(told["dead_attempts"]),
            at=told["dead_at"],
            version=told["dead_version"],
            omitted_bytes=int(told.get("dead_omitted", "0")),
            key_bytes=len(record.key or b""),
            value_bytes=len(record.value or b""),
            sha256=sha256(record.value or b"").hexdigest(),
            headers=dict(_headers(record, told["dead_topic"])),
        )
    except (KeyError, ValueError):
        return None


def again(record: Record, found: Letter) -> RawOutgoing | Refusal:
    """The record that ``found`` buried, for the partition that it came from.

    Law: key, value and the headers that were carried into the letter are equal to the
    source's, so every id that is derived from them is the same; one header more,
    ``replay_of``, says that it was put back.
    """
    if found.topic == REQUESTS_INBOX.name:
        return Refusal.STRANGER
    if found.omitted_bytes:
        return Refusal.OMITTED
    if found.tenant is None:
        return Refusal.NOBODYS
    carried = [
        (name, value)
        for name, value in record.headers
        if value is not None and not name.startswith(OURS) and name != REPLAY_OF
    ]
    return RawOutgoing(
        topic=found.topic,
        partition=found.partition,
        key=record.key,
        value=record.value or b"",
        headers=(*carried, (REPLAY_OF, found.id.encode())),
    )


def dead_topics(
    topics: Sequence[Topic[Any]], *, topic: str | None, group: str | None
) -> list[Topic[Any]]:
    """Those of ``topics`` that have dead letters, by name or group where given."""
    return [
        each
        for each in topics
        if each.dead is not None
        and topic in {None, each.name, each.dead}
        and group in {None, each.group}
    ]


def _told(record: Record) -> Iterator[tuple[str, str]]:
    for name, value in record.headers:
        if name.startswith(OURS) and value is not None:
            yield name, value.decode()


def _headers(record: Record, topic: str) -> Iterator[tuple[str, str]]:
    """What a stranger wrote is never shown: their headers can hold anything."""
    for name, value in record.headers:
        if value is None or name.startswith(OURS):
            continue
        text = value.decode("ascii", "replace")
        pattern = _SHOWN.get(name)
        if pattern and pattern.fullmatch(text) and topic != REQUESTS_INBOX.name:
            yield name, text
        elif pattern:
            yield name, f"({len(value)} bytes)"


def _claimed(text: str | None) -> str | None:
    return text if text and re.fullmatch(_UUID, text) else None
