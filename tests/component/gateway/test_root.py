"""The gateway's root: what its life hangs on, and how it stops.

What it opens is replaced, for all of that has tests of its own; what is tried here is
what the root makes of it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Self

import pytest

from producers import app

PARTS = ("box", "publisher", "readiness", "looks")


class Anything:
    """Opened, asked, told and called, it does nothing."""

    def __init__(self, *, alive: bool = True) -> None:
        self.alive = alive
        self.stopping = False

    def __getattr__(self, _: str) -> "Anything":
        return self

    def __call__(self, *_: object, **__: object) -> "Anything":
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...


@dataclass
class Root:
    """A gateway that was told to stop before it began.

    Attributes:
        seen: whether it said that it is stopping, each time that it waited.
        alive: what it gave to the health routes.
    """

    dead: str | None = None
    seen: list[bool] = field(default_factory=list)
    alive: Callable[[], bool] = bool

    def __post_init__(self) -> None:
        self.parts = {name: Anything(alive=name != self.dead) for name in PARTS}

    async def run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stop = asyncio.Event()
        stop.set()
        made = {
            "stopping": lambda: stop,
            "open_resources": self._opens,
            "ReplyBox": lambda *_: self.parts["box"],
            "webhook_sender": Anything(),
            "traces": self._traces,
            "Admitting": Anything(),
            "admissions": Anything(),
            "_readiness": lambda *_: self.parts["readiness"],
            "loop_of": Anything(),
            "alive": lambda _: self.parts["looks"].alive,
            "health_routes": self._health,
            "_gateway": lambda *_: SimpleNamespace(app=Anything()),
            "replace": lambda gateway, **_: gateway,
            "running": self._serves,
            "serving": self._serves,
            "settled": Anything(),
        }
        for name, instead in made.items():
            monkeypatch.setattr(app, name, instead)
        settings: Any = SimpleNamespace(
            gateway=SimpleNamespace(reply_partition=0, host="", port=0, leave_s=5)
        )
        await app.run_gateway(settings)

    async def _sleep(self, _: float) -> None:
        self.seen.append(self.parts["readiness"].stopping)

    async def _traces(self, *_: object) -> None: ...

    def _health(self, alive: Callable[[], bool], *_: object) -> None:
        self.alive = alive

    @asynccontextmanager
    async def _opens(self, *_: object) -> AsyncIterator[Any]:
        yield SimpleNamespace(
            clients=None,
            clock=SimpleNamespace(sleep=self._sleep),
            metrics=Anything(),
            log=Anything(),
            publisher=self.parts["publisher"],
        )

    @asynccontextmanager
    async def _serves(self, *_: object) -> AsyncIterator[int]:
        yield 1


async def test_it_is_not_ready_while_balancers_still_send(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = Root()
    await root.run(monkeypatch)

    assert [True] == root.seen


@pytest.mark.parametrize("dead", [*PARTS, None])
async def test_it_is_alive_where_all_its_parts_are(
    monkeypatch: pytest.MonkeyPatch, dead: str | None
) -> None:
    root = Root(dead)
    await root.run(monkeypatch)

    assert (dead is None) is root.alive()
