"""The two parts of a choice."""

import os
from pathlib import Path

from demo.stack.choice import KAFKA_ADDRESS, POSTGRES_ADDRESS, Source
from demo.stack.kafka import Kafka
from demo.stack.part import Given, Part
from demo.stack.postgres import Postgres
from demo.stack.record import Record


def parts(root: Path, record: Record) -> tuple[Part, Part]:
    """Kafka and Postgres, with what they keep in the root."""
    return _kafka(root / "kafka", record), _postgres(root / "postgres", record)


def _kafka(folder: Path, record: Record) -> Part:
    match record.choice.kafka:
        case Source.GIVEN:
            return Given(os.environ.get(KAFKA_ADDRESS, ""))  # noqa: TID251 - the user's
        case Source.DOCKER:
            from demo.stack.containers import KafkaContainer  # noqa: PLC0415 - slow

            return KafkaContainer(folder)
        case Source.LOCAL:
            return Kafka(folder)


def _postgres(folder: Path, record: Record) -> Part:
    match record.choice.postgres:
        case Source.GIVEN:
            return Given(os.environ.get(POSTGRES_ADDRESS, ""))  # noqa: TID251 - as above
        case Source.DOCKER:
            from demo.stack.containers import PostgresContainer  # noqa: PLC0415 - slow

            return PostgresContainer(folder, record.durable)
        case Source.LOCAL:
            return Postgres(folder, record.durable)
