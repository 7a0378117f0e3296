"""Runs of digits: matched once, sliced, and told apart.

``finditer`` does not overlap, so the longest run is matched and each stretch of its
groups is asked for: is it a card, a phone, which country's number?
"""

# ruff: noqa: PLR2004 - ASCII's digits, and lengths

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.detection import checks
from pipeline.detection.context import Around
from pipeline.detection.countries import NUMBERS, Digits
from pipeline.detection.phones import HINTS as PHONE_HINTS
from pipeline.detection.phones import Phones
from pipeline.detection.rules import (
    HINT,
    NEGATIVE,
    NOWHERE,
    Candidate,
    Rule,
    Term,
    evidence,
    hinted,
    unchecked,
)
from pipeline.detection.work import Work
from schemas.policies import DataClass

FIRST: Final = r"[0-9][^0-9a-zA-Z]{0,3}[0-9]"
"""Without this there is no run: what a Set looks for."""
_RUN: Final = re.compile(
    rb"[+(]{0,2}[0-9](?:[ .\-/()]{0,3}[0-9])*"
    rb"(?: ?(?i:x|ext\.?|extension|durchwahl|poste) ?[0-9]{1,6})?"
)
"""The longest run of digits and what is set between them.

Linear: what follows it may be absent, so it never has to give a digit back.
"""
_GROUP: Final = re.compile(rb"[0-9]+")
MIN_DIGITS: Final = 7
MAX_DIGITS: Final = 19
EXTENSION: Final = 6
MAX_GROUPS: Final = 8
COST: Final = 2
"""Candidates that one stretch counts for: it is read as many kinds of number."""
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


Group = tuple[int, int]
"""Where digits without a break begin and end, in bytes."""


@dataclass(slots=True)
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

    def reading(
        self, data_class: DataClass, kind: str, rule: str, terms: tuple[Term, ...]
    ) -> Candidate:
        """The stretch, read as a kind of number."""
        score = sum([weight for _, weight in terms])
        return Candidate(
            data_class, kind, rule, self.start, self.end, score, terms=terms
        )


@dataclass(frozen=True, slots=True)
class Reader:
    """What reads the runs of one text."""

    data: bytes
    around: Around
    work: Work
    phones: Phones

    def runs(self) -> Iterator[tuple[int, int]]:
        """Runs long enough to be something."""
        for match in _RUN.finditer(self.data):
            start, end = match.span()
            if end - start >= MIN_DIGITS:
                yield start, end

    def candidates(self, start: int, end: int) -> Iterator[Candidate]:
        """What a run may hold; the best reading of each stretch, stretches apart."""
        groups = [m.span() for m in _GROUP.finditer(self.data, start, end)]
        first = 0
        while first < len(groups):
            taken = 1
            for last in _ends(groups, first):
                if not self.work.spend(COST):
                    yield unread(groups[first][0], groups[-1][1])
                    return
                found = self._best(groups[first:last], start, end)
                if found is not None:
                    yield found
                    if found.score > 0:
                        taken = last - first
                        break
            first += taken

    def every(self, start: int, end: int) -> Iterator[Candidate]:
        """Every reading of every stretch of a run, for who asks why."""
        groups = [m.span() for m in _GROUP.finditer(self.data, start, end)]
        for first in range(len(groups)):
            for last in _ends(groups, first):
                stretch = self._stretch(groups[first:last], start, end)
                if stretch is not None:
                    readings = self._readings(stretch, start)
                    yield from (self._heeding(each, stretch) for each in readings)

    def _best(self, groups: Sequence[Group], start: int, end: int) -> Candidate | None:
        stretch = self._stretch(groups, start, end)
        readings = self._readings(stretch, start) if stretch else None
        if stretch is None or not readings:
            return None
        return self._heeding(max(readings, key=_score), stretch)

    def _stretch(self, groups: Sequence[Group], start: int, end: int) -> Stretch | None:
        """The groups as one number; None: they go on in what stands beside them."""
        data = self.data
        first, last = groups[0][0], groups[-1][1]
        if _glued(data, first, last):
            return None
        text = data[first:last].decode("ascii", "replace")
        number = text if len(groups) == 1 else checks.digits(text)
        words = (
            self.around.words(start, end)
            if end - start <= SHORT
            else self.around.within(first, last, start, end)
        )
        layout = tuple([b - a for a, b in groups])
        return Stretch(first, last, number, layout, text, words)

    def _readings(self, stretch: Stretch, start: int) -> list[Candidate]:
        return [*_readings(stretch), *self.phones.readings(stretch, start)]

    def _heeding(self, each: Candidate, stretch: Stretch) -> Candidate:
        """With what stands before it, where that says that it is something else.

        What is numbered by a ``#`` is a ticket, unless a word says whose number it is.
        """
        ticket = self.data[stretch.start - 1 : stretch.start] == b"#"
        if not self.around.negative(stretch.start) and not (
            ticket and not any(n == "context" and weight for n, weight in each.terms)
        ):
            return each
        terms = (*each.terms, ("negative", NEGATIVE))
        return each._replace(score=each.score + NEGATIVE, terms=terms)


