"""The engine: what a text holds, where, and how sure that is.

A ``re2.Set`` answers which of all patterns hit, in one linear pass; only those are then
located, checked, and weighed in log-odds with the words around them. Everything is a
pure function of text and recipe; work is capped by counts, and timed where a clock is
given.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from pipeline.detection.findings import Finding, Inspection
from pipeline.detection.normalise import Normal, normalise
from pipeline.detection.recipe import Recipe, build
from pipeline.detection.rules import NOWHERE, UNCHECKED, Candidate
from pipeline.detection.scan import Scan
from pipeline.detection.sets import GuardFailed
from pipeline.detection.spans import surest
from pipeline.detection.work import LIMIT, Clock, Work
from schemas.policies import DataClass

__all__ = ["Finding", "GuardFailed", "Inspection", "Recipe", "build", "inspect"]

MAX_PART_BYTES: Final = 1_048_576
MAX_FINDINGS: Final = 10_000
"""Findings of a request; beyond them one of each class stands for all that follow."""


def inspect(
    text: str,
    recipe: Recipe,
    *,
    regions: Sequence[str] = (),
    most: int = MAX_FINDINGS,
    clock: Clock | None = None,
    acting: Mapping[DataClass, float] | None = None,
) -> Inspection:
    """What a text holds.

    Law: what is found does not depend on what stands far from it, nor on the time that
    it takes, unless that ends it.

    Attributes:
        regions: ISO 3166 codes of countries whose national telephone numbers are
            expected.
        most: findings that are told one by one.
        clock: in seconds; None: nothing is timed.
        acting: classes that are acted on, and from which confidence: where findings
            overlap, they go before all others. None: all, from any confidence.

    Raises:
        GuardFailed: the text is too long, or a pattern set did not look.
        GuardTimedOut: it took too long.
    """
    normal = normalise(text)
    data = normal.text.encode()
    if len(data) > MAX_PART_BYTES:
        raise GuardFailed("a text is longer than the engine may look at")
    work = Work(len(data), clock)
    scan = Scan(data, recipe, work, regions, acting)
    found = [*scan.candidates(), *scan.hidden(), *scan.names(normal.text)]
    standing = surest((c for c in found if c.score > NOWHERE), data, scan.acts)
    told = _capped(standing, max(0, most), work)
    return Inspection(
        tuple(_findings(normal, data, told, recipe)),
        tuple(sorted({*normal.signals, *work.signals})),
        frozenset(scan.failed),
    )


def _capped(standing: list[Candidate], most: int, work: Work) -> list[Candidate]:
    """The first of them; beyond, one of each class stands, unchecked, for the rest.

    What a policy does differs by class, so each class has its own.
    """
    if len(standing) <= most:
        return standing
    work.signals.add(LIMIT)
    rest: dict[DataClass, Candidate] = {}
    for each in standing[most:]:
        known = rest.get(each.data_class, each)
        end = max(known.end, each.end)
        rest[each.data_class] = Candidate(
            each.data_class, "", LIMIT, known.start, end, UNCHECKED, checked=False
        )
    return [*standing[:most], *rest.values()]


def _findings(
    normal: Normal, data: bytes, standing: Iterable[Candidate], recipe: Recipe
) -> Iterator[Finding]:
    """Candidates as findings; bytes are counted as characters once, in order."""
    at = counted = 0
    plain = len(data) == len(normal.text)
    for each in standing:
        if plain:
            start, end = each.start, each.end
        else:
            counted += len(data[at : each.start].decode("utf-8", "ignore"))
            at = each.start
            start = counted
            end = start + len(data[each.start : each.end].decode("utf-8", "ignore"))
        first, last = normal.source(start, end)
        yield Finding(
            each.data_class,
            each.kind,
            each.rule,
            first,
            last,
            recipe.sure(each),
            each.via or ("normalised" if normal.signals else "plain"),
            each.checked,
        )
