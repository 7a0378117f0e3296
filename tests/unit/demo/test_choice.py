"""Where Kafka and Postgres come from, and what is said of it."""

import pytest

from demo.stack.choice import Choice, Source, choose

KAFKA = {"SLUICE_KAFKA_BOOTSTRAP": "kafka.example:9092"}
POSTGRES = {"SLUICE_DATABASE_URL": "postgresql://db.example/postgres"}
GIVEN, DOCKER, LOCAL = Source.GIVEN, Source.DOCKER, Source.LOCAL


@pytest.mark.parametrize(
    ("environment", "engine", "expected"),
    [
        ({}, False, Choice(LOCAL, LOCAL)),
        ({}, True, Choice(DOCKER, DOCKER)),
        (KAFKA, False, Choice(GIVEN, LOCAL)),
        (KAFKA, True, Choice(GIVEN, DOCKER)),
        (POSTGRES, False, Choice(LOCAL, GIVEN)),
        (POSTGRES, True, Choice(DOCKER, GIVEN)),
        ({"SLUICE_KAFKA_BOOTSTRAP": ""}, False, Choice(LOCAL, LOCAL)),
    ],
)
def test_an_address_comes_before_docker_and_docker_before_local(
    environment: dict[str, str], expected: Choice, *, engine: bool
) -> None:
    chosen = choose(environment, lambda: engine, local=False)

    assert expected == chosen


def test_docker_is_not_asked_where_both_addresses_are_given() -> None:
    def engine_answers() -> bool:
        raise AssertionError("the engine was asked")

    chosen = choose(KAFKA | POSTGRES, engine_answers, local=False)

    assert Choice(GIVEN, GIVEN) == chosen


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (
            Choice(LOCAL, LOCAL),
            (
                "Kafka 4.3.1 and Postgres 18 as local processes:"
                " no address given, no Docker engine answers"
            ),
        ),
        (
            Choice(DOCKER, DOCKER),
            (
                "Kafka 4.3.1 and Postgres 18 in Docker:"
                " no address given, a Docker engine answers"
            ),
        ),
        (Choice(GIVEN, GIVEN), "Kafka and Postgres at the addresses given"),
        (
            Choice(GIVEN, LOCAL),
            (
                "Kafka at the address given; Postgres 18 as a local process:"
                " no address given, no Docker engine answers"
            ),
        ),
        (
            Choice(DOCKER, GIVEN),
            (
                "Kafka 4.3.1 in Docker: no address given, a Docker engine answers;"
                " Postgres at the address given"
            ),
        ),
    ],
)
def test_the_sentence_says_what_and_why(choice: Choice, expected: str) -> None:
    assert expected == choice.sentence


def test_what_is_asked_for_comes_first() -> None:
    chosen = choose(KAFKA | POSTGRES, lambda: True, local=True)

    assert Choice(LOCAL, LOCAL, asked=True) == chosen
    assert "Kafka 4.3.1 and Postgres 18 as local processes, as asked" == chosen.sentence
    assert chosen.fits(KAFKA, local=True)
    assert not chosen.fits({}, local=False)


def test_a_choice_fits_while_the_same_addresses_are_given() -> None:
    choice = Choice(GIVEN, LOCAL)

    assert choice.fits(KAFKA, local=False)
    assert not choice.fits({}, local=False)
    assert not choice.fits(KAFKA, local=True)
    assert not choice.fits(POSTGRES, local=False)
    assert not choice.fits(KAFKA | POSTGRES, local=False)
