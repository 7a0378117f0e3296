"""The gateway's ``/readyz`` under real outages and a real SIGTERM."""

import asyncio
import signal
import time
from collections.abc import Collection
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import orjson
import pytest
from openai import InternalServerError, OpenAI

from demo import stack as local
from demo.launch import Access, Sluice
from demo.processes import Process, ready, spawn
from tests.support.outages import keystore, read_only

pytestmark = pytest.mark.e2e

WITHIN_S = 60.0
LEAVE_S = 4.0


def reasons(health: str) -> Collection[str]:
    try:
        with urlopen(health + "/readyz", timeout=10) as answer:
            return frozenset(orjson.loads(answer.read())["reasons"])
    except HTTPError as error:
        return frozenset(orjson.loads(error.read())["reasons"])


def told(gateway: Process, expected: Collection[str]) -> Collection[str]:
    """What it says once it says what is expected, or at the time limit."""
    until = time.monotonic() + WITHIN_S
    while (found := reasons(gateway.health)) != expected and time.monotonic() < until:
        time.sleep(0.2)
    return found


def alive(gateway: Process) -> bool:
    with urlopen(gateway.health + "/livez", timeout=10) as answer:
        return bool(answer.status == 200)


def refused(access: Access) -> bool:
    """Whether a request is told to come again."""
    url = access.gateway + "/v1"
    with OpenAI(base_url=url, api_key=access.api_key, max_retries=0) as client:
        try:
            client.chat.completions.create(
                model="echo", messages=[{"role": "user", "content": "Hello"}]
            )
        except InternalServerError as error:
            return error.status_code == 503
    return False


@pytest.mark.timeout(900)
def test_it_names_what_is_away_and_is_ready_again_by_itself(tmp_path: Path) -> None:
    with local.temporary(durable=False, local=True) as services:
        sluice = Sluice(tmp_path / "sluice", services)
        asyncio.run(sluice.provide())
        gateway = sluice.spawn("gateway", "producers", "gateway")
        postgres = services.postgres_url
        try:
            asyncio.run(ready(gateway))
            asyncio.run(keystore(postgres, open_to_all=False))
            without_keys = told(gateway, {"gateway:keystore_away"})
            asyncio.run(keystore(postgres, open_to_all=True))
            with_keys = told(gateway, frozenset())
            services.kafka.stop()
            without_kafka = told(gateway, {"gateway:kafka_away"})
            services.postgres.kill()
            both = {"gateway:postgres_away", "gateway:keystore_away"}
            without_all = told(gateway, {"gateway:kafka_away"} | both)
            still = alive(gateway)
            services.kafka.start()
            services.postgres.start()
            with_all = told(gateway, frozenset())
        finally:
            sluice.stop()

    assert {"gateway:keystore_away"} == without_keys
    assert frozenset() == with_keys
    assert {"gateway:kafka_away"} == without_kafka
    assert {"gateway:kafka_away"} | both == without_all
    assert still
    assert frozenset() == with_all


def second_gateway(made: Sluice, port: int, logs: Path) -> Process:
    environment = {
        **made.environment("gateway", port),
        "SLUICE_GATEWAY__PORT": str(port),
        "SLUICE_GATEWAY__REPLY_PARTITION": "1",
        "SLUICE_GATEWAY__LEAVE_S": str(LEAVE_S),
    }
    module = ("producers", "gateway")
    return spawn("second", module, environment=environment, port=port, logs=logs)


def test_after_sigterm_it_says_so_and_serves_on_before_it_ends(
    sluice: tuple[Sluice, Access], tmp_path: Path
) -> None:
    made, access = sluice
    second = second_gateway(made, made.port("second"), tmp_path)
    try:
        asyncio.run(ready(second))
        asked = time.monotonic()
        second.popen.send_signal(signal.SIGTERM)
        leaving = told(second, {"gateway:stopping"})
        with OpenAI(base_url=second.health + "/v1", api_key=access.api_key) as client:
            answer = client.chat.completions.create(
                model="echo", messages=[{"role": "user", "content": "Hello"}]
            )
        code = second.popen.wait(30)
    finally:
        second.kill()

    assert {"gateway:stopping"} == leaving
    assert "stand-in" in str(answer.choices[0].message.content)
    assert 0 == code
    assert LEAVE_S <= time.monotonic() - asked


@pytest.mark.timeout(900)
def test_who_answers_and_takes_nothing_is_named(tmp_path: Path) -> None:
    with local.temporary(durable=False, local=True) as services:
        sluice = Sluice(tmp_path / "sluice", services)
        asyncio.run(sluice.provide())
        gateway = sluice.spawn("gateway", "producers", "gateway")
        try:
            asyncio.run(ready(gateway))
            access = sluice.onboard("Acme", ("echo",))
            asyncio.run(read_only(services.postgres_url, on=True))
            came_again = refused(access)
            full = told(gateway, {"gateway:admissions_away"})
            asyncio.run(read_only(services.postgres_url, on=False))
            free = told(gateway, frozenset())
        finally:
            sluice.stop()

    assert came_again
    assert {"gateway:admissions_away"} == full
    assert frozenset() == free
