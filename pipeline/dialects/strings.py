"""Which strings of a body are text, and which are its dialect's own words."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pipeline.text import Channel, TextPart

Path = tuple[str | int, ...]

_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.:/-]{0,127}")
_TELLING: Final = re.compile(
    r"AKIA|ASIA|gh[pousr]_|github_pat_|glpat-|sk-|[rs]k_live_|xox[a-z]-|AIza|eyJ"
    r"|[A-Z]{2}\d{2}[A-Z0-9]{11,30}$"
)
"""How secrets begin by which their issuers mark them, and an IBAN: no id of a dialect's
looks like that."""
_ENCODED: Final = re.compile(r"(data:[a-z0-9.+/-]+;base64,)?[A-Za-z0-9+/_-]{64,}={0,2}")
"""Bytes in base64: an image, a sound, a file. Their content is not text."""


@dataclass(frozen=True, slots=True)
class Own:
    """Where a dialect has words of its own.

    Attributes:
        words: keys whose strings are its words and ids, if they look like one.
        encoded: keys whose strings are encoded bytes, if they look like them.
        attached: types of parts whose content is no text: images, sounds, files.
        sealed: keys whose strings are bytes that the provider encrypted for itself.
    """

    words: frozenset[str]
    encoded: frozenset[str]
    attached: frozenset[str]
    sealed: frozenset[str] = frozenset()

    def has(self, value: str, key: str | int) -> bool:
        """Is it a word or an id of the dialect, or encoded bytes?

        What only stands where such a thing could stand is text: nobody hides a
        sentence in an ``id``, nor a key of somebody's account.
        """
        if key in self.words:
            return _WORD.fullmatch(value) is not None and not _TELLING.match(value)
        encoded = key in self.encoded or key in self.sealed
        return encoded and _ENCODED.fullmatch(value) is not None

    def carries(self, value: str, key: str | int) -> bool:
        """Is it encoded bytes of the caller's?"""
        return key in self.encoded and _ENCODED.fullmatch(value) is not None


def attached(value: object, own: Own) -> bool:
    """Is anything below ``value`` content that is not read as text?

    A part of such a type, or encoded bytes in whatever part.
    """
    if isinstance(value, list):
        return any(attached(inner, own) for inner in value)
    if not isinstance(value, dict):
        return False
    kind = value.get("type")  # a tool's schema may have several, in a list
    return (isinstance(kind, str) and kind in own.attached) or any(
        own.carries(inner, name) if isinstance(inner, str) else attached(inner, own)
        for name, inner in value.items()
    )


def texts(value: object, path: Path, channel: Channel, own: Own) -> Iterator[TextPart]:
    """Every string below ``value`` that is not one of the dialect's own words."""
    if isinstance(value, str):
        if not own.has(value, path[-1]):
            yield TextPart(path, channel, value)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from texts(inner, (*path, name), channel, own)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from texts(inner, (*path, index), channel, own)
