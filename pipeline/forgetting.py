"""The rule for content: what must open and what must not, by what the log says.

Content goes by destroying its key and in no other way, and a record covers that. So
content that does not open and is not covered was lost or destroyed in silence; and
content that opens though a record says that it was destroyed was not.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from pipeline.audit import Entry
from pipeline.canonical import parse
from pipeline.erasures import erasures
from pipeline.errors import IntegrityError, InvalidMessage
from pipeline.keystore import TRANSIENT, KeyId
from pipeline.ports.keys import Destroyed, KeyRef
from pipeline.ports.ledger import Logs
from pipeline.sealing import DataKey
from pipeline.verification import Broken
from schemas.audit import TERMINAL, Erase
from schemas.ids import RequestId, TenantId

_KEY = re.compile(r"[0-9a-f]{32}").fullmatch
CHUNK = 4096
KEYS_AT_ONCE = 500
GONE = "its content does not open, and no record says why"
STILL_THERE = "its content opens, and a record says that it was destroyed"
BENT = "its content's key does not unwrap"

Fetch: TypeAlias = Callable[
    [Sequence[KeyRef]], Awaitable[Mapping[KeyRef, DataKey | Destroyed]]
]
"""The ordinary way of reading keys: ``KeyStore.fetch``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a log says of one key.

    Attributes:
        seq: the first record that commits to content under it.
        since: that record's time: the key is no younger.
        retained: its class and day, as ``class:day``.
        ended: its request has its last record.
    """

    ref: KeyRef
    seq: int
    since: str
    retained: str
    ended: bool = False

    @property
    def covers_itself(self) -> bool:
        """A transient request's last record says that its content may be gone."""
        return self.ended and self.retained.startswith(f"{TRANSIENT.name}:")


@dataclass(slots=True)
class Covered:
    """What was destroyed, up to when: the newest ``as_of`` of each scope and ref."""

    _until: dict[tuple[str, str], str] = field(default_factory=dict)
    _subjects: str = ""

    @classmethod
    def by(cls, erased: Iterable[Erase]) -> "Covered":
        """What these records cover."""
        made = cls()
        for each in erased:
            at = each.scope, each.ref
            made._until[at] = max(each.as_of, made._until.get(at, ""))
            if each.scope == "subject":
                made._subjects = max(each.as_of, made._subjects)
        return made

    def surely(self, held: Held) -> bool:
        """Is this key one of them?"""
        scopes = (
            ("request", held.ref.request_id),
            ("class", held.retained),
            ("tenant", held.ref.tenant_id),
        )
        return any(held.since <= self._until.get(each, "") for each in scopes)

    def perhaps(self, held: Held) -> bool:
        """Also where a person was forgotten: no record says whose a request was."""
        return self.surely(held) or held.since <= self._subjects


def flaw(held: Held, *, opens: bool, before: Covered, after: Covered) -> str | None:
    """Why this key is not as the log says; None: it is.

    Args:
        held: the key.
        opens: is it there?
        before: what the log covered before the key was asked for.
        after: and afterwards: a key may be destroyed while we look.
    """
    if opens:
        return STILL_THERE if before.surely(held) else None
    covered = held.covers_itself or after.perhaps(held)
    return None if covered else GONE


async def content_pass(logs: Logs, tenant: TenantId, fetch: Fetch) -> Sequence[Broken]:
    """Every key that a log commits to, held against the rule; in order of the records.

    A record may come a while after what it says, so whoever alarms looks twice.

    Raises:
        RetryableError: the ledger or the keystore is away.
    """
    before = Covered.by(await erasures(logs, tenant))
    held = await _held(logs, tenant)
    found = [
        (each, opens)
        for start in range(0, len(held), KEYS_AT_ONCE)
        for each, opens in await _asked(held[start : start + KEYS_AT_ONCE], fetch)
    ]
    after = Covered.by(await erasures(logs, tenant))
    flaws = (
        (
            each.seq,
            BENT
            if opens is None
            else flaw(each, opens=opens, before=before, after=after),
        )
        for each, opens in found
    )
    return [Broken(seq, reason) for seq, reason in flaws if reason]


async def _asked(
    held: Sequence[Held], fetch: Fetch
) -> Sequence[tuple[Held, bool | None]]:
    """Of each, whether it opens; None: it is there, and does not unwrap."""
    try:
        found = await fetch([each.ref for each in held])
    except IntegrityError:
        if len(held) == 1:
            return [(held[0], None)]
        return [one for each in held for one in await _asked([each], fetch)]
    return [(each, not isinstance(found[each.ref], Destroyed)) for each in held]


async def _held(logs: Logs, tenant: TenantId) -> Sequence[Held]:
    found, ended = dict[KeyId, Held](), set[RequestId]()
    start = 0
    while rows := await logs.read(tenant, start, CHUNK):
        for row in rows:
            for held in _committed(tenant, row):
                found.setdefault(held.ref.key_id, held)
            if row.action in TERMINAL and row.request_id:
                ended.add(row.request_id)
        start = rows[-1].seq + 1
    return [
        replace(each, ended=each.ref.request_id in ended) for each in found.values()
    ]


def _committed(tenant: TenantId, row: Entry) -> Sequence[Held]:
    """The keys of one record; what is no record says nothing here."""
    if row.request_id is None:
        return ()
    try:
        found: Mapping[str, Any] = parse(row.body)
        kept = found.get("retention", {})
        return [
            Held(
                ref=KeyRef(tenant, row.request_id, KeyId(each["key_id"])),
                seq=row.seq,
                since=row.ts,
                retained=f"{kept.get('class')}:{kept.get('day')}",
            )
            for each in found.get("content", ())
            if _KEY(each["key_id"])
        ]
    except (InvalidMessage, AttributeError, KeyError, TypeError):
        return ()
