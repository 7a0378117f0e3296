"""The gateway's ``/readyz`` under real outages and a real SIGTERM."""

import asyncio
import signal
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
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


def answer(client: OpenAI, model: str) -> str:
    made = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Hello"}]
    )
    return str(made.choices[0].message.content)


def refused(gateway: str, access: Access) -> bool:
    """Whether a request is told to come again."""
    url = gateway + "/v1"
    with OpenAI(base_url=url, api_key=access.api_key, max_retries=0) as client:
        try:
            answer(client, "echo")
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


def second_gateway(made: Sluice, logs: Path, **told: str) -> Process:
    port = made.port("second")
    environment = {
        **made.environment("gateway", port),
        "SLUICE_GATEWAY__PORT": str(port),
        "SLUICE_GATEWAY__REPLY_PARTITION": "1",
        **{f"SLUICE_GATEWAY__{name}": value for name, value in told.items()},
    }
    module = ("producers", "gateway")
    return spawn("second", module, environment=environment, port=port, logs=logs)


def test_after_sigterm_it_says_so_and_serves_on_before_it_ends(
    sluice: tuple[Sluice, Access], tmp_path: Path
) -> None:
    made, access = sluice
    second = second_gateway(made, tmp_path, LEAVE_S=str(LEAVE_S))
    try:
        asyncio.run(ready(second))
        asked = time.monotonic()
        second.popen.send_signal(signal.SIGTERM)
        leaving = told(second, {"gateway:stopping"})
        with OpenAI(base_url=second.health + "/v1", api_key=access.api_key) as client:
            answered = answer(client, "echo")
        code = second.popen.wait(30)
    finally:
        second.kill()

    assert {"gateway:stopping"} == leaving
    assert "stand-in" in answered
    assert 0 == code
    assert LEAVE_S <= time.monotonic() - asked


def test_as_many_may_wait_as_its_setting_says(
    sluice: tuple[Sluice, Access], tmp_path: Path
) -> None:
    made, access = sluice
    second = second_gateway(made, tmp_path, MAX_WAITING="1")
    try:
        asyncio.run(ready(second))
        url = second.health + "/v1"
        with (
            OpenAI(base_url=url, api_key=access.api_key, max_retries=9) as client,
            ThreadPoolExecutor(1) as pool,
        ):
            slow = pool.submit(answer, client, "slow-2")
            found = False
            while not (found or slow.done()):
                found = refused(second.health, access)
            answered = slow.result()
    finally:
        second.kill()

    assert found
    assert "stand-in" in answered


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
            came_again = refused(access.gateway, access)
            full = told(gateway, {"gateway:admissions_away"})
            asyncio.run(read_only(services.postgres_url, on=False))
            free = told(gateway, frozenset())
        finally:
            sluice.stop()

    assert came_again
    assert {"gateway:admissions_away"} == full
    assert frozenset() == free
