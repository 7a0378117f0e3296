r"""Tokens: stand-ins for what was redacted, and the way back.

``<PERSON_K7QX_1>``: class, the session's nonce, a number by first appearance. The nonce
is derived, so a redelivery gives the same tokens; what a user types that looks like a
token is escaped, so it is never restored. Restoring is one pass over the text by exact
look-up: restored values are not looked at again.
"""

# ruff: noqa: RUF001 - brackets that look alike are the escape

import hmac
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import orjson

from pipeline.links import Links
from pipeline.quoted import Nested
from pipeline.sealing import DataKey
from schemas.policies import DataClass, Place, Reveal

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LABEL: Final = b"sluice/session/1"
_CLASSES: Final = "|".join(sorted(DataClass, key=len, reverse=True))
_LOOKS_LIKE: Final = re.compile(
    rf"<((?:{_CLASSES})_[0-9A-Z]{{4}}_S?[0-9]{{1,6}})>", re.IGNORECASE
)
ESCAPE: Final = "\u2039{}\u203a"
_NUMBERED: Final = frozenset(
    {
        DataClass.BANK,
        DataClass.CARD,
        DataClass.GOV_ID,
        DataClass.MEDICAL_ID,
        DataClass.PHONE,
    }
)
"""Classes whose values are equal without case and separators: these only group."""
_CASELESS: Final = frozenset({DataClass.EMAIL, DataClass.NETWORK, DataClass.PLATE})
"""Classes whose separators tell values apart, and whose case does not."""

_SEPARATORS: Final = re.compile(r"[^\w@.%+]+")


def session_nonce(key: DataKey) -> str:
    """Four Crockford characters of the request's session."""
    digest = hmac.digest(key.dek, _LABEL + key.request_id.encode(), sha256)
    return "".join(_CROCKFORD[byte % len(_CROCKFORD)] for byte in digest[:4])


def escaped(text: str, keep: Collection[str] = ()) -> str:
    """The text with what looks like a token made unlike one; ``keep`` stays.

    Law: ``escaped(escaped(t)) == escaped(t)``.
    """
    if "<" not in text:
        return text
    return _LOOKS_LIKE.sub(
        lambda found: found[0] if found[0] in keep else ESCAPE.format(_apart(found[1])),
        text,
    )


def _apart(name: str) -> str:
    """A token's name that no lost bracket makes a token again."""
    return name.replace("_", "-")


def token_spans(text: str) -> list[tuple[int, int]]:
    """Where tokens stand: nothing is looked for inside them."""
    if "<" not in text:
        return []
    return [found.span() for found in _LOOKS_LIKE.finditer(text)]


@dataclass(slots=True)
class Session:
    """Gives tokens in the order in which values appear; equal values, equal tokens.

    What is turned back is the first of them as it was written, so only what means the
    same is equal: numbers without case and separators, mail and network addresses and
    plates without case, all else where every character is.

    Attributes:
        vault: what can be restored: token to value; never shown.
    """

    nonce: str
    vault: dict[str, str] = field(default_factory=dict, repr=False)
    _given: dict[tuple[str, str], str] = field(default_factory=dict, repr=False)
    _numbers: dict[str, int] = field(default_factory=dict)

    def token(self, data_class: DataClass, value: str, *, reversible: bool) -> str:
        """The value's token; a reversible one goes into the vault."""
        prefix = f"{data_class}_{self.nonce}_{'' if reversible else 'S'}"
        same = _same(data_class, value)
        found = self._given.get((prefix, same))
        if found is None:
            self._numbers[prefix] = number = self._numbers.get(prefix, 0) + 1
            found = self._given[prefix, same] = f"<{prefix}{number}>"
            if reversible:
                self.vault[found] = value
        return found


def _same(data_class: DataClass, value: str) -> str:
    """What equal values of a class have in common."""
    # Not folded: that spells an ß as ss, with which it is another's address.
    if data_class in _NUMBERED:
        return _SEPARATORS.sub("", value).lower() or value
    return value.lower() if data_class in _CASELESS else value


