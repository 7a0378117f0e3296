"""The model of names: gazetteer from public-domain lists, weights from our frames."""

# ruff: noqa: PLR2004, PLR0911, E501 - shares and lengths, each at its place

import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from pipeline.detection.people import gated, listed
from pipeline.detection.people import words as words_of
from pipeline.detection.weights import features
from training.dice import Dice
from training.frames import (
    ORGANISATIONS,
    PLACES,
    THINGS,
    TITLES,
    WITH_NAMES,
    WITHOUT,
)

Spans = list[tuple[int, int]]
SEED: Final = 20_251
ROUNDS: Final = 24_000
EPOCHS: Final = 3
MIN_DOCUMENTS: Final = 3
RATE: Final = 0.15
AVERAGED: Final = 400
"""Documents between two snapshots that the weights are the mean of."""
_SLOT: Final = re.compile(r"\{([PFLTOCWNE])\}")
_LOWER: Final = re.compile(r"(?<![.!?] )\b[a-z]{2,}\b")
_COMMON: Final = (
    "will may in my do all data an so no mark bill grant rose hope faith joy grace van "
    "day love young long short king price park church hall lane street road north south "
    "east west green white black brown gray red blue silver gold short rich wise best "
    "good great new old big small high low early late page post note order table case "
    "bank card bond cash sale store shop market trade union state city town field hill "
    "wood forest lake river stone rock ford bridge mill sand marsh banks summer winter "
    "august april june january march monday friday sunday english german french dutch "
    "english spanish american indian china india paris london berlin texas virginia "
    "georgia carolina dakota montana florida israel jordan chad cuba the you your me is "
    "are was be to of and or not for with from this that what who how when where why"
)


def words(folder: Path) -> frozenset[str]:
    """The names of all files below, lower case; encodings are mixed."""
    found: set[str] = set()
    for path in sorted(folder.glob("*.txt")):
        raw = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
        found.update(line.strip().lower() for line in _decoded(raw).splitlines())
    return frozenset(w for w in found if len(w) > 1 and w.replace("'", "").isalpha())


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def common(texts: Iterable[str]) -> frozenset[str]:
    """Words of our frames and of benign prompts that stand in lower case."""
    counts = Counter(w for text in texts for w in set(_LOWER.findall(text)))
    return frozenset(w for w, n in counts.items() if n >= MIN_DOCUMENTS) | frozenset(
        _COMMON.split()
    )


def benign(data: Path) -> list[str]:
    """Prompts of users that hold next to no names."""
    lines = (data / "injection/arena_benign/question_half.jsonl").read_text()
    return [json.loads(line)["turns"][0]["content"] for line in lines.splitlines()]


