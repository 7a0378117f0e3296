"""Tokens: stand-ins for what was redacted, and the way back.

``<PERSON_K7QX_1>``: class, the session's nonce, a number by first appearance. The nonce
is derived, so a redelivery gives the same tokens; what a user types that looks like a
token is escaped, so it is never restored. Restoring is one pass over the text by exact
look-up: restored values are not looked at again.
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from pipeline.sealing import DataKey

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LABEL: Final = b"sluice/session/1"
_LOOKS_LIKE: Final = re.compile(r"<([A-Z_]+_[0-9A-Z]{4}_S?[0-9]+)>")
ESCAPE: Final = "\u2039{}\u203a"


def session_nonce(key: DataKey) -> str:
    """Four Crockford characters of the request's session."""
    digest = hmac.digest(key.dek, _LABEL + key.request_id.encode(), sha256)
    return "".join(_CROCKFORD[byte % len(_CROCKFORD)] for byte in digest[:4])


def escaped(text: str) -> str:
    """The text with what looks like a token made unlike one.

    Law: ``escaped(escaped(t)) == escaped(t)``.
    """
    return _LOOKS_LIKE.sub(lambda found: ESCAPE.format(found[1]), text)


@dataclass(slots=True)
class Session:
    """Gives tokens in the order in which values appear; equal values, equal tokens.

    Attributes:
        vault: what can be restored: token to value; never shown.
    """

    nonce: str
    vault: dict[str, str] = field(default_factory=dict, repr=False)
    _given: dict[tuple[str, str], str] = field(default_factory=dict, repr=False)
    _numbers: dict[str, int] = field(default_factory=dict)

    def token(self, data_class: str, value: str, *, reversible: bool) -> str:
        """The value's token; a reversible one goes into the vault."""
        prefix = f"{data_class}_{self.nonce}_{'' if reversible else 'S'}"
        found = self._given.get((prefix, value))
        if found is None:
            self._numbers[prefix] = number = self._numbers.get(prefix, 0) + 1
            found = self._given[prefix, value] = f"<{prefix}{number}>"
            if reversible:
                self.vault[found] = value
        return found


def restored(text: str, vault: Mapping[str, str], nonce: str) -> str:
    """The text with this session's tokens turned back.

    Models bend tokens: escaped brackets, lost brackets, changed case are understood.
    A token inside a URL stays one: a link must not carry a value away. A strict token
    becomes its class in brackets, since renderers hide unknown ``<…>`` tags.
    """
    pattern = re.compile(
        r"(?:<|&lt;|\\u003c|%3C)?([A-Z_]+)\\?_(" + nonce + r")\\?_(S?)([0-9]+)"
        r"(?:>|&gt;|\\u003e|%3E)?",
        re.IGNORECASE,
    )

    def back(found: re.Match[str]) -> str:
        if _IN_URL.search(text, max(0, found.start() - 2048), found.start()):
            return found[0]
        data_class, strict = found[1].upper(), found[3]
        if strict:
            return f"[{data_class}]"
        return vault.get(f"<{data_class}_{nonce}_{found[4]}>", found[0])

    return pattern.sub(back, text)


_IN_URL: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s\"'<>)\]]*$")
