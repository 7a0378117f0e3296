"""Which Kafka and which Postgres: one decision, and one line that says why."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

KAFKA_ADDRESS = "SLUICE_KAFKA_BOOTSTRAP"
POSTGRES_ADDRESS = "SLUICE_DATABASE_URL"
NAMES = ("Kafka 4.3.1", "Postgres 18")


class Source(StrEnum):
    """Where a part comes from, in the order of preference."""

    GIVEN = "given"
    DOCKER = "docker"
    LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Choice:
    """Where each part comes from."""

    kafka: Source
    postgres: Source

    def matches(self, environment: Mapping[str, str]) -> bool:
        """Whether the same addresses are given now as when this was chosen."""
        return given(environment) == (
            self.kafka is Source.GIVEN,
            self.postgres is Source.GIVEN,
        )

    @property
    def sentence(self) -> str:
        """What was chosen and why, in one line."""
        if self.kafka is self.postgres:
            return _because(" and ".join(NAMES), self.kafka, "s")
        kafka, postgres = NAMES
        return f"{_because(kafka, self.kafka)}; {_because(postgres, self.postgres)}"


def given(environment: Mapping[str, str]) -> tuple[bool, bool]:
    """Whether Kafka's and Postgres's addresses are given; an empty one is not."""
    return (
        bool(environment.get(KAFKA_ADDRESS)),
        bool(environment.get(POSTGRES_ADDRESS)),
    )


def choose(
    environment: Mapping[str, str], engine_answers: Callable[[], bool]
) -> Choice:
    """An address that the user gave; else Docker where it answers; else local.

    The engine is asked only where an address is missing.
    """
    kafka, postgres = given(environment)
    if kafka and postgres:
        return Choice(Source.GIVEN, Source.GIVEN)
    other = Source.DOCKER if engine_answers() else Source.LOCAL
    return Choice(Source.GIVEN if kafka else other, Source.GIVEN if postgres else other)


def _because(what: str, source: Source, plural: str = "") -> str:
    match source:
        case Source.GIVEN:
            name = what.replace(" 4.3.1", "").replace(" 18", "")
            return f"{name} at the address{'es' if plural else ''} given"
        case Source.DOCKER:
            return f"{what} in Docker: no address given, a Docker engine answers"
        case Source.LOCAL:
            process = f"local process{'es' if plural else ''}"
            article = "" if plural else "a "
            why = "no address given, no Docker engine answers"
            return f"{what} as {article}{process}: {why}"
