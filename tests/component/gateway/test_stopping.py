"""Who stops says so first, and only then closes its door."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Self

import pytest

from producers import app


@dataclass
class Gate:
    """A gateway that serves nobody."""

    tracing: Any = None

    def app(self) -> None: ...


class Box:
    """Whatever a root opens."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...


class Told:
    """A log, a metric, a gauge: what is told them is not kept."""

    registry = None

    def __getattr__(self, _: str) -> "Told":
        return self

    def __call__(self, *_: object, **__: object) -> "Told":
        return self


async def test_a_gateway_that_stops_is_not_ready_while_balancers_still_send(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop, seen = asyncio.Event(), list[bool]()
    stop.set()
    readiness = SimpleNamespace(stopping=False, timed=lambda: None)

    async def sleep(_: float) -> None:
        seen.append(readiness.stopping)

    async def traced(*_: object) -> None: ...

    @asynccontextmanager
    async def opens(*_: object) -> AsyncIterator[Any]:
        clock: Any = SimpleNamespace(sleep=sleep)
        yield SimpleNamespace(clients=None, clock=clock, metrics=Told(), log=Told())

    @asynccontextmanager
    async def serves(*_: object) -> AsyncIterator[int]:
        yield 1

    monkeypatch.setattr(app, "stopping", lambda: stop)
    monkeypatch.setattr(app, "open_resources", opens)
    monkeypatch.setattr(app, "_readiness", lambda *_: readiness)
    monkeypatch.setattr(app, "_gateway", lambda *_: Gate())
    monkeypatch.setattr(app, "traces", traced)
    for name in ("ReplyBox", "webhook_sender"):
        monkeypatch.setattr(app, name, lambda *_: Box())
    for name in ("running", "serving"):
        monkeypatch.setattr(app, name, serves)
    for name in ("Admitting", "admissions", "loop_of", "health_routes", "settled"):
        monkeypatch.setattr(app, name, Told())
    settings: Any = SimpleNamespace(
        gateway=SimpleNamespace(reply_partition=0, host="", port=0, leave_s=5)
    )
    await app.run_gateway(settings)

    assert [True] == seen
