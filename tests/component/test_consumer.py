"""How a consumer stops, whatever aiokafka's own stop comes to."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from infra.kafka import consumer
from infra.kafka.consumer import Consumer

Stop = Callable[[asyncio.Event], Awaitable[None]]


async def ends(_: asyncio.Event) -> None: ...


async def fails(_: asyncio.Event) -> None:
    raise KafkaError


async def is_cancelled(_: asyncio.Event) -> None:
    raise asyncio.CancelledError


async def waits(hung_up: asyncio.Event) -> None:
    await hung_up.wait()


async def waits_and_is_cancelled(hung_up: asyncio.Event) -> None:
    await hung_up.wait()
    raise asyncio.CancelledError


async def closed(stop: Stop, monkeypatch: pytest.MonkeyPatch) -> int:
    """How often it hung up by itself, once aiokafka's stop is this one."""
    monkeypatch.setattr(consumer, "STOPS_WITHIN_S", 0.01)
    made, hung_up, times = Consumer(), asyncio.Event(), 0

    async def stopped(self: AIOKafkaConsumer) -> None:
        self._closed = True
        await stop(hung_up)

    async def close() -> None:
        nonlocal times
        times += 1
        hung_up.set()

    monkeypatch.setattr(AIOKafkaConsumer, "stop", stopped)
    monkeypatch.setattr(made._client, "close", close)
    await made.stop()
    return times


@pytest.mark.parametrize(
    ("stop", "times"),
    [(ends, 0), (is_cancelled, 1), (waits, 1), (waits_and_is_cancelled, 2)],
)
async def test_nothing_stays_open(
    stop: Stop, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert times == await closed(stop, monkeypatch)


async def test_what_went_wrong_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KafkaError):
        await closed(fails, monkeypatch)
