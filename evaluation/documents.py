"""Labelled documents, in our classes."""

import gzip
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
DATA: Final = HERE.parents[1] / "shared" / "data"
LABELS: Final[Mapping[str, Mapping[str, str]]] = tomllib.loads(
    (HERE / "labels.toml").read_text()
)
IGNORE: Final = "ignore"


@dataclass(frozen=True, slots=True)
class Span:
    """A labelled stretch, in characters."""

    data_class: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Document:
    """A text and what is in it."""

    text: str
    spans: tuple[Span, ...]


def presidio_generated() -> list[Document]:
    """2,109 sentences of presidio-research's generator (MIT)."""
    raw = json.loads((DATA / "pii/presidio_generated/generated_large.json").read_text())
    told = LABELS["presidio_generated"]
    names = ("entity_type", "start_position", "end_position")
    return [_document(row["full_text"], row["spans"], told, names) for row in raw]


def pii_anon(name: str, every: int = 5) -> list[Document]:
    """Each fifth record of a part of pii-anon-eval-data (CC0)."""
    path = DATA / f"pii/pii_anon/{name}.jsonl.gz"
    told = LABELS["pii_anon"]
    names = ("entity_type", "start", "end")
    with gzip.open(path) as lines:
        rows = [json.loads(line) for i, line in enumerate(lines) if i % every == 0]
    return [_document(row["text"], row["annotations"], told, names) for row in rows]


def _document(
    text: str,
    spans: list[dict[str, Any]],
    told: Mapping[str, str],
    names: tuple[str, str, str],
) -> Document:
    label, start, end = names
    return Document(text, tuple(Span(told[s[label]], s[start], s[end]) for s in spans))


def sets() -> Iterator[tuple[str, list[Document]]]:
    """Every set by name."""
    yield "presidio_generated", presidio_generated()
    yield "format_variations", pii_anon("format_variations")
    yield "temporal_consistency", pii_anon("temporal_consistency")


def benign() -> list[str]:
    """Real prompts without attacks (Apache-2.0)."""
    path = DATA / "injection/arena_benign/question_half.jsonl"
    return [json.loads(line)["turns"][0]["content"] for line in path.open()]