_LINE: Final = r"\\{0,2}_"
_HEAD: Final = re.compile(
    rf"(?:<|&lt;|\\u003c|%3C|‹)?\\?({_CLASSES.replace('_', _LINE)}){_LINE}\Z",
    re.IGNORECASE | re.ASCII,
)
_LONGEST_HEAD: Final = 10 + max(len(each) + 2 * each.count("_") for each in DataClass)
"""Characters: an escaped bracket, the longest class, and its escaped underscores."""
_TAIL: Final = re.compile(
    rf"[0-9A-Z]{{4}}{_LINE}(S?)([0-9]{{1,6}})(?![0-9])"
    r"(?:\\?>|&gt;|\\+u003e|%3E|›)?",
    re.IGNORECASE | re.ASCII,
)
"""Tokens as models bend them: what stands before the nonce, and from it on.

Cases are ASCII's: to Unicode a Kelvin sign is a K, of which no class is spelt.
"""


@dataclass(frozen=True, slots=True)
class _Bent:
    """A token of this session, as it stands in a text."""

    start: int
    end: int
    data_class: DataClass
    strict: bool
    number: str


def _bent(text: str, nonce: str) -> Iterator[_Bent]:
    """The tokens of this session, in order.

    Its four characters are searched for first: most of a text is then never looked at.
    """
    end = 0
    for place in _places(text, nonce):
        head = _HEAD.search(text, max(end, place - _LONGEST_HEAD), place)
        tail = _TAIL.match(text, place)
        if head is not None and tail is not None:
            start = _unescaped(text, head.start(), end)
            end = tail.end()
            data_class = DataClass(head[1].replace("\\", "").upper())
            yield _Bent(start, end, data_class, bool(tail[1]), tail[2])


def _places(text: str, nonce: str) -> Iterator[int]:
    """Where the nonce stands, in capitals or not."""
    lower = text.lower()
    if len(lower) != len(text):  # a capital that is two small letters moves the rest
        lower = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    wanted, place = nonce.lower(), -1
    while (place := lower.find(wanted, place + 1)) >= 0:
        yield place


def _unescaped(text: str, start: int, least: int) -> int:
    """The start with all the backslashes of an escape that was escaped again."""
    if text.startswith(("\\u003c", "\\u003C"), start):
        while start > least and text[start - 1] == "\\":
            start -= 1
    return start


class TooLong(Exception):
    """A text would be longer than it may be, were its tokens turned back."""


def restored(
    text: str,
    vault: Mapping[str, str],
    nonce: str,
    reveal: Reveal = Reveal(),  # noqa: B008 - frozen
    place: Place = Place.TEXT,
    *,
    in_json: bool = False,
    most: int = sys.maxsize,
) -> str:
    """The text with this session's tokens turned back, in one pass.

    Models bend tokens: escaped or lost brackets, escaped underscores, changed case are
    understood. A token inside a URL stays one: a link must not carry a value away. A
    strict token becomes its class in brackets, since renderers hide unknown ``<…>``
    tags. Restored values are never looked at again.

    Attributes:
        reveal: which classes are turned back in ``place``; it is asked first.
        in_json: the text is JSON, e.g. a tool call's arguments; values are escaped for
            it, and once more in a string that is JSON, too.
        most: characters that it may have; a short token can stand for a long value.

    Raises:
        TooLong: it would have more.
    """
    links = Links(text, in_json=in_json)
    nested = Nested(text) if in_json else None
    told: list[str] = []
    done, left = 0, most - len(text)
    for found in _bent(text, nonce):
        back: str | None
        if found.strict or not reveal.shows(found.data_class, place):
            back = f"[{found.data_class}]"
        elif not reveal.in_urls and links.open_at(found.start):
            continue
        else:
            back = _back(found, vault, nonce, nested)
        if back is not None:
            told += (text[done : found.start], back)
            done = found.end
            left -= len(back) - (found.end - found.start)
            if left < 0:
                break
    if left < 0:
        raise TooLong
    return "".join((*told, text[done:])) if told else text


def _back(
    found: _Bent, vault: Mapping[str, str], nonce: str, nested: Nested | None
) -> str | None:
    """The value that a token stands for; None: the vault has none."""
    value = vault.get(f"<{found.data_class}_{nonce}_{found.number}>")
    if value is None or nested is None:
        return value
    once = _in_string(value)
    return once if once == value or not nested.holds(found.start) else _in_string(once)


def _in_string(text: str) -> str:
    return orjson.dumps(text).decode()[1:-1]
