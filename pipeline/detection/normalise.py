"""Text as it is matched, and the way back to the source."""

# ruff: noqa: RUF001 - look-alikes are what is folded

import unicodedata
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

DROPPED: Final = frozenset(
    chr(code)
    for start, end in (
        (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x180E, 0x180E),
        (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x2064), (0x2066, 0x206F),
        (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xE0000, 0xE007F), (0xE0100, 0xE01EF),
    )
    for code in range(start, end + 1)
)  # fmt: skip
"""Zero-width, bidirectional, tag and variation characters: they only disguise."""

_LETTERS: Final = dict(
    zip(
        "АВЕКМНОРСТУХаеорсухіјѕԁԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧο",
        "ABEKMHOPCTYXaeopcyxijsdqwABEZHIKMNOPTYXo",
        strict=True,
    )
)
"""Letters of other scripts that look like ASCII's."""
_SIGNS: Final = dict.fromkeys("‐‑‒–—―−﹣", "-") | {"․": ".", "∕": "/", "⁄": "/"}
_QUOTES: Final = {"’": "'", "‘": "'", "“": '"', "”": '"', "\u2028": "\n"}


@dataclass(frozen=True, slots=True)
class Normal:
    """Normalised text.

    Attributes:
        offsets: for each character of ``text``, and one past its end, the source offset
            that it came from; None where both count alike.
        signals: what was undone, e.g. ``disguise.invisible``; sorted.
    """

    text: str
    offsets: tuple[int, ...] | None
    signals: tuple[str, ...] = ()

    def source(self, start: int, end: int) -> tuple[int, int]:
        """The source span that holds all that a span of ``text`` came from."""
        if self.offsets is None:
            return start, end
        first = self.offsets[start]
        if end <= start:
            return first, first
        last = self.offsets[end - 1]
        return first, self.offsets[bisect_right(self.offsets, last)]


def normalise(text: str) -> Normal:
    """NFKC by character, disguises undone, digits of every script as ASCII's.

    Law: the source span of each span holds all source characters that it came from.
    Look-alike letters are folded only in words that mix them with ASCII letters or
    digits, so that text in another script stays what it is. Lone surrogates, which
    do not encode, become U+FFFD.
    """
    if text.isascii():
        return Normal(text, None)
    pieces = [c if c < "\x80" else _folded(c) for c in text]
    signals = _signals(text, pieces)
    _unmask(text, pieces, signals)
    joined = "".join(pieces)
    if len(joined) == len(text) and all(len(piece) == 1 for piece in pieces):
        return Normal(joined, None, tuple(sorted(signals)))
    offsets = [i for i, piece in enumerate(pieces) for _ in piece]
    return Normal(joined, (*offsets, len(text)), tuple(sorted(signals)))


def _signals(text: str, pieces: list[str]) -> set[str]:
    found: set[str] = set()
    for character, piece in zip(text, pieces, strict=True):
        if not piece:
            found.add("disguise.invisible")
        elif piece != character and piece.isascii() and piece.isalnum():
            found.add("disguise.compatibility")
    return found


def _unmask(text: str, pieces: list[str], signals: set[str]) -> None:
    """Fold look-alike letters where a word mixes scripts."""
    for i, character in enumerate(text):
        if character in _LETTERS and _among_ascii(pieces, i):
            pieces[i] = _LETTERS[character]
            signals.add("disguise.homoglyph")


def _among_ascii(pieces: list[str], i: int) -> bool:
    """Whether the nearest letter or digit of the same word, on a side, is ASCII."""
    return _ascii_side(pieces, i, -1) or _ascii_side(pieces, i, 1)


def _ascii_side(pieces: list[str], i: int, step: int) -> bool:
    for distance in range(1, 5):
        j = i + step * distance
        if not 0 <= j < len(pieces):
            return False
        piece = pieces[j]
        if piece and piece not in _LETTERS:
            return piece.isascii() and (piece.isalnum() or piece in "@_")
    return False


@lru_cache(maxsize=65_536)
def _folded(character: str) -> str:
    """What one character is matched as; empty where it is dropped."""
    if character in DROPPED:
        return ""
    if "\ud800" <= character <= "\udfff":
        return "\ufffd"
    simple = _SIGNS.get(character) or _QUOTES.get(character)
    if simple is not None:
        return simple
    folded = unicodedata.normalize("NFKC", character)
    return "".join(_as_ascii_digit(c) for c in folded)


def _as_ascii_digit(character: str) -> str:
    value = unicodedata.decimal(character, None)
    if value is not None:
        return str(value)
    return " " if unicodedata.category(character) == "Zs" else character
