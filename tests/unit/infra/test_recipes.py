"""Recipes: what is shipped is what was trained, and finds names."""

from hashlib import sha256

import pytest

from infra.recipes import SHA256, load_recipe
from pipeline.detection.engine import build, inspect
from pipeline.policies import default_policy
from pipeline.redaction import Redacted, redact
from pipeline.screening import Screened, screen
from pipeline.text import Channel, TextPart
from tests.support.shared import shared
from training import linear, names

RECIPE = load_recipe()


def people(text: str) -> list[str]:
    return [
        text[f.start : f.end]
        for f in inspect(text, RECIPE).findings
        if f.data_class == "PERSON" and f.confidence >= 0.5
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
    assert load_recipe().id == RECIPE.id
    assert build().id != RECIPE.id


@pytest.mark.shared
def test_the_same_inputs_give_the_same_bytes() -> None:
    made = names.make(shared("data"))

    assert SHA256["names-1.bin"] == sha256(made).hexdigest()


@pytest.mark.serial
@pytest.mark.parametrize(
    ("name", "groups", "together"),
    [
        ("injection-1", linear.DIRECT, True),
        ("instruction-1", linear.CARRIED, False),
    ],
)
def test_the_same_frames_give_the_same_bytes(
    name: str, groups: tuple[linear.Group, ...], *, together: bool
) -> None:
    made = linear.make(name, groups, together=together)

    assert SHA256[f"{name}.bin"] == sha256(made).hexdigest()


def test_every_required_guard_is_told_to_have_run() -> None:
    parts = [TextPart(("text",), Channel.USER, "hi")]
    seen = screen(parts, default_policy(), RECIPE)
    done = redact(parts, default_policy(), RECIPE, "K7QX")

    assert isinstance(seen, Screened)
    assert isinstance(done, Redacted)
    assert ("injection", "instruction", "intent") == seen.guards_ran
    assert ("pii", "secrets", "names", "health") == done.guards_ran
