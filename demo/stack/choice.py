"""Which Kafka and which Postgres: one decision, and one line that says why."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

KAFKA_ADDRESS = "SLUICE_KAFKA_BOOTSTRAP"
POSTGRES_ADDRESS = "SLUICE_DATABASE_URL"


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

    def fits(self, environment: Mapping[str, str]) -> bool:
        """Whether the same addresses are given now as when this was chosen."""
        now = (
            _given(environment, KAFKA_ADDRESS),
            _given(environment, POSTGRES_ADDRESS),
        )
        return now == (self.kafka is Source.GIVEN, self.postgres is Source.GIVEN)

    @property
    def sentence(self) -> str:
        """What was chosen and why, in one line."""
        kafka, postgres = NAMES[self.kafka]
        if self.kafka is self.postgres:
            return f"{kafka} and {postgres} {TOGETHER[self.kafka]}"
        return (
            f"{kafka} {ALONE[self.kafka]}; {NAMES[self.postgres][1]}"
            f" {ALONE[self.postgres]}"
        )


OURS = ("Kafka 4.3.1", "Postgres 18")
NAMES = {
    Source.GIVEN: ("Kafka", "Postgres"),
    Source.DOCKER: OURS,
    Source.LOCAL: OURS,
}
TOGETHER = {
    Source.GIVEN: "at the addresses given",
    Source.DOCKER: "in Docker: no address given, a Docker engine answers",
    Source.LOCAL: "as local processes: no address given, no Docker engine answers",
}
ALONE = {
    **TOGETHER,
    Source.GIVEN: "at the address given",
    Source.LOCAL: "as a local process: no address given, no Docker engine answers",
}


def choose(
    environment: Mapping[str, str], engine_answers: Callable[[], bool]
) -> Choice:
    """An address that the user gave; else Docker where it answers; else local.

    The engine is asked only where an address is missing. An empty address is none.
    """
    kafka = _given(environment, KAFKA_ADDRESS)
    postgres = _given(environment, POSTGRES_ADDRESS)
    if kafka and postgres:
        return Choice(Source.GIVEN, Source.GIVEN)
    other = Source.DOCKER if engine_answers() else Source.LOCAL
    return Choice(Source.GIVEN if kafka else other, Source.GIVEN if postgres else other)


def _given(environment: Mapping[str, str], name: str) -> bool:
    return bool(environment.get(name))
