"""What got worse: a class that lost more than a point, in any set, fails."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

POINT: Final = 0.01
WHO: Final = "sluice"
Results = Mapping[str, Any]


def worse(before: Results, now: Results) -> Iterator[str]:
    """One line for each figure that fell by more than a point, or is gone.

    Compared are F1 of every class of every set, and of each source of attacks the
    recall at 5 % false positives and the share that is seen as shipped.
    """
    for name, by in before["sets"].items():
        old, new = by[WHO], now["sets"].get(name, {}).get(WHO, {})
        for data_class, row in old["classes"].items():
            figure = new.get("classes", {}).get(data_class, {"f1": [0.0]})["f1"][0]
            yield from _lost(f"{name} {data_class}, F1", row["f1"][0], figure)
    for name, row in before["injection"].items():
        for key in ("at_5", "seen"):
            if key in row:
                figure = now["injection"].get(name, {}).get(key, 0.0)
                yield from _lost(f"{name}, {key}", row[key], figure)


def _lost(name: str, before: float, now: float) -> Iterator[str]:
    if before - now > POINT + 1e-9:
        yield f"{name}: {before:.3f} before, {now:.3f} now"
