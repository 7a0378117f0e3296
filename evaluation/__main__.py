"""``python -m evaluation``: measure, print, compare with the last results.

Writes ``evaluation/results.json`` and the tables of ``docs/detection.md``. Exits 1 and
writes nothing where a class lost more than a point; ``--accept`` takes the new figures
all the same. Without presidio-analyzer there is no comparison, and nothing is measured.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from evaluation import (
    disguises,
    documents,
    gate,
    injection,
    machine,
    reliability,
    report,
    speed,
)
from evaluation.detectors import Detector, detectors
from evaluation.scoring import figures, macro, tally
from infra.recipes import load_recipe

RESULTS: Final = Path(__file__).parent / "results.json"
NAMES: Final = frozenset({"PERSON", "ADDRESS", "HEALTH"})
Figures = dict[str, Any]


def say(line: str) -> None:
    """One line, for a person."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Measure everything; 1 where a class got worse or something is not there."""
    if not documents.DATA.exists():
        say("the data does not lie beside the checkout: ../shared/data")
        return 1
    made = detectors()
    if "presidio" not in made:
        say("presidio-analyzer is not installed: `make install` brings it")
        return 1
    return settled(RESULTS, report.PAGE, measured(made), accept="--accept" in sys.argv)


def measured(made: Mapping[str, Detector]) -> Figures:
    """Everything, as ``results.json`` holds it."""
    sets = {**dict(documents.sets()), "disguised": list(disguises.documents())}
    found: Figures = {"machine": dict(machine.told()), "sets": {}}
    for name, docs in sets.items():
        say(f"looking at {name}, {len(docs)} documents")
        found["sets"][name] = {who: scored(docs, each) for who, each in made.items()}
    found["speed"] = _speed(made, sets)
    found["costs"] = dict(speed.costs())
    found["clean_names_per_kb"] = _clean(made["sluice"])
    say("looking at what confidences mean")
    found["reliability"] = dict(reliability.measured(sets, load_recipe()))
    found["injection"] = injection.measured()
    return found


def scored(docs: Sequence[documents.Document], detector: Detector) -> Figures:
    """Per class, and over the classes that the set labels: micro and macro."""
    classes = {s.data_class for d in docs for s in d.spans} - {documents.IGNORE}
    tallies = [tally(d, detector(d.text), classes) for d in docs]
    by_class = {name: figures(tallies, {name}) for name in sorted(classes)}
    return {
        "classes": by_class,
        "structured": figures(tallies, classes - NAMES),
        "all": figures(tallies, classes),
        "macro": macro(by_class.values()),
    }


def _speed(
    made: Mapping[str, Detector], sets: Mapping[str, Sequence[documents.Document]]
) -> Figures:
    say("looking at the speed")
    texts = list(speed.kilobytes(sets["presidio_generated"]))
    rates = speed.rates(made)
    return {
        who: {**rates[who], **speed.percentiles(detector, texts)}
        for who, detector in made.items()
    }


def _clean(detector: Detector) -> float:
    texts = documents.benign()
    names = sum(s.data_class == "PERSON" for t in texts for s in detector(t))
    return round(1024 * names / sum(len(t) for t in texts), 3)


def settled(results: Path, page: Path, now: Figures, *, accept: bool) -> int:
    """Print, compare with what the file holds, and write unless something got worse."""
    for table in report.tables(now).values():
        say(f"\n{table}")
    worse = list(_worse(results, now))
    for line in worse:
        say(f"worse: {line}")
    if worse and not accept:
        return 1
    results.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
    page.write_text(report.filled(page.read_text(), now))
    return 0


def _worse(results: Path, now: Figures) -> Iterator[str]:
    if results.exists():
        yield from gate.worse(json.loads(results.read_text()), now)


if __name__ == "__main__":
    sys.exit(main())
