"""What is explained is what the engine did, and its terms add up."""

import pytest

from infra.recipes import load_recipe
from pipeline.detection.engine import inspect
from pipeline.detection.explain import STANDS, Account, Explained

RECIPE = load_recipe()
EXACT = 1e-9
TEXTS = [
    "Nora Lind (nora.lind@mail.example, +49 30 9012345) paid with 4111 1111 1111 1111",
    "IBAN DE89 3704 0044 0532 0130 00, SSN 219-09-9999, order no. 219-09-9998",
    "born 3 May 1980, host 203.0.113.9, ticket 88231, call 0309012345",
    "née à Paris, carte ４１１１ 1111 1111 1111, nora%40mail.example, tom and Tom",
    "api_key = 'zq8Kd02LmvX7TtPq91', eyJhbGciOiJIUzI1NiJ9.e30aaaaaa.c2lnbmF0dXJl",
    "She is 15 years old, see https://a.example/ and Dr. Okafor; diagnosed with asthma",
]


def accounts(text: str) -> list[Account]:
    return Explained(text, RECIPE, ("US", "DE")).accounts()


@pytest.mark.parametrize("text", TEXTS)
def test_terms_add_up_to_the_score(text: str) -> None:
    told = accounts(text)

    assert told
    for each in told:
        assert abs(sum(w for _, w in each.terms) - each.score) < EXACT, each.rule


@pytest.mark.parametrize("text", TEXTS)
def test_what_stands_is_what_the_engine_finds(text: str) -> None:
    stands = [a for a in accounts(text) if a.fate == STANDS]
    found = inspect(text, RECIPE, regions=("US", "DE")).findings

    assert sorted((f.rule, f.start, f.end, f.confidence) for f in found) == sorted(
        (a.rule, a.start, a.end, a.confidence) for a in stands
    )


def test_a_loser_is_told_with_its_winner_and_by_what_it_won() -> None:
    [loser] = [a for a in accounts("Dr. Okafor Mensah came") if a.fate != STANDS]

    assert "person.title" == loser.rule
    assert "person.model at 4-17 is surer" == loser.fate


def test_context_is_told_in_the_words_of_rules() -> None:
    [card] = [a for a in accounts(TEXTS[3]) if a.rule == "card.pan"]

    assert ("carte",) == tuple(card.words)


def test_silence_about_a_number_names_the_checks_that_fail() -> None:
    lines = [*Explained("x 123456789y", RECIPE).silence(2, 11)]

    assert lines[0].startswith("9 digits: ")
    assert any("fails the check of" in line and "nl.bsn" in line for line in lines)


def test_silence_about_a_word_tells_what_it_weighs() -> None:
    lines = [*Explained("the zebra saw Nora", RECIPE).silence(4, 18)]

    assert "in small letters" in lines[0]
    assert "shape and lists" in lines[-1]
