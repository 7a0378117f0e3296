"""A process whose publisher is dead is started anew, and gets no work until then."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from prometheus_client import CollectorRegistry

from infra.health import NOT_ALIVE
from infra.metrics import Metrics
from infra.settings import HealthSettings
from producers import process


class Nowhere:
    """Settings of a process that only has a health port."""

    health = HealthSettings()


async def said(app: Any, path: str) -> tuple[int, str]:
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://sluice.test"
    ) as client:
        answer = await client.get(path)
    return answer.status_code, answer.text


@pytest.mark.parametrize(
    ("publishes", "live", "ready", "reasons"),
    [(True, 200, 200, "[]"), (False, 503, 503, f'["{NOT_ALIVE}"]')],
)
async def test_workers_with_a_dead_publisher_are_neither_alive_nor_ready(
    monkeypatch: pytest.MonkeyPatch,
    *,
    publishes: bool,
    live: int,
    ready: int,
    reasons: str,
) -> None:
    served: list[Any] = []

    @asynccontextmanager
    async def serving(app: Any, _: str, __: int) -> AsyncIterator[int]:
        served.append(app)
        yield 1

    monkeypatch.setattr(process, "serving", serving)
    metrics = Metrics(CollectorRegistry())
    nowhere: Any = Nowhere()
    async with process.looping(nowhere, [], metrics, lambda: publishes):
        lives = await said(served[0], "/livez")
        readies = await said(served[0], "/readyz")
        _, told = await said(served[0], "/metrics")

    assert live == lives[0]
    assert (ready, True) == (readies[0], f'"reasons":{reasons}' in readies[1])
    assert f"sluice_alive {float(publishes)}" in told
    assert f"sluice_ready {float(publishes)}" in told
