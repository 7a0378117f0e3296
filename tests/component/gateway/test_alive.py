"""What a gateway's life hangs on."""

import asyncio
from collections.abc import AsyncIterator, Callable
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

    alive = True

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


@pytest.mark.parametrize("dead", ["box", "publisher", "readiness", "looks", None])
async def test_a_gateway_is_alive_where_all_its_parts_are(
    monkeypatch: pytest.MonkeyPatch, dead: str | None
) -> None:
    stop, seen = asyncio.Event(), list[bool]()
    stop.set()
    lives = {name: name != dead for name in ("box", "publisher", "readiness", "looks")}
    readiness = SimpleNamespace(alive=lives["readiness"], timed=lambda: None)
    publisher = SimpleNamespace(alive=lives["publisher"])
    Box.alive = lives["box"]

    async def sleep(_: float) -> None: ...

    def routes(alive: Callable[[], bool], *_: object) -> None:
        seen.append(alive())

    async def traced(*_: object) -> None: ...

    @asynccontextmanager
    async def opens(*_: object) -> AsyncIterator[Any]:
        clock: Any = SimpleNamespace(sleep=sleep)
        told = Told()
        yield SimpleNamespace(
            clients=None, clock=clock, metrics=told, log=told, publisher=publisher
        )

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
    for name in ("Admitting", "admissions", "loop_of", "settled"):
        monkeypatch.setattr(app, name, Told())
    monkeypatch.setattr(app, "health_routes", routes)
    monkeypatch.setattr(app, "alive", lambda _: lives["looks"])
    settings: Any = SimpleNamespace(
        gateway=SimpleNamespace(reply_partition=0, host="", port=0, leave_s=5)
    )
    await app.run_gateway(settings)

    assert [dead is None] == seen
