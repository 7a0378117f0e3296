"""Names of people by a linear model: a gate, a gazetteer, and what stands around.

Only capitalised words, and lower-case ones that the gazetteer knows beside another,
are looked at. What is seen of a word, and what that weighs, is in ``weights.py``.
"""

# ruff: noqa: SIM905, RUF001 - lists of words

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, repeat
from typing import Final

from pipeline.detection.rules import Candidate, Term
from pipeline.detection.weights import Tables, Words, code_of, joined, lower_case
from schemas.policies import DataClass

MAX_CANDIDATES: Final = 2_000
"""Words scored in 64 KB; the gate lets one word in ten of usual prose through."""


def _token(letter: str, quote: str) -> re.Pattern[str]:
    return re.compile(f"({letter}++(?:{quote}{letter}++)*)")


_TOKEN: Final = _token(r"[^\W\d_]", "['’]")
_ASCII: Final = _token("[A-Za-z]", "'")
"""The same in a text of ASCII alone, at half the cost."""
PARTICLES: Final = frozenset(
    "de da do dos das di del della van von der den ter la le el al bin ibn bint zu af "
    "av y e san mc mac".split()
)
_CUES: Final = frozenset(
    "is mr mrs ms dr name dear hi hello with from to by met called".split()
)
NEVER: Final = frozenset(
    "he she it they we you this that these those what which who whom when "
    "where why how then there here also before after neither either both each "
    "every if though although because while since until unless but and or nor "
    "not no yes please thanks hello some any many much most more another other "
    "such its his her their our my your was were are been being have has had "
    "does did doing could would should must shall might first next finally "
    "however therefore moreover furthermore meanwhile otherwise instead once "
    "again only just very too under over between during about above below "
    "identify incorporate describe explain write make give use using let now "
    "today yesterday tomorrow everyone someone nobody der die das ein eine und "
    "oder aber wenn weil dass ich du er sie wir ihr nicht auch noch nur wie wo "
    "wann warum bitte dann danach außerdem jedoch les des une dans avec pour "
    "mais donc car que qui quoi quand comment pourquoi nous vous ils elles "
    "cette ces aussi encore puis ensuite los las una unos con para pero porque "
    "cuando como donde quien nosotros ustedes ellos ellas este esta estos "
    "estas también después entonces gli della delle degli nel nella per perché "
    "quando come dove chi anche poi uma uns umas dos com onde quem nós eles "
    "elas também depois então het een maar want omdat wanneer hoe waar wij "
    "jullie zij ook dan daarna".split()
)
"""Words that open sentences, and are of no name whatever a list says."""
PLACES: Final = frozenset(
    "afghanistan albania algeria argentina armenia australia austria "
    "azerbaijan bangladesh belgium bolivia brazil bulgaria cambodia cameroon "
    "canada chile china colombia croatia denmark ecuador egypt estonia "
    "ethiopia finland france germany deutschland ghana greece hungary iceland "
    "indonesia iran iraq ireland italy japan kazakhstan kenya kuwait latvia "
    "lebanon lithuania luxembourg malaysia mexico morocco mozambique nepal "
    "netherlands nigeria norway pakistan panama peru philippines poland "
    "portugal romania russia rwanda senegal serbia singapore slovakia slovenia "
    "somalia spain españa sudan sweden switzerland schweiz syria taiwan "
    "tanzania thailand tunisia turkey uganda ukraine uruguay venezuela vietnam "
    "amsterdam athens bangkok barcelona berlin brussels bucharest budapest "
    "copenhagen delhi denver dubai dublin frankfurt geneva hamburg helsinki "
    "istanbul jakarta johannesburg kyiv lisbon london madrid manila melbourne "
    "montreal moscow mumbai munich münchen nairobi oslo prague rome seattle "
    "shanghai seoul stockholm tokyo toronto vegas vienna warsaw zurich school "
    "senate university college ministry department officer".split()
)
"""Countries, cities and houses that lists of names hold too."""
_NEITHER: Final = NEVER | PLACES
_LOWER: Final = 3
"""The last code of a word in small letters; 0: one that no list holds."""
_TOP: Final = 6.0
UNREAD: Final = 1.0
NEAR: Final = -0.4
"""Log-odds from which a word is joined to a name."""
ALONE: Final = 0.6
"""What a word that stands alone must have more; ``SMALL``: one in small letters."""
SMALL: Final = 0.5


