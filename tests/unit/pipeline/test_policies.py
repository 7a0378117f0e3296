"""Policies: what nobody set takes its default, and contradictions are refused."""

import pytest
from pydantic import ValidationError

from pipeline.policies import cells, default_mode, default_policy, guard_of
from pipeline.text import Channel
from schemas.policies import (
    Cell,
    DataClass,
    Failing,
    Guard,
    GuardRule,
    Mode,
    PolicyDocument,
)


def test_a_cell_that_nobody_set_is_never_off() -> None:
    told = cells(default_policy(), Channel.USER)

    assert set(DataClass) == set(told)
    assert Mode.STRICT == told[DataClass.SECRET].mode
    assert Mode.REVERSIBLE == told[DataClass.PERSON].mode


@pytest.mark.parametrize("data_class", DataClass)
def test_in_an_answer_nothing_is_reversible(data_class: DataClass) -> None:
    assert Mode.REVERSIBLE != default_mode(data_class, Channel.COMPLETION)


STRICT = {"GOV_ID", "CARD", "BANK", "MEDICAL_ID", "BIOMETRIC", "SECRET"}


@pytest.mark.parametrize("channel", Channel)
@pytest.mark.parametrize("data_class", DataClass)
def test_a_class_has_the_mode_that_is_documented(
    data_class: DataClass, channel: Channel
) -> None:
    """The table of docs/detection.md: one class too few would leave in clear."""
    if channel is Channel.COMPLETION:
        strict = data_class in STRICT - {"MEDICAL_ID"}
        expected = Mode.STRICT if strict else Mode.FLAG
    elif data_class in STRICT:
        expected = Mode.STRICT
    else:
        expected = Mode.FLAG if data_class in {"MINOR", "URL"} else Mode.REVERSIBLE

    assert expected == default_mode(data_class, channel)
    assert expected == cells(default_policy(), channel)[data_class].mode


def test_a_cell_that_was_set_is_its_channels_alone() -> None:
    cell = Cell(data_class=DataClass.EMAIL, channel="user", mode=Mode.FLAG)
    told = {each: cells(PolicyDocument(cells=(cell,)), each) for each in Channel}

    assert cell == told[Channel.USER][DataClass.EMAIL]
    assert Mode.REVERSIBLE == told[Channel.SYSTEM][DataClass.EMAIL].mode
    assert {each.value: {each.value} for each in Channel} == {
        each.value: {found.channel for found in told[each].values()} for each in Channel
    }


def test_a_class_is_its_guards() -> None:
    others = {
        DataClass.SECRET: Guard.SECRETS,
        DataClass.PERSON: Guard.NAMES,
        DataClass.HEALTH: Guard.HEALTH,
    }

    assert {each: others.get(each, Guard.PII) for each in DataClass} == {
        each: guard_of(each) for each in DataClass
    }


def test_two_cells_for_one_place_are_refused() -> None:
    cell = Cell(data_class=DataClass.EMAIL, channel="user", mode=Mode.FLAG)

    with pytest.raises(ValidationError, match="one cell a class and channel"):
        PolicyDocument(cells=(cell, cell))


def test_opening_secrets_takes_a_switch_of_its_own() -> None:
    guards = {Guard.SECRETS: GuardRule(on_failure=Failing.OPEN)}

    with pytest.raises(ValidationError, match="open_strict"):
        PolicyDocument(guards=guards)
    assert PolicyDocument(guards=guards, open_strict=True).open_strict


def test_every_guard_that_can_look_is_required_by_default() -> None:
    looking = tuple(each for each in Guard if each is not Guard.ATTACHMENTS)

    assert looking == default_policy().guards_required


@pytest.mark.parametrize("guard", sorted(set(Guard) - {"injection", "instruction"}))
def test_a_threshold_for_a_guard_without_a_model_is_refused(guard: Guard) -> None:
    for rule in (GuardRule(threshold=0.9), GuardRule(thresholds={"user": 0.9})):
        with pytest.raises(ValidationError, match="thresholds of cells"):
            PolicyDocument(guards={guard: rule})


@pytest.mark.parametrize(
    ("guard", "channel"), [("injection", "tool"), ("instruction", "user")]
)
def test_a_threshold_where_no_model_is_asked_is_refused(
    guard: Guard, channel: str
) -> None:
    rule = GuardRule(thresholds={channel: 0.9})

    with pytest.raises(ValidationError, match=f"not in {channel}"):
        PolicyDocument(guards={guard: rule})


def test_thresholds_where_models_are_asked_are_taken() -> None:
    guards = {
        Guard.INJECTION: GuardRule(threshold=0.9, thresholds={"user": 0.8}),
        Guard.INSTRUCTION: GuardRule(thresholds={"tool": 0.7, "document": 0.6}),
    }

    assert guards == PolicyDocument(guards=guards).guards
