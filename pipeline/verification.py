"""Whether stored rows are the log that they say they are."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from operator import itemgetter
from typing import Any

import orjson

from pipeline.audit import Entry, Head
from pipeline.canonical import parse
from pipeline.errors import InvalidMessage
from pipeline.merkle import CompactRange, Node, extend, leaf_hash
from schemas.audit import AuditRecord

_COLUMNS = ("event_id", "request_id", "action", "actor", "ts")
_SAID = itemgetter("log", "prev", "seq", "event_id", "action", "actor", "ts")
_HASH = re.compile(r"[0-9a-f]{64}").fullmatch
_NAMES = frozenset(AuditRecord.model_fields)
_VERSION = b',"v":1}'
"""How the bytes of a record end: no member's name is behind ``v``."""
_CHAIN = "the chain breaks here"


@dataclass(frozen=True, slots=True)
class Broken:
    """The first record that does not hold, and why."""

    seq: int
    reason: str


@dataclass(frozen=True, slots=True)
class Verified:
    """All rows hold.

    Attributes:
        filled: the tiles that filled on the way.
        roots: by size, where one was asked for.
    """

    head: Head
    filled: tuple[Node, ...] = ()
    roots: Mapping[int, bytes] = field(default_factory=dict)


def verify(
    head: Head,
    entries: Sequence[Entry],
    following: bytes | None = None,
    sizes: Collection[int] = (),
) -> Verified | Broken:
    """Recompute everything about the ``entries`` that stand behind ``head``.

    The bytes are hashed as they are. Where record n does not hash to what record n + 1
    names, n is the altered one if n + 1 is what was chained behind it, else n + 1.

    Args:
        head: the verified end before them.
        entries: in order of their place; ``seq`` is checked, not believed.
        following: what comes behind them names this as its ``prev``; the head row's
            hash of the last record at the end of the log.
        sizes: of the trees whose roots are wanted, where they lie on the way.
    """
    last = _last_of_all(head, entries)
    if last is None:
        found = _one_by_one(head, entries, following)
        if isinstance(found, Broken):
            return found
        last = found
    if entries and following is not None and last != following:
        return Broken(head.size + len(entries) - 1, _CHAIN)
    tree, filled, roots = _grown(head.tree, entries, sizes)
    return Verified(Head(head.origin, last, tree), tuple(filled), roots)


def _last_of_all(head: Head, entries: Sequence[Entry]) -> bytes | None:
    """The hash of the last record where all hold; None: who knows, ask each.

    The same questions as :func:`_one_by_one` has, in half of its time: one comparison a
    row, which does not say what differs. Whether the members are those of a record is
    asked of all rows together.
    """
    origin, last, seq, names = head.origin, head.last.hex(), head.size, set[str]()
    try:
        for place, event, request, action, actor, ts, body, leaf in entries:
            found = orjson.loads(body)
            names.update(found)
            said = _SAID(found)
            if not (
                place == seq
                and said == (origin, last, seq, event, action, actor, ts)
                and said[2].__class__ is int
                and body[-7:] == _VERSION
                and request == found.get("request_id")
                and leaf == sha256(b"\x00" + body).digest()
                and body == orjson.dumps(found, option=orjson.OPT_SORT_KEYS)
            ):
                return None
            last, seq = sha256(body).hexdigest(), seq + 1
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return bytes.fromhex(last) if names <= _NAMES else None


def _one_by_one(
    head: Head, entries: Sequence[Entry], following: bytes | None
) -> bytes | Broken:
    """The hash of the last record, or the first that does not hold."""
    last = head.last
    for at, entry in enumerate(entries):
        seq = head.size + at
        try:
            prev = _checked(entry, head.origin, seq)
        except InvalidMessage as flaw:
            return Broken(seq, flaw.reason)
        digest = sha256(entry.body).digest()
        if prev != last:
            intact = digest == _next_prev(entries, at, following)
            return Broken(seq - 1 if intact and seq else seq, _CHAIN)
        last = digest
    return last


def _grown(
    tree: CompactRange, entries: Sequence[Entry], sizes: Collection[int]
) -> tuple[CompactRange, list[Node], dict[int, bytes]]:
    start, filled, roots = tree.size, list[Node](), {}
    end = start + len(entries)
    for size in sorted({end, *(each for each in sizes if start < each < end)}):
        between = entries[tree.size - start : size - start]
        tree, more = extend(tree, [entry.leaf for entry in between])
        filled += more
        if size in sizes:
            roots[size] = tree.root()
    return tree, filled, roots


def _checked(entry: Entry, origin: str, seq: int) -> bytes:
    """The hash that this row's record names as ``prev``; the row holds for itself."""
    if entry.seq != seq:
        raise InvalidMessage("a record is missing")
    if entry.leaf != leaf_hash(entry.body):
        raise InvalidMessage("the leaf hash is not that of the bytes")
    found = parse(entry.body)
    if (found.get("log"), found.get("seq")) != (origin, seq):
        raise InvalidMessage("the record belongs to another place")
    if not (
        _NAMES.issuperset(found)
        and type(found["seq"]) is int
        and entry.body.endswith(_VERSION)
    ):
        raise InvalidMessage("expected the members of a record, and its version")
    columns = (entry.event_id, entry.request_id, entry.action, entry.actor, entry.ts)
    if columns != tuple(map(found.get, _COLUMNS)):
        raise InvalidMessage("a column is not what the bytes say")
    return _named_prev(found)


def _named_prev(found: Mapping[str, Any]) -> bytes:
    named = found.get("prev")
    if not (isinstance(named, str) and _HASH(named)):
        raise InvalidMessage("expected a hash of the record before")
    return bytes.fromhex(named)


def _next_prev(
    entries: Sequence[Entry], at: int, following: bytes | None
) -> bytes | None:
    if at + 1 == len(entries):
        return following
    try:
        return _named_prev(parse(entries[at + 1].body))
    except InvalidMessage:
        return None