class Writer:
    """Fills frames, and knows where it put names."""

    def __init__(self, first: frozenset[str], last: frozenset[str]) -> None:
        self._dice = Dice(SEED)
        self._first, self._last = sorted(first), sorted(last)

    def texts(self) -> Iterator[tuple[str, Spans]]:
        """Texts with the spans of the names in them."""
        for number in range(ROUNDS):
            frames = WITH_NAMES if number % 5 < 3 else WITHOUT
            yield self._filled(self._dice.of(frames), self._dice.below(20))

    def _filled(self, frame: str, style: int) -> tuple[str, Spans]:
        text, spans, at = "", [], 0
        for slot in _SLOT.finditer(frame):
            text += frame[at : slot.start()]
            value, name = self._value(slot[1])
            if name:
                spans.append(
                    (len(text) + len(value) - len(name), len(text) + len(value))
                )
            text += value
            at = slot.end()
        text += frame[at:]
        if style == 0:
            return text.lower(), spans
        return (text.upper() if style == 1 and len(text) < 60 else text), spans

    def _value(self, slot: str) -> tuple[str, str]:
        dice = self._dice
        if slot in "PFL":
            name = self._name(slot)
            return name, name
        if slot == "T":
            name = self._name("L" if dice.chance(60) else "P")
            return f"{dice.of(TITLES)} {name}", name
        if slot == "N":
            return str(dice.below(90_000) + 10), ""
        if slot == "E":
            return f"{dice.of(self._first)}{dice.below(99)}@mail.example", ""
        return dice.of({"O": ORGANISATIONS, "C": PLACES, "W": THINGS}[slot]), ""

    def _name(self, slot: str) -> str:
        first, last = self._word(self._first), self._word(self._last)
        if slot == "F":
            return first
        if slot == "L":
            return last
        kind = self._dice.below(20)
        if kind == 0:
            return f"{first} {first[0]}. {last}"
        if kind == 1:
            return (
                f"{first} {self._dice.of(['van', 'de', 'von', 'della', 'al'])} {last}"
            )
        if kind == 2:
            return f"{first} {last}-{self._word(self._last)}"
        if kind == 3:
            return f"{first} {self._word(self._first)} {last}"
        return f"{first} {last}"

    def _word(self, known: list[str]) -> str:
        """A listed name, or one in seven that no list knows."""
        word = self._dice.of(known)
        if self._dice.chance(14):
            other = self._dice.of(known)
            word = word[: max(2, len(word) // 2)] + other[len(other) // 2 :]
        return word.title() if "'" not in word else word.capitalize()


Row = tuple[list[str], bool]


def rows(
    lists: Mapping[str, int], texts: Iterable[tuple[str, Spans]]
) -> list[list[Row]]:
    """One list of gated words a document: features, and whether it is of a name."""
    found = []
    for text, spans in texts:
        told = words_of(text, lists)
        found.append(
            [
                (
                    list(features(told, i)),
                    any(s <= start < e for s, e in spans),
                )
                for i, start in enumerate(told.starts)
                if gated(told, i)
            ]
        )
    return found


def trained(documents: list[list[Row]]) -> Mapping[str, float]:
    """Weights of an averaged logistic regression; rare features are left out."""
    counts = Counter(f for doc in documents for f in {f for fs, _ in doc for f in fs})
    weights = {f: 0.0 for f, n in counts.items() if n >= MIN_DOCUMENTS}
    totals = dict(weights)
    snapshots = 0
    for number, doc in enumerate(_mixed(documents)):
        for seen, name in doc:
            _step(weights, seen, RATE / (1 + number / len(documents)), name=name)
        if number % AVERAGED == AVERAGED - 1 and number > len(documents):
            snapshots += 1
            for feature, weight in weights.items():
                totals[feature] += weight
    means = {f: round(t / snapshots, 2) for f, t in sorted(totals.items())}
    return {f: w for f, w in means.items() if abs(w) > 0.1}


def _mixed(documents: list[list[Row]]) -> Iterator[list[Row]]:
    """All documents, EPOCHS times, each time in another order."""
    dice = Dice(SEED)
    for _ in range(EPOCHS):
        order = list(range(len(documents)))
        for i in reversed(range(1, len(order))):
            j = dice.below(i + 1)
            order[i], order[j] = order[j], order[i]
        yield from (documents[i] for i in order)


def _step(
    weights: dict[str, float], seen: list[str], rate: float, *, name: bool
) -> None:
    known = [f for f in seen if f in weights]
    z = sum(weights[f] for f in known)
    error = name - 1 / (1 + math.exp(-max(-20.0, min(20.0, z))))
    if abs(error) > 0.02:
        for f in known:
            weights[f] += rate * error


def make(data: Path) -> bytes:
    """The artefact: zlib over JSON; the same inputs give the same bytes."""
    prompts = benign(data)
    plain = common([*prompts, *WITH_NAMES, *WITHOUT])
    first = words(data / "pii/names/first") - plain
    last = words(data / "pii/names/last") - plain
    lists = listed(first, last)
    texts = [*Writer(first, last).texts(), *((prompt, []) for prompt in prompts)]
    packed = {
        "first": " ".join(sorted(first)),
        "last": " ".join(sorted(last)),
        "weights": trained(rows(lists, texts)),
    }
    raw = json.dumps(packed, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return zlib.compress(raw.encode(), 9)
