"""Runs of digits: matched once, sliced, and told apart.

``finditer`` does not overlap, so the longest run is matched and each stretch of its
groups is asked for: is it a card, a phone, which country's number?
"""

# ruff: noqa: PLR2004 - ASCII's digits, and lengths

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.detection import checks, phones
from pipeline.detection.context import Around
from pipeline.detection.countries import NUMBERS, Digits
from pipeline.detection.rules import HINT, NEGATIVE, Candidate, evidence, hinted
from schemas.policies import DataClass

PATTERN: Final = (
    r"[+(]{0,2}[0-9](?:[0-9]|[ .\-/()\x{a0}]{1,3}[0-9])*"
    r"(?:(?i: ?(?:x|ext\.?|extension|durchwahl|poste) ?)[0-9]{1,6})?"
)
MIN_DIGITS: Final = 7
MAX_DIGITS: Final = 19
EXTENSION: Final = 6
UNREAD: Final = 0.1
"""Log-odds of what was not read: acted on."""
MAX_GROUPS: Final = 8
MAX_STRETCHES: Final = 4_096
"""Stretches of one run that are read; what is left of it counts as found, unchecked."""
SHORT: Final = 40
"""Bytes of a run whose stretches share their context."""
_CARD_DIGITS: Final = range(12, 20)
_CARD_HINTS: Final = hinted(
    "card credit debit visa mastercard amex maestro discover pan kreditkarte karte "
    "carte tarjeta carta cartão cartao karta cc kort kaart カード 信用"
)
_ACCOUNT_HINTS: Final = hinted(
    "account acct kontonummer konto bankverbindung compte cuenta conto conta iban bank "
    "checking savings sort 口座"
)
_ACCOUNT_DIGITS: Final = range(7, 18)


@dataclass(frozen=True, slots=True)
class Group:
    """Digits without a break; offsets in bytes."""

    start: int
    end: int
    digits: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some groups in a row, as written."""

    start: int
    end: int
    number: str
    layout: tuple[int, ...]
    text: str
    words: frozenset[str]

    def hint(self, hints: frozenset[str]) -> float:
        """What words of context add."""
        return 0.0 if hints.isdisjoint(self.words) else HINT


def candidates(
    data: bytes, start: int, end: int, around: Around
) -> Iterator[Candidate]:
    """What a run may hold; the best reading of each stretch, stretches apart."""
    groups = _groups(data, start, end)
    left = MAX_STRETCHES
    first = 0
    while first < len(groups):
        taken = 1
        for last in _ends(groups, first):
            left -= 1
            found = _best(data, groups[first:last], around, start, end)
            if found is not None:
                yield found
                if found.score > 0:
                    taken = last - first
                    break
        first += taken
        if left <= 0 and first < len(groups):
            yield _unread(groups[first].start, groups[-1].end)
            return


def _ends(groups: Sequence[Group], first: int) -> list[int]:
    """Where stretches from a group may end, longest first: by number of digits."""
    found, size = [], 0
    for last in range(first, min(len(groups), first + MAX_GROUPS)):
        size += len(groups[last].digits)
        if size > MAX_DIGITS + EXTENSION:
            break
        if size >= MIN_DIGITS:
            found.append(last + 1)
    return found[::-1]


def _unread(start: int, end: int) -> Candidate:
    return Candidate(DataClass.GOV_ID, "", "numbers.unread", start, end, UNREAD)


def _groups(data: bytes, start: int, end: int) -> list[Group]:
    found: list[Group] = []
    at = start
    while at < end:
        if not 48 <= data[at] <= 57:
            at += 1
            continue
        stop = at
        while stop < end and 48 <= data[stop] <= 57:
            stop += 1
        found.append(Group(at, stop, data[at:stop].decode()))
        at = stop
    return found


def _best(
    data: bytes, groups: Sequence[Group], around: Around, start: int, end: int
) -> Candidate | None:
    number = "".join(group.digits for group in groups)
    first, last = groups[0].start, groups[-1].end
    if _glued(data, first, last):
        return None
    layout = tuple(len(group.digits) for group in groups)
    text = data[first:last].decode("utf-8", "replace")
    near = (start, end) if end - start <= SHORT else (first, last)
    stretch = Stretch(first, last, number, layout, text, around.words(*near))
    readings = [*_readings(stretch), *phones.readings(data, stretch, start)]
    if not readings:
        return None
    best = max(readings, key=lambda each: each.score)
    if around.negative(first):
        return Candidate(
            best.data_class,
            best.kind,
            best.rule,
            best.start,
            best.end,
            best.score + NEGATIVE,
        )
    return best


def _glued(data: bytes, start: int, end: int) -> bool:
    """Letters or digits right beside it: part of a longer word, or a decimal."""
    before, after = data[max(0, start - 2) : start], data[end : end + 2]
    if before and (before[-1:].isalnum() or before[-1:] in (b"_", b"#")):
        return True
    if len(before) > 1 and before[1:] == b"." and before[:1].isdigit():
        return True
    if after[:1].isalnum() or after[:1] == b"_":
        return after[:1].lower() != b"x"
    return len(after) > 1 and after[:1] == b"." and after[1:].isdigit()


def _readings(s: Stretch) -> Iterator[Candidate]:
    if checks.repeated(s.number):
        return
    if len(s.number) in _CARD_DIGITS:
        yield from _card(s)
    for kind in NUMBERS.get(len(s.number), ()):
        yield from _identity(s, kind)
    if len(s.layout) == 1 and len(s.number) in _ACCOUNT_DIGITS:
        score = -2.2 + s.hint(_ACCOUNT_HINTS)
        yield Candidate(
            DataClass.BANK, "account", "bank.account", s.start, s.end, score
        )


def _card(s: Stretch) -> Iterator[Candidate]:
    grouped = s.layout in {(4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3)}
    if len(s.layout) > 1 and not grouped:
        return
    issued = checks.issuer(s.number)
    score = (0.3 if issued else -2.5) + (1.2 if grouped else 0.0)
    score += evidence(passed=checks.luhn(s.number), accepts=0.095) + s.hint(_CARD_HINTS)
    yield Candidate(DataClass.CARD, "pan", "card.pan", s.start, s.end, score)


def _identity(s: Stretch, kind: Digits) -> Iterator[Candidate]:
    laid_out = s.layout in kind.layouts
    if not laid_out and len(s.layout) > 1:
        return
    hint = s.hint(kind.hints)
    score = (kind.layout if laid_out else kind.bare) + hint
    if kind.check is not None:
        if score < -3 and kind.accepts > 0.02:
            return
        score += evidence(passed=kind.check(s.number), accepts=kind.accepts)
    rule = f"gov_id.{kind.kind}" if kind.data_class is DataClass.GOV_ID else kind.kind
    yield Candidate(kind.data_class, kind.kind, rule, s.start, s.end, score)
