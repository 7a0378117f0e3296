"""Text as it is matched, and the way back to the source."""

# ruff: noqa: RUF001 - look-alikes are what is folded

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

_CONTROLS: Final = (
    *range(0x09), *range(0x0E, 0x20), *range(0x7F, 0x85), *range(0x86, 0xA0),
)  # fmt: skip
"""Controls that neither begin a line nor set anything apart: nobody sees them."""
_HELD: Final = "".join(filter(str.isascii, map(chr, _CONTROLS))).encode()
DROPPED: Final = frozenset(
    chr(code)
    for start, end in (
        (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160),
        (0x17B4, 0x17B5), (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E),
        (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
        (0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A),
        (0xE0000, 0xE0FFF),
    )
    for code in range(start, end + 1)
).union(map(chr, _CONTROLS))  # fmt: skip
"""What is not seen and only disguises: Unicode's Default_Ignorable_Code_Point (zero
width, bidirectional, tags, variation, fillers), annotations and controls."""

_LETTERS: Final = dict(
    zip(
        "АВЕКМНОРСТУХаеорсухіјѕԁԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧο",
        "ABEKMHOPCTYXaeopcyxijsdqwABEZHIKMNOPTYXo",
        strict=True,
    )
)
"""Letters of other scripts that look like ASCII's."""
_PLAIN: Final = str.maketrans(_LETTERS)
_ALIKE: Final = re.compile(f"[{''.join(_LETTERS)}]++")
_BESIDE: Final = re.compile(r"[0-9A-Za-z@_]")
_SIGNS: Final = {"−": "-", "⁃": "-", "․": ".", "∕": "/", "⁄": "/"}
_SET: Final = re.compile("(?<=[0-9])ー(?=[0-9])|(?<=[0-9A-Za-z])。(?=[0-9A-Za-z])")
"""A dash and a full stop as East Asian keyboards set them, in a number or an address.
Elsewhere they are a letter, and the end of a sentence."""
_TWO: Final = "[0-9A-Fa-f]{2}"
_ESCAPE: Final = re.compile(
    rf"(?<!\\)\\++(?:u(?:([Dd][89ABab]{_TWO})\\++u([Dd][C-Fc-f]{_TWO})|({_TWO}{_TWO}))"
    r"|([fnrt\"/]))"
)
"""What JSON, and most languages, write in a string; escaped again in a string of it.
What lies beyond U+FFFF is written as two (RFC 8259, 7). A backspace is left out: in
most texts it is the edge of a word in an expression."""
_MEANT: Final = {"f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_MARKS: Final = r"[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]"
_MARK: Final = re.compile(_MARKS)
_MARKED: Final = re.compile(rf"[^\W_](?:[\ufe0e\ufe0f]?{_MARKS}){{1,16}}")
"""A letter or digit with what is set above, below or around it; no name has more, and
to put them in order takes time by their square."""
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

    What stands escaped, as in a string of JSON, is what it means: else a line's end is
    an ``n`` before the number that begins the next. Letters and their accents are one.

    Law: the source span of each span holds all source characters that it came from.
    Look-alike letters are folded only where ASCII letters or digits stand beside them,
    so that text in another script stays what it is. Lone surrogates, which do not
    encode, become U+FFFD. Each character that occurs is looked up once.
    """
    plain = _Undone(text, None)
    if "\\" in text:
        plain = _undone(plain, _ESCAPE, _meant)
    if not plain.text.isascii() and _MARK.search(plain.text):
        plain = _undone(plain, _MARKED, _composed)
    return _folding(plain.text, len(text), plain.offsets)


class _Undone(NamedTuple):
    """A text, and for each of its characters the source offset that it came from."""

    text: str
    offsets: Sequence[int] | None


def _undone(
    given: _Undone, pattern: re.Pattern[str], told: Callable[[re.Match[str]], str]
) -> _Undone:
    """The text with what a pattern finds as what it means."""
    text, before = given
    pieces: list[str] = []
    offsets: list[int] = []
    at = 0
    for found in pattern.finditer(text):
        start, end = found.span()
        means = told(found)
        pieces += text[at:start], means
        offsets += range(at, start)
        offsets += [start] * len(means)
        at = end
    if not pieces:
        return given
    offsets += range(at, len(text))
    whole = "".join((*pieces, text[at:]))
    return _Undone(whole, offsets if before is None else [before[i] for i in offsets])


def _meant(found: re.Match[str]) -> str:
    """What an escape stands for."""
    high, low, alone, letter = found.groups()
    if high is not None:
        return chr(0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF))
    return _MEANT.get(letter, letter) if alone is None else chr(int(alone, 16))


def _composed(found: re.Match[str]) -> str:
    """A letter with its accents as one where there is such a one; a digit has none."""
    if unicodedata.decimal(found[0][0], None) is not None:
        return found[0][0]
    return unicodedata.normalize("NFC", found[0])


def _folding(text: str, size: int, places: Sequence[int] | None) -> Normal:
    """Each character as it is matched.

    Args:
        text: what is left to be folded.
        size: of the source, in characters.
        places: for each character the source offset; None where both count alike.
    """
    if text.isascii() and not _controlled(text):
        return Normal(text, None if places is None else (*places, size))
    folds = {c: _folded(c) for c in set(text) if c >= "\x80" or c in DROPPED}
    signals = {sign for c, fold in folds.items() if (sign := _signal(c, fold))}
    folded = text.translate({ord(c): fold for c, fold in folds.items() if c != fold})
    if "ー" in folded or "。" in folded:
        folded = _SET.sub(_placed, folded)
    unmasked = _unmasked(folded) if not _LETTERS.keys().isdisjoint(folds) else folded
    if unmasked != folded:
        signals.add("disguise.homoglyph")
    told = tuple(sorted(signals))
    if places is None and all(len(fold) == 1 for fold in folds.values()):
        return Normal(unmasked, None, told)
    given = range(len(text)) if places is None else places
    offsets = [i for i, c in zip(given, text, strict=True) for _ in folds.get(c, "-")]
    return Normal(unmasked, (*offsets, size), told)


def _controlled(text: str) -> bool:
    """Whether a text of ASCII holds controls that are dropped."""
    return len(text.encode().translate(None, _HELD)) != len(text)


def _signal(character: str, fold: str) -> str:
    """What folding a character undid."""
    if not fold:
        return "disguise.invisible"
    if fold != character and fold.isascii() and fold.isalnum():
        return "disguise.compatibility"
    return ""


def _unmasked(text: str) -> str:
    """Fold look-alike letters where ASCII stands right beside them."""
    return _ALIKE.sub(_unmask, text)


def _placed(found: re.Match[str]) -> str:
    return "-" if found[0] == "ー" else "."


def _unmask(found: re.Match[str]) -> str:
    text, (start, end) = found.string, found.span()
    beside = text[start - 1 : start] + text[end : end + 1]
    return found[0].translate(_PLAIN) if _BESIDE.search(beside) else found[0]


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
    return "".join(_as_ascii(c) for c in folded)


def _as_ascii(character: str) -> str:
    """Digits, spaces and dashes of every kind as ASCII's."""
    value = unicodedata.decimal(character, None)
    if value is not None:
        return str(value)
    kind = unicodedata.category(character)
    return {"Zs": " ", "Pd": "-"}.get(kind) or _SIGNS.get(character, character)
