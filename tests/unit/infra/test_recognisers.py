"""Recognisers from outside: what they say, and what becomes of one that does not."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import spacy

from infra.recognisers.outside import OutsideRecogniser, OutsideRecognisers, recognisers
from infra.recognisers.presidio import PresidioRecogniser
from infra.recognisers.setup import Setup
from infra.recognisers.spacy import SpacyRecogniser
from pipeline.ports.recognisers import Mention, Seen, Unseen
from schemas.policies import DataClass

CARD = "4111 1111 1111 1111"
TEXT = f"Nora Lind paid with {CARD}"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A blank pipeline whose entity ruler knows one name and one place."""
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns(  # type: ignore[attr-defined]
        [
            {"label": "PERSON", "pattern": "Nora Lind"},
            {"label": "GPE", "pattern": "Bergen"},
        ]
    )
    place = tmp_path_factory.mktemp("model") / "ruler"
    nlp.to_disk(place)
    return str(place)


@pytest.fixture(scope="module")
def presidio() -> PresidioRecogniser:
    return PresidioRecogniser(Setup(kind="presidio"))


def setup(model: str, **fields: object) -> Setup:
    return Setup.model_validate({"kind": "spacy", "model": model, **fields})


def test_presidio_says_what_its_patterns_find(presidio: PresidioRecogniser) -> None:
    found = presidio.recognise(TEXT, set(DataClass))

    cards = [each for each in found if each.data_class is DataClass.CARD]
    assert [CARD] == [TEXT[each.start : each.end] for each in cards]
    assert 0.9 < cards[0].confidence < 1


def test_presidio_is_asked_for_the_wanted_classes_alone(
    presidio: PresidioRecogniser,
) -> None:
    assert [] == list(presidio.recognise(TEXT, {DataClass.EMAIL}))
    (found,) = presidio.recognise("to nora@example.com", {DataClass.EMAIL})
    assert (3, 19) == (found.start, found.end)


def test_spacy_says_what_its_pipeline_finds(model: str) -> None:
    recogniser = SpacyRecogniser(setup(model, calibration=(2.0, 0.0)))

    (found,) = recogniser.recognise("In Bergen: Nora Lind", set(DataClass))

    assert Mention(DataClass.PERSON, "person", 11, 20, found.confidence) == found
    assert 0.96 < found.confidence < 0.98


def test_an_operator_says_what_a_label_is(model: str) -> None:
    recogniser = SpacyRecogniser(setup(model, labels={"GPE": "ADDRESS"}))

    (found,) = recogniser.recognise("In Bergen", set(DataClass))

    assert DataClass.ADDRESS is found.data_class


@asynccontextmanager
async def outside(made: Setup) -> AsyncIterator[OutsideRecogniser]:
    recogniser = OutsideRecogniser("ruler", made)
    await recogniser.start()
    try:
        yield recogniser
    finally:
        await recogniser.close()


async def test_it_runs_in_a_process_of_its_own_and_survives_its_death(
    model: str,
) -> None:
    async with outside(setup(model)) as recogniser:
        first = await recogniser.look(["Nora Lind", "nobody"])
        process = recogniser._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
        second = await recogniser.look(["Nora Lind", "nobody"])

    assert isinstance(first, Seen)
    assert [1, 0] == [len(each) for each in first.found]
    assert first == second


def told_of(process: int, name: str) -> str:
    return Path(f"/proc/{process}/{name}").read_text()


async def test_it_is_told_nothing_of_ours_and_is_bounded(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_DATABASE__URL", "postgres://made-up")
    async with outside(setup(model, memory_mb=2_048)) as recogniser:
        assert recogniser._process is not None
        environment = told_of(recogniser._process.pid, "environ")
        limits = told_of(recogniser._process.pid, "limits").splitlines()

    assert "SLUICE" not in environment
    (memory,) = [each for each in limits if each.startswith("Max address space")]
    (core,) = [each for each in limits if each.startswith("Max core file")]
    assert str(2_048 * 1024 * 1024) == memory.split()[3]
    assert "0" == core.split()[4]


async def test_beyond_its_budget_it_has_seen_nothing(model: str) -> None:
    async with outside(setup(model, budget_s=0.001)) as recogniser:
        process = recogniser._process
        found = await recogniser.look(["Nora Lind " * 5_000])

    assert Unseen("ruler") == found
    assert process is not None
    assert process.returncode is not None


async def test_a_model_that_is_not_there_is_told_at_the_start() -> None:
    with pytest.raises(ValueError, match="recogniser ruler: expected a model"):
        async with recognisers({"ruler": setup("no_such_model")}):
            pass


async def test_one_that_is_not_installed_has_seen_nothing() -> None:
    assert [Unseen("other")] == await OutsideRecognisers({}).look(["x"], ["other"])
