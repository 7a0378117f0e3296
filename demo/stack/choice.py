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
    """Where each part comes from.

    Attributes:
        asked: local processes were asked for, whatever else there is.
    """

    kafka: Source
    postgres: Source
    asked: bool = False

    def fits(self, environment: Mapping[str, str], *, local: bool) -> bool:
        """Whether the same is asked for, or given, now as when this was chosen."""
        given = tuple(source is Source.GIVEN for source in (self.kafka, self.postgres))
        return self.asked if local else not self.asked and given == _given(environment)

    @property
    def sentence(self) -> str:
        """What was chosen and why, in one line."""
        kafka, postgres = NAMES[self.kafka][0], NAMES[self.postgres][1]
        if self.asked:
            return f"{kafka} and {postgres} as local processes, as asked"
        if self.kafka is self.postgres:
            return f"{kafka} and {postgres} {TOGETHER[self.kafka]}"
        return f"{kafka} {ALONE[self.kafka]}; {postgres} {ALONE[self.postgres]}"


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
    environment: Mapping[str, str], engine_answers: Callable[[], bool], *, local: bool
) -> Choice:
    """An address that the user gave; else Docker where it answers; else local.

    The engine is asked only where an address is missing. An empty address is none.
    """
    if local:
        return Choice(Source.LOCAL, Source.LOCAL, asked=True)
    given = _given(environment)
    other = Source.LOCAL if all(given) or not engine_answers() else Source.DOCKER
    kafka, postgres = (Source.GIVEN if address else other for address in given)
    return Choice(kafka, postgres)


def _given(environment: Mapping[str, str]) -> tuple[bool, bool]:
    kafka, postgres = environment.get(KAFKA_ADDRESS), environment.get(POSTGRES_ADDRESS)
    return bool(kafka), bool(postgres)