@dataclass(frozen=True, slots=True)
class People:
    """What is known about names.

    Attributes:
        lists: names, lower case, without common words: 1 given, 2 family, 3 both.
        tables: what each thing that is seen of a word weighs.
    """

    lists: Mapping[str, int] = field(repr=False)
    tables: Tables = field(repr=False)


def listed(first: frozenset[str], last: frozenset[str]) -> Mapping[str, int]:
    """Given names and family names as one list."""
    found = dict.fromkeys(first, 1) | dict.fromkeys(last, 2)
    return found | dict.fromkeys(first & last, 3)


def words(text: str, lists: Mapping[str, int]) -> Words:
    """The words of a text, with what the lists say of them."""
    parts = (_ASCII if text.isascii() else _TOKEN).split(text)
    at = [*accumulate(map(len, parts))]
    told = parts[1::2]
    lowers = [*map(str.lower, told)]
    return Words(
        starts=at[:-1:2],
        ends=at[1::2],
        gaps=parts[::2],
        joins=joined(parts[::2]),
        lowers=lowers,
        codes=[
            number if word[0].islower() else code_of(word, number)
            for word, number in zip(
                told, map(lists.get, lowers, repeat(0)), strict=True
            )
        ],
    )


def gated(found: Words, i: int) -> bool:
    """Whether a word may be of a name at all."""
    if not lower_case(found.codes[i]):
        return True
    if not found.listed(i) or found.ends[i] - found.starts[i] < 3:  # noqa: PLR2004 - too short to tell
        return False
    return (i > 0 and _leads(found, i - 1)) or (
        i + 1 < len(found.codes) and _leads(found, i + 1)
    )


def _leads(found: Words, i: int) -> bool:
    return found.listed(i) or found.lowers[i] in _CUES


def candidates(text: str, people: People) -> tuple[list[Candidate], bool]:
    """Names in characters of the text, and whether the cap was reached."""
    found = words(text, people.lists)
    scores: dict[int, float] = {}
    left = MAX_CANDIDATES * (1 + len(text) // 65_536)
    score = people.tables.score
    for i, code in enumerate(found.codes):
        if not code or found.lowers[i] in _NEITHER:
            continue
        if code > _LOWER or gated(found, i):
            left -= 1
            scores[i] = score(found, i) if left >= 0 else _unread(found, i)
    return list(_spans(found, scores)), left < 0


def weighed(text: str, people: People) -> Iterator[tuple[int, int, Sequence[Term]]]:
    """What each word weighs and why, for who asks; nothing: it may be of no name."""
    found = words(text, people.lists)
    for i in range(len(found.codes)):
        terms = people.tables.terms(found, i) if gated(found, i) else ()
        yield found.starts[i], found.ends[i], terms


def _unread(found: Words, i: int) -> float:
    """Beyond the cap every listed word counts as a name: more goes than must."""
    return UNREAD if found.listed(i) else -1.0


def _spans(found: Words, scores: Mapping[int, float]) -> Iterator[Candidate]:
    """Words of names that stand together, as one name."""
    done = -1
    for i, first in scores.items():
        if first <= NEAR or i <= done:
            continue
        done = i
        while (following := _next(found, done, scores)) is not None:
            done = following
        told = [scores[k] for k in range(i, done + 1) if k in scores]
        mean = max(-_TOP, min(_TOP, sum(told) / len(told)))
        sure = mean - ALONE if done == i else mean
        if found.codes[i] <= _LOWER:
            sure -= SMALL
        start, end = found.starts[i], found.ends[done]
        terms = (("words", mean), ("alone, or in small letters", sure - mean))
        yield Candidate(
            DataClass.PERSON, "name", "person.model", start, end, sure, terms=terms
        )


def _next(found: Words, i: int, scores: Mapping[int, float]) -> int | None:
    """The word that goes on with the name, past particles; None where it ends."""
    starts, ends = found.starts, found.ends
    for k in range(i + 1, min(i + 4, len(ends))):
        gap = found.gaps[k]
        dotted = gap in {". ", "."} and ends[k - 1] - starts[k - 1] <= 2  # noqa: PLR2004 - J.
        if gap not in {" ", "-", "\u00a0"} and not dotted:
            return None
        if scores.get(k, -1.0) > NEAR:
            return k
        if found.lowers[k] not in PARTICLES:
            return None
    return None