def _score(each: Candidate) -> float:
    return each.score


def unread(start: int, end: int) -> Candidate:
    """Digits that nobody read: they may be anything, so they are the gravest."""
    return unchecked(_UNREAD, start, end)


_UNREAD: Final = Rule(
    id="numbers.unread", data_class=DataClass.GOV_ID, pattern="", base=0.0
)


def _ends(groups: Sequence[Group], first: int) -> list[int]:
    """Where stretches from a group may end, longest first: by number of digits."""
    found, size = [], 0
    for last in range(first, min(len(groups), first + MAX_GROUPS)):
        size += groups[last][1] - groups[last][0]
        if size > MAX_DIGITS + EXTENSION:
            break
        if size >= MIN_DIGITS:
            found.append(last + 1)
    return found[::-1]


def _glued(data: bytes, start: int, end: int) -> bool:
    """Letters or digits right beside it: part of a longer word, or a decimal."""
    before, after = data[max(0, start - 2) : start], data[end : end + 2]
    if before and (before[-1] in _LETTERS_BEFORE or _point_before(before)):
        return True
    return bool(after) and (after[0] in _LETTERS_AFTER or _point_after(after))


_LETTERS_BEFORE: Final = frozenset(
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
)
_LETTERS_AFTER: Final = _LETTERS_BEFORE - frozenset(b"Xx")
"""An ``x`` begins an extension."""


def _point_before(two: bytes) -> bool:
    return two[-1:] == b"." and two[:-1].isdigit()


def _point_after(two: bytes) -> bool:
    return two[:1] == b"." and two[1:].isdigit()


@dataclass(frozen=True, slots=True)
class _Plan:
    """The kinds of one length.

    Attributes:
        hints: of any of them.
        laid_out: those that are written in some groups.
        bare: those that can be near as they are, without a word of context.
        chance: how often the check of one of them accepts any number, by layout: of
            ten kinds each of which accepts a tenth, one nearly always does.
    """

    kinds: tuple[Digits, ...]
    hints: frozenset[str]
    laid_out: Mapping[tuple[int, ...], tuple[Digits, ...]]
    bare: tuple[Digits, ...]
    chance: Mapping[tuple[int, ...], float]


def _planned(kinds: tuple[Digits, ...]) -> _Plan:
    hints = frozenset[str]().union(*(kind.hints for kind in kinds))
    layouts = {each for kind in kinds for each in kind.layouts}
    laid_out = {each: tuple(k for k in kinds if each in k.layouts) for each in layouts}
    bare = tuple(kind for kind in kinds if _near(kind))
    chance = {layout: _chance(asked) for layout, asked in laid_out.items()}
    return _Plan(kinds, hints, laid_out, bare, {(): _chance(bare), **chance})


def _chance(kinds: Sequence[Digits]) -> float:
    told = [kind.accepts for kind in kinds if kind.check and kind.accepts < _SAYS]
    return 1 - math.prod(1 - each for each in told)


