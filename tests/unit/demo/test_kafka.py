"""The node's settings, in the forms that a process and an image take."""

from pathlib import Path
from typing import Any

import pytest
import yaml

import infra
from demo.stack.containers import kafka_environment
from demo.stack.kafka import SETTINGS, properties, settings
from demo.stack.postgres import options
from schemas.topics import DEAD_LETTER_MARGIN_BYTES, MAX_RECORD_BYTES

COMPOSE = Path(*infra.__path__) / "compose.yaml"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return found


def test_the_properties_say_each_setting_once() -> None:
    chosen = settings("data", listen="127.0.0.1", broker=20_001, controller=20_002)

    text = properties(chosen)

    assert chosen == dict(line.split("=", 1) for line in text.splitlines())


def test_a_local_node_is_heard_on_loopback_alone() -> None:
    chosen = settings("data", listen="127.0.0.1", broker=20_001, controller=20_002)

    listeners = "PLAINTEXT://127.0.0.1:20001,CONTROLLER://127.0.0.1:20002"
    assert listeners == chosen["listeners"]
    assert "PLAINTEXT://127.0.0.1:20001" == chosen["advertised.listeners"]


def test_the_largest_dead_letter_fits() -> None:
    largest = MAX_RECORD_BYTES + DEAD_LETTER_MARGIN_BYTES

    assert largest < int(SETTINGS["message.max.bytes"])


def test_compose_gives_kafka_our_settings(services: dict[str, Any]) -> None:
    assert kafka_environment(9092, 9093) == services["kafka"]["environment"]


def test_compose_gives_postgres_our_settings(services: dict[str, Any]) -> None:
    assert ["postgres", *options(durable=True)] == services["postgres"]["command"]


@pytest.mark.parametrize("name", ["kafka", "postgres"])
def test_compose_publishes_on_loopback_alone(
    services: dict[str, Any], name: str
) -> None:
    assert all(port.startswith("127.0.0.1:") for port in services[name]["ports"])
