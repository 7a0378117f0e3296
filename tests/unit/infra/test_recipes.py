"""Recipes: what is shipped is what was trained, and finds names."""

from dataclasses import replace
from hashlib import sha256

import pytest

from infra import recipes
from infra.recipes import SHA256, code, load_recipe
from pipeline.detection.engine import build, inspect
from pipeline.detection.scan import Scan
from pipeline.detection.work import TIMED_FROM, Work
from pipeline.errors import IntegrityError
from pipeline.policies import default_policy
from pipeline.redaction import Redacted, redact
from pipeline.screening import screen
from pipeline.text import Channel, TextPart
from pipeline.verdicts import Screened
from schemas.policies import DataClass, Guard
from tests.support.shared import shared
from training import calibration, linear, names

pytestmark = pytest.mark.long

RECIPE = load_recipe()


def people(text: str) -> list[str]:
    return [
        text[f.start : f.end]
        for f in inspect(text, RECIPE).findings
        if f.data_class == "PERSON"
        and f.confidence >= RECIPE.thresholds[DataClass.PERSON]
    ]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("I met Tom Becker in Berlin.", "Tom Becker"),
        ("Best regards,\nKwame Mensah", "Kwame Mensah"),
        ('{"name": "Li Wei", "city": "Paris"}', "Li Wei"),
        ("Ich habe mit Zsófia Kovács-Nagy gesprochen.", "Zsófia Kovács-Nagy"),
        ("name,city\nAmara Okafor,Lagos", "Amara Okafor"),
        ("Will Smith called.", "Will Smith"),
    ],
)
def test_names_are_found(text: str, name: str) -> None:
    assert [name] == people(text)


def test_names_beyond_the_cap_are_not_let_through() -> None:
    inspection = inspect("Tom Becker, Berlin.\n" * 3_000, RECIPE)

    names = [f for f in inspection.findings if f.data_class == "PERSON"]
    assert 3_000 <= len(names)
    assert "limit" in inspection.signals


@pytest.mark.parametrize(
    "text",
    [
        "The Ministry of Health said on Monday that Berlin would wait.",
        "Will it rain in May?",
        "Write a function that sorts a list.",
        "ERROR Connection refused at node 7",
    ],
)
def test_other_capitals_are_no_names(text: str) -> None:
    assert [] == people(text)


def test_a_recipe_is_named_by_all_its_inputs() -> None:
    assert load_recipe.__wrapped__().id == RECIPE.id
    assert build().id != RECIPE.id


@pytest.mark.shared
def test_the_same_inputs_give_the_same_bytes() -> None:
    made = names.make(shared("data"))

    assert SHA256["names-1.bin"] == sha256(made).hexdigest()


def test_the_same_frames_give_the_same_bytes() -> None:
    made = linear.make("instruction-1", linear.CARRIED, together=False)

    assert SHA256["instruction-1.bin"] == sha256(made).hexdigest()


def test_the_same_frames_give_the_same_weights() -> None:
    """How its thresholds are found, at five times the cost, is the other one's test."""
    made = linear.fitted("injection-1", linear.DIRECT)

    assert RECIPE.attacks is not None
    assert (RECIPE.attacks.weights, RECIPE.attacks.bias) == (made.weights, made.bias)


def test_every_required_guard_is_told_to_have_run() -> None:
    parts = [TextPart(("text",), Channel.USER, "hi")]
    seen = screen(parts, default_policy(), RECIPE)
    done = redact(parts, default_policy(), RECIPE, "K7QX")

    assert isinstance(seen, Screened)
    assert isinstance(done, Redacted)
    assert ("injection", "instruction", "intent") == seen.guards_ran
    assert ("pii", "secrets", "names", "health") == done.guards_ran


def test_the_id_changes_with_every_input() -> None:
    rule = RECIPE.rules[0]
    assert RECIPE.attacks is not None
    others = [
        replace(RECIPE, code="0" * 64),
        replace(RECIPE, artefacts=RECIPE.artefacts[1:]),
        replace(RECIPE, people=None),
        replace(RECIPE, attacks=replace(RECIPE.attacks, bias=9.0)),
        replace(RECIPE, phrases=RECIPE.phrases[1:]),
        replace(RECIPE, calibration={DataClass.EMAIL: (1.0, 0.5)}),
        replace(RECIPE, thresholds={DataClass.EMAIL: 0.9}),
        *(
            replace(RECIPE, rules=(replace(rule, **change), *RECIPE.rules[1:]))
            for change in (
                {"pattern": "x"}, {"base": 9.0}, {"kind": "x"}, {"accepts": 0.5},
                {"hints": frozenset({"x"})}, {"joined": True}, {"check": len},
                {"data_class": DataClass.CARD},
            )
        ),
    ]  # fmt: skip

    ids = {each.id for each in (RECIPE, *others)}

    assert 1 + len(others) == len(ids)


def test_the_id_covers_the_code_of_every_module_of_detection() -> None:
    assert code() == RECIPE.code
    assert code() != sha256().hexdigest()


def test_an_artefact_that_was_not_trained_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(recipes.SHA256, recipes.NAMES, "0" * 64)

    with pytest.raises(IntegrityError):
        load_recipe.__wrapped__()


def test_a_loaded_recipe_has_made_all_that_it_makes() -> None:
    assert {"data", "words", "pem", "id", "missing"} <= vars(RECIPE).keys()


def test_names_that_take_too_long_fail_alone_and_are_told() -> None:
    text = "I met Tom Becker in Berlin.".ljust(TIMED_FROM)
    late = iter([0.0, 1_000.0])
    scan = Scan(text.encode(), RECIPE, Work(len(text), lambda: next(late)))

    found = scan.names(text)

    assert ({Guard.NAMES}, 1) == (scan.failed, len(found))


def test_the_same_cases_give_the_same_bytes() -> None:
    made = calibration.make()

    assert SHA256["calibration-1.bin"] == sha256(made).hexdigest(), (
        "rules changed what confidences mean: run `python -m training`, and `make eval`"
    )
