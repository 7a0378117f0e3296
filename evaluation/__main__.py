"""``python -m evaluation``: measure, print, compare with the last results.

Writes ``evaluation/results.json`` and exits 1 where a class lost more than a point of
F1 against the results that were there; ``--accept`` takes the new ones all the same.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from evaluation import documents, injection, targets
from evaluation.detectors import Detector, detectors
from evaluation.scoring import Tally, interval, tally
from evaluation.speed import CLEAN, DENSE, rate, sample

RESULTS: Final = Path(__file__).parent / "results.json"
POINT: Final = 0.01
NAMES: Final = frozenset({"PERSON", "ADDRESS", "HEALTH"})
Figures = dict[str, Any]


def say(line: str) -> None:
    """One line, for a person."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def measured(docs: Sequence[documents.Document], detector: Detector) -> Figures:
    """Per class and micro, over the classes that the set labels."""
    scored = frozenset(s.data_class for d in docs for s in d.spans) - {documents.IGNORE}
    tallies = [tally(d, detector(d.text), scored) for d in docs]
    total = Tally()
    for each in tallies:
        total.add(each)
    figures: Figures = {
        name: [round(x, 4) for x in total.figures([name])]
        + [round(x, 4) for x in interval(tallies, name)]
        for name in sorted(scored)
    }
    figures["structured"] = [round(x, 4) for x in total.figures(scored - NAMES)]
    figures["all"] = [round(x, 4) for x in total.figures(scored)]
    return figures


def table(name: str, by: Mapping[str, Figures]) -> None:
    """Precision, recall, F1 of each class, side by side."""
    say(f"\n{name}")
    classes = next(iter(by.values()))
    for data_class in classes:
        cells = [
            f"{who} " + " / ".join(f"{x:.3f}" for x in figures[data_class][:3])
            for who, figures in by.items()
        ]
        say(f"  {data_class:12} " + "   ".join(cells))


def main() -> int:
    """Measure everything; 1 where a class got worse."""
    if not documents.DATA.exists():
        say("the data does not lie beside the checkout: ../shared/data")
        return 1
    made = detectors()
    results: Figures = {}
    for name, docs in documents.sets():
        results[name] = {who: measured(docs, found) for who, found in made.items()}
        table(name, results[name])
    results["speed"] = _speed(made)
    results["clean_names_per_kb"] = _clean(made["sluice"])
    results["injection"] = injection.measured()
    for line in (*injection.lines(results["injection"]), *targets.lines(results)):
        say(line)
    return _compare(results)


def _speed(made: Mapping[str, Detector]) -> Figures:
    found = {}
    for who, detector in made.items():
        dense, clean = rate(detector, sample(DENSE)), rate(detector, sample(CLEAN))
        found[who] = {"dense": round(dense), "clean": round(clean)}
        say(f"{who}: {dense:.0f} docs/s dense, {clean:.0f} clean (1 KB, one core)")
    return found


def _clean(detector: Detector) -> float:
    texts = documents.benign()
    names = sum(s.data_class == "PERSON" for t in texts for s in detector(t))
    figure = 1024 * names / sum(len(t) for t in texts)
    say(f"names in benign prompts: {figure:.2f} a KB (target: at most 0.5)")
    return round(figure, 3)


def _compare(results: Figures) -> int:
    worse = _worse(json.loads(RESULTS.read_text()), results) if RESULTS.exists() else []
    for line in worse:
        say(f"worse: {line}")
    if not worse or "--accept" in sys.argv:
        RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
        return 0
    return 1


def _worse(before: Figures, now: Figures) -> list[str]:
    found = []
    for name, _ in documents.sets():
        old, new = before[name]["sluice"], now[name]["sluice"]
        for data_class in old:
            lost = old[data_class][2] - new.get(data_class, [0, 0, 0])[2]
            if lost > POINT:
                found.append(f"{name} {data_class}: F1 lost {lost:.3f}")
    return found


if __name__ == "__main__":
    sys.exit(main())
