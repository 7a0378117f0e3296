"""The models of attacks and of orders in data, from frames of our own writing.

No row of a labelled set is read. Frames, not sentences, are held out for calibration:
five times a model of four fifths of the frames judges the last fifth.
"""

import json
import math
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pipeline.detection.linear import SHORT, Linear, features, opinion, sentences
from training import attacks, carried, prompts
from training.dice import Dice
from training.grammar import Slots, varied, written

SEED: Final = 20_252
FOLDS: Final = 5
EPOCHS: Final = 3
RATE: Final = 8.0
MIN_SENTENCES: Final = 3
"""A feature that fewer sentences hold is left out."""
SLIGHT: Final = 0.05
"""A smaller weight is left out."""
FALSE_ALARMS: Final = 33
"""At the threshold one harmless text in so many is a hit, where a model saw none of
its frames. Frames are few and odd: on other texts fewer are hit (``make eval``)."""
BANDS: Final = (2, 8)
"""Sentences up to which a threshold holds; the last one holds for longer texts too:
those would be drawn from so few held-out frames that an odd one is in all of them."""
JUDGED: Final = 2_000
"""Texts judged in each band and fold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Frames that are drawn alike often; ``share`` of all sentences are theirs."""

    frames: Sequence[str]
    slots: Slots
    attack: bool
    share: int

    def part(self, fold: int, *, held: bool) -> "Group":
        """Its frames of one fold, or those of all others."""
        kept = [f for i, f in enumerate(self.frames) if (i % FOLDS == fold) == held]
        return replace(self, frames=kept)

    def sentence(self, dice: Dice) -> str:
        """One sentence."""
        return varied(written(dice.of(self.frames), self.slots, dice), dice)


DIRECT: Final = (
    *(
        Group(frames=each, slots=attacks.SLOTS, attack=True, share=4)
        for each in attacks.FAMILIES.values()
    ),
    Group(frames=prompts.PROMPTS, slots=prompts.SLOTS, attack=False, share=24),
    Group(frames=carried.DATA, slots=carried.SLOTS, attack=False, share=12),
)
CARRIED: Final = (
    *(
        Group(frames=each, slots=carried.SLOTS, attack=True, share=share)
        for each, share in zip(carried.ORDERS.values(), (2, 4, 3, 1), strict=True)
    ),
    Group(frames=carried.DATA, slots=carried.SLOTS, attack=False, share=20),
)
ROUNDS: Final = 40_000
Row = tuple[list[str], float, bool]


def rows(groups: Sequence[Group], dice: Dice) -> list[Row]:
    """Sentences as features, what each weighs, and whether it is an attack's."""
    urn = [each for each in groups for _ in range(each.share)]
    found = []
    for _ in range(ROUNDS):
        group = dice.of(urn)
        for words in sentences(group.sentence(dice)):
            seen = sorted(set(features(words)))
            found.append((seen, 1 / math.sqrt(len(seen) + SHORT), group.attack))
    return found


def fitted(name: str, groups: Sequence[Group]) -> Linear:
    """A logistic regression by stochastic descent; weights are rounded."""
    dice = Dice(SEED)
    found = rows(groups, dice)
    counts = Counter(feature for seen, _, _ in found for feature in seen)
    weights = {f: 0.0 for f, n in counts.items() if n >= MIN_SENTENCES}
    bias = 0.0
    data = [([f for f in seen if f in weights], w, y) for seen, w, y in found]
    for step, (seen, weight, attack) in enumerate(_mixed(data, dice)):
        z = bias + weight * sum(map(weights.__getitem__, seen))
        error = attack - 1 / (1 + math.exp(-max(-30.0, min(30.0, z))))
        if abs(error) > 0.01:  # noqa: PLR2004 - it is right already
            rate = error * RATE / (1 + 2 * step / len(data))
            bias += rate / 80
            for feature in seen:
                weights[feature] += rate * weight
    kept = {f: round(w, 2) for f, w in sorted(weights.items()) if abs(w) > SLIGHT}
    return Linear(name, kept, round(bias, 3), [(1, 0.0)], (1.0, 0.0))


def _mixed(data: list[Row], dice: Dice) -> Iterator[Row]:
    """All rows, EPOCHS times, each time in another order."""
    order = list(range(len(data)))
    for _ in range(EPOCHS):
        for i in reversed(range(1, len(order))):
            j = dice.below(i + 1)
            order[i], order[j] = order[j], order[i]
        yield from (data[i] for i in order)


def texts(groups: Sequence[Group], size: int, dice: Dice) -> Iterator[tuple[str, bool]]:
    """Texts of up to ``size`` sentences: harmless ones, and with some of attack."""
    harmless = [each for each in groups if not each.attack for _ in range(each.share)]
    harmful = [each for each in groups if each.attack]
    for number in range(2 * JUDGED // FOLDS):
        parts = [dice.of(harmless).sentence(dice) for _ in range(size)]
        if number % 2:
            place = dice.below(size)
            group = dice.of(harmful)
            for i in range(place, min(size, place + 1 + size // 4)):
                parts[i] = group.sentence(dice)
        yield "\n".join(parts), bool(number % 2)


Judged = list[tuple[float, bool]]


def judged(groups: Sequence[Group], *, together: bool) -> dict[int, Judged]:
    """Log-odds of texts of every band, each by a model that never saw their frames."""
    found: dict[int, Judged] = {size: [] for size in BANDS}
    for fold in range(FOLDS):
        model = fitted("", [each.part(fold, held=False) for each in groups])
        held = [each.part(fold, held=True) for each in groups]
        for size in BANDS:
            dice = Dice(SEED + fold + size)
            found[size] += [
                (opinion(text, model, together=together).score, attack)
                for text, attack in texts(held, size, dice)
            ]
    return found


def threshold(scores: Judged) -> float:
    """What one harmless text in ``FALSE_ALARMS`` reaches."""
    harmless = sorted((s for s, attack in scores if not attack), reverse=True)
    return round(harmless[len(harmless) // FALSE_ALARMS], 2)


def platt(scores: Judged) -> tuple[float, float]:
    """Slope and offset that make log-odds a probability, by descent."""
    slope, offset = 1.0, 0.0
    for step in range(200):
        rate = 2 / (10 + step) / len(scores)
        errors = [
            (attack - 1 / (1 + math.exp(-slope * s - offset)), s)
            for s, attack in scores
        ]
        slope += rate * sum(error * s for error, s in errors)
        offset += rate * sum(error for error, _ in errors)
    return round(slope, 2), round(offset, 2)


def make(name: str, groups: Sequence[Group], *, together: bool) -> bytes:
    """The artefact: zlib over JSON; the same frames give the same bytes."""
    told = judged(groups, together=together)
    model = fitted(name, groups)
    packed = {
        "bands": [[size, threshold(scores)] for size, scores in told.items()],
        "bias": model.bias,
        "calibration": platt([each for scores in told.values() for each in scores]),
        "recall": [_recall(scores) for scores in told.values()],
        "weights": model.weights,
    }
    raw = json.dumps(packed, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return zlib.compress(raw.encode(), 9)


def _recall(scores: Judged) -> float:
    """The share of attacks that reach the threshold."""
    least = threshold(scores)
    attacks_of = [s for s, attack in scores if attack]
    return round(sum(s >= least for s in attacks_of) / len(attacks_of), 3)
