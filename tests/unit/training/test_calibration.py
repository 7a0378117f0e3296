"""Confidences: surer with more evidence, and as right as they say."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.recipes import load_recipe
from pipeline.detection.engine import inspect
from pipeline.detection.rules import confidence
from pipeline.policies import default_policy
from pipeline.redaction import judged
from pipeline.text import Channel
from schemas.policies import Cell, DataClass, Mode, PolicyDocument
from training.calibration import SLOPES, Writer, ece, platt, threshold
from training.dice import Dice

RECIPE = load_recipe()
SCORES = st.floats(-9, 9)


@given(st.sampled_from(DataClass), SCORES, SCORES)
def test_more_evidence_is_never_less_sure(
    data_class: DataClass, one: float, other: float
) -> None:
    scale = RECIPE.calibration[data_class]
    low, high = sorted((one, other))

    assert confidence(low, scale) <= confidence(high, scale)


def test_every_class_is_calibrated() -> None:
    assert set(DataClass) == RECIPE.calibration.keys() == RECIPE.thresholds.keys()


@pytest.mark.parametrize("data_class", DataClass)
def test_a_threshold_is_the_confidence_of_even_evidence(data_class: DataClass) -> None:
    even = confidence(0.0, RECIPE.calibration[data_class])

    assert 0 <= even - RECIPE.thresholds[data_class] < 0.01


def drawn(slope: float, offset: float, count: int = 6_000) -> list[tuple[float, bool]]:
    """Scores, each right as often as slope and offset say."""
    dice, found = Dice(7), []
    for _ in range(count):
        score = dice.below(8_000) / 1_000 - 4
        sure = 1 / (1 + math.exp(-slope * score - offset))
        found.append((score, dice.below(10_000) < 10_000 * sure))
    return found


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (0.5, -1.0), (1.5, 0.5)])
def test_slope_and_offset_of_drawn_scores_are_found(
    slope: float, offset: float
) -> None:
    told = drawn(slope, offset)
    found = platt(told)

    assert found == pytest.approx((slope, offset), abs=0.2)
    after = [(confidence(score, found), right) for score, right in told]
    assert ece(after) < 0.03


def test_scores_that_say_the_contrary_do_not_turn_the_slope() -> None:
    assert SLOPES[0] == platt([(score, score < 0) for score, _ in drawn(1, 0)])[0]


def test_the_error_is_how_far_confidences_are_from_what_is_so() -> None:
    assert ece([(0.8, True)] * 4 + [(0.8, False)]) == pytest.approx(0, abs=1e-9)
    assert ece([(0.9, False)] * 10) == pytest.approx(0.9)
    assert threshold(0.0) == pytest.approx(0.5)


def test_what_stands_in_a_sentence_is_told_where_it_stands() -> None:
    texts = list(Writer(["nora"], ["lind"]).texts())
    people = {text[s:e] for text, told in texts for c, s, e in told if c == "PERSON"}
    ages = {text[s:e] for text, told in texts for c, s, e in told if c == "MINOR"}

    assert {"Nora Lind"} == people
    assert all("year" in age for age in ages)
    assert all("\x01" not in text and "<" not in text for text, _ in texts)
    assert texts == list(Writer(["nora"], ["lind"]).texts())


def test_a_cell_without_a_threshold_takes_that_of_its_class() -> None:
    text = "ask Tom about it"
    [name] = [f for f in inspect(text, RECIPE).findings if f.data_class == "PERSON"]
    bare = Cell(data_class=DataClass.PERSON, channel="user", mode=Mode.STRICT)
    above = bare.model_copy(update={"threshold": name.confidence + 0.01})

    def mode(policy: PolicyDocument) -> Mode | None:
        [(_, found)] = judged(text, Channel.USER, policy, RECIPE).found
        return found

    reaches = name.confidence >= RECIPE.thresholds[DataClass.PERSON]
    assert (Mode.REVERSIBLE if reaches else None) == mode(default_policy())
    assert (Mode.STRICT if reaches else None) == mode(PolicyDocument(cells=(bare,)))
    assert mode(PolicyDocument(cells=(above,))) is None
