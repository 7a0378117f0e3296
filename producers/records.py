"""A log's records over HTTP: what is asked for, a page at a time, JSONL or CSV."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from starlette.datastructures import QueryParams

from pipeline.audit import Entry
from pipeline.erasures import erasures
from pipeline.errors import InvalidMessage
from pipeline.ports.ledger import Logs
from pipeline.querying import MAX_PAGE, Query, table
from schemas.ids import RequestId, TenantId

PAGE: Final = 100
NAMES: Final = frozenset(
    {"request", "actor", "action", "since", "until", "after", "limit", "format"}
)
_WORD: Final = re.compile(r"[!-~]{1,256}")
FORMATS: Final = {
    "jsonl": "application/jsonl; charset=utf-8",
    "csv": "text/csv; charset=utf-8; header=present",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One page of an answer.

    Attributes:
        from_seq: the first place that is looked at.
    """

    query: Query
    from_seq: int
    limit: int
    form: str


def asked(params: QueryParams) -> Asked:
    """What a caller wants.

    Raises:
        InvalidMessage: a name is unknown or twice there, or a value is not what it
            must be; ``where`` names it.
    """
    found = dict(params)
    odd = sorted(set(found) - NAMES)
    if odd or len(params.multi_items()) != len(found):
        raise InvalidMessage("expected each known name once", "query")
    form = found.get("format", "jsonl")
    if form not in FORMATS:
        raise InvalidMessage("expected jsonl or csv", "format")
    query = Query(
        request=_request(found.get("request")),
        actor=_word(found.get("actor"), "actor"),
        action=_word(found.get("action"), "action"),
        since=moment(found.get("since"), "since"),
        until=moment(found.get("until"), "until"),
    )
    after = _number(found.get("after", "-1"), "after", -1, 2**53)
    limit = _number(found.get("limit", str(PAGE)), "limit", 1, MAX_PAGE)
    return Asked(query, after + 1, limit, form)


def _request(text: str | None) -> RequestId | None:
    if text is None:
        return None
    try:
        return RequestId(str(UUID(text)))
    except ValueError:
        raise InvalidMessage("expected a request's id", "request") from None


def _word(text: str | None, where: str) -> str | None:
    if text is not None and not _WORD.fullmatch(text):
        raise InvalidMessage("expected 1 to 256 visible characters of ASCII", where)
    return text


def moment(text: str | None, where: str) -> datetime | None:
    """A time in RFC 3339, with its offset.

    Raises:
        InvalidMessage: it is something else.
    """
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            raise InvalidMessage("expected a time with its offset", where)
        return found.astimezone(UTC)
    except (ValueError, OverflowError):  # another offset may lead out of all years
        raise InvalidMessage("expected a time in RFC 3339", where) from None


def _number(text: str, where: str, least: int, most: int) -> int:
    try:
        found = int(text)
    except ValueError:
        raise InvalidMessage("expected a number", where) from None
    if not least <= found <= most:
        raise InvalidMessage(f"expected {least} to {most}", where)
    return found


async def page(
    logs: Logs, tenant: TenantId, size: int, wanted: Asked
) -> tuple[Sequence[Entry], int | None]:
    """The records below ``size``, and after which place the next page begins.

    None: there are no more.
    """
    rows = await logs.find(tenant, wanted.query, wanted.from_seq, wanted.limit + 1)
    within = [row for row in rows if row.seq < size]
    entries = within[: wanted.limit]
    more = len(within) > wanted.limit
    return entries, entries[-1].seq if more else None


async def written(
    logs: Logs, tenant: TenantId, entries: Sequence[Entry], form: str
) -> bytes:
    """Records in one of the forms; JSONL holds their exact bytes."""
    if form == "jsonl":
        return b"".join(entry.body + b"\n" for entry in entries)
    return "".join(table(entries, await erasures(logs, tenant))).encode()


def link(path: str, params: Mapping[str, str], after: int) -> str:
    """The ``Link`` header that leads on (RFC 8288)."""
    query = urlencode({**params, "after": str(after)})
    return f'<{path}?{query}>; rel="next"'