_SAYS: Final = 0.5
"""A check that accepts more says nothing, and is not counted among the others."""


def _near(kind: Digits) -> bool:
    most = kind.bare - math.log(kind.accepts) if kind.check else kind.bare
    return most > NOWHERE and not _hopeless(kind, kind.bare)


def _hopeless(kind: Digits, score: float) -> bool:
    """A check that accepts so much cannot make up for so little."""
    return kind.check is not None and score < -3 and kind.accepts > 0.02


_PLANS: Final = {length: _planned(kinds) for length, kinds in NUMBERS.items()}


def _readings(s: Stretch) -> Iterator[Candidate]:
    if checks.repeated(s.number):
        return
    if len(s.number) in _CARD_DIGITS:
        yield from _card(s)
    for kind in _kinds(s):
        yield from _identity(s, kind)
    if len(s.layout) == 1 and len(s.number) in _ACCOUNT_DIGITS:
        terms = (("shape", -2.2), ("context", s.hint(_ACCOUNT_HINTS)))
        yield s.reading(DataClass.BANK, "account", "bank.account", terms)


def _kinds(s: Stretch) -> tuple[Digits, ...]:
    """Those that the stretch may be, by length, layout and context."""
    plan = _PLANS.get(len(s.number))
    if plan is None:
        return ()
    if len(s.layout) > 1:
        return plan.laid_out.get(s.layout, ())
    known = s.layout in plan.laid_out or not plan.hints.isdisjoint(s.words)
    return plan.kinds if known else plan.bare


def _card(s: Stretch) -> Iterator[Candidate]:
    grouped = s.layout in {(4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3)}
    if len(s.layout) > 1 and not grouped:
        return
    terms = (
        ("issuer", 0.3 if checks.issuer(s.number) else -2.5),
        ("layout", 1.2 if grouped else 0.0),
        ("check", evidence(passed=checks.luhn(s.number), accepts=0.095)),
        ("context", s.hint(_CARD_HINTS)),
    )
    yield s.reading(DataClass.CARD, "pan", "card.pan", terms)


def _quad(s: Stretch, kind: Digits) -> bool:
    """Whether it is an address on a network, since nothing speaks for an identity."""
    return s.text.count(".") == 3 and checks.ipv4(s.text) and not s.hint(kind.hints)


def _identity(s: Stretch, kind: Digits) -> Iterator[Candidate]:
    laid_out = s.layout in kind.layouts and not _quad(s, kind)
    if not laid_out and len(s.layout) > 1:
        return
    base, hint = kind.layout if laid_out else kind.bare, s.hint(kind.hints)
    if _hopeless(kind, base + hint):
        return
    terms: tuple[Term, ...] = (
        ("layout" if laid_out else "length", base),
        ("context", hint),
    )
    if kind.check is not None:
        passed = kind.check(s.number)
        told = evidence(passed=passed, accepts=kind.accepts if hint else _far(s, kind))
        terms = (*terms, ("check", told))
    yield s.reading(kind.data_class, kind.kind, kind.rule, terms)


def _far(s: Stretch, kind: Digits) -> float:
    """How often some check accepts it, where no word says whose number it is."""
    plan = _PLANS[len(s.number)]
    layout = s.layout if s.layout in kind.layouts else ()
    return max(kind.accepts, plan.chance.get(layout, 0.0))


def known(number: str) -> Mapping[str, bool | None]:
    """The kinds of a number's length, and whether it passes the check of each."""
    return {
        kind.rule: kind.check(number) if kind.check else None
        for kind in NUMBERS.get(len(number), ())
    }


HINTS_OF: Final[Mapping[str, frozenset[str]]] = {
    "card.pan": _CARD_HINTS,
    "bank.account": _ACCOUNT_HINTS,
    "phone": PHONE_HINTS,
    **{kind.rule: kind.hints for kinds in NUMBERS.values() for kind in kinds},
}
"""The words of context of each rule for digits."""
