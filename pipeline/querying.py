"""Asking a log: which records, in what portions, in which form."""

import csv
from base64 import b64encode
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from typing import Final

from pipeline.audit import Entry, record
from pipeline.coverage import missing
from pipeline.errors import InvalidMessage
from schemas.audit import CLOSED, AuditRecord, Erase
from schemas.events import timestamp
from schemas.ids import RequestId

MAX_PAGE: Final = 1_000
"""Records that are read at once."""
ERASED: Final = "erased"
UNREADABLE: Final = "unreadable"
ERASURES: Final = ("erasure.completed", "retention.expired", CLOSED)
"""Actions of the records that say what was destroyed."""


@dataclass(frozen=True, slots=True)
class Query:
    """What a record must be; None: anything.

    Attributes:
        since: the record's time is at or after it.
        until: and before it.
    """

    request: RequestId | None = None
    actor: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def admits(self, entry: Entry) -> bool:
        """Is it one of them?"""
        since = timestamp(self.since) if self.since else ""
        return (
            self.request in {None, entry.request_id}
            and self.actor in {None, entry.actor}
            and self.action in {None, entry.action}
            and since <= entry.ts
            and (self.until is None or entry.ts < timestamp(self.until))
        )


COLUMNS: Final = (
    "seq",
    "ts",
    "action",
    "status",
    "actor",
    "request_id",
    "event_id",
    "decisions",
    "guards_missing",
    "model",
    "policy",
    "input_tokens",
    "output_tokens",
    "content",
    "leaf",
)


def table(
    entries: Iterable[Entry], erased: Collection[Erase] = (), *, names: bool = True
) -> Iterator[str]:
    """The records as CSV (RFC 4180), a line at a time, the names first.

    A table is for reading: what is verified are the bytes. ``content`` says what was
    committed to, and ``erased`` where a record covers its destruction.

    Args:
        entries: in the order of the lines.
        erased: what is known to be destroyed.
        names: False: the lines go on behind others.
    """
    if names:
        yield _line(COLUMNS)
    for entry in entries:
        yield _line(_cells(entry, erased))


def _cells(entry: Entry, erased: Collection[Erase]) -> Iterator[str]:
    try:
        found = record(entry.body)
    except InvalidMessage:
        # A pass over the log says why; a table still has a line for each place.
        yield from (str(entry.seq), entry.ts, UNREADABLE)
        return
    usage, policy = found.usage, found.policy
    purposes = [each.purpose for each in found.content]
    gone = bool(purposes) and any(covers(each, found) for each in erased)
    yield from (str(found.seq), found.ts, found.action, found.status or "")
    yield from (found.actor, found.request_id or "", found.event_id)
    yield " ".join(
        ":".join(filter(None, (each.stage, each.control, each.verdict, each.rule)))
        for each in found.decision
    )
    yield " ".join(sorted(missing(found)))
    yield found.model or ""
    yield f"{policy.id}@{policy.version}" if policy else ""
    yield str(usage.input_tokens) if usage else ""
    yield str(usage.output_tokens) if usage else ""
    yield ERASED if gone else " ".join(purposes)
    yield b64encode(entry.leaf).decode()


def covers(erase: Erase, found: AuditRecord) -> bool:
    """Does a destruction cover this record's content, as far as the record tells?

    Which requests were a subject's no record says, so a subject's erasure marks none.
    """
    if found.ts > erase.as_of:
        return False
    kept = found.retention
    day = f"{kept.retention_class}:{kept.day}" if kept else None
    return (
        erase.scope == "tenant"
        or (erase.scope == "request" and erase.ref == found.request_id)
        or (erase.scope == "class" and erase.ref == day)
    )


def _line(cells: Iterable[str]) -> str:
    made = StringIO()
    csv.writer(made).writerow([_inert(cell) for cell in cells])
    return made.getvalue()


def _inert(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
