"""What processes of the producers share: told to stop, and telling how they are."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

from infra.families import WORKER_IDLE
from infra.health import health_app
from infra.metrics import Metrics
from infra.resources import Resources
from infra.server import serving
from infra.settings import Settings
from producers.timed import Loop, Timed, alive, not_ready, running


def stopping() -> asyncio.Event:
    """Set by SIGTERM and SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def loop_of(opened: Resources, timed: Timed) -> Loop:
    """The loop of a worker, over what its process opened."""
    return Loop(timed=timed, clock=opened.clock, entropy=opened.entropy, log=opened.log)


@asynccontextmanager
async def looping(
    settings: Settings,
    loops: Sequence[Loop],
    metrics: Metrics,
    publishes: Callable[[], bool] = lambda: True,
) -> AsyncIterator[int]:
    """Run timed workers, and say on the health port, which it yields, how they are.

    Args:
        settings: where that port is.
        loops: the workers.
        metrics: what the port shows.
        publishes: False: their publisher needs a new process.
    """
    for loop in loops:
        idle = metrics.of(WORKER_IDLE).labels(loop.timed.name)
        idle.set_function(partial(getattr, loop, "idle_s"))
    app = health_app(
        lambda: publishes() and alive(loops),
        lambda: not_ready(loops),
        metrics.registry,
    )
    health = settings.health
    async with running(loops), serving(app, health.host, health.port) as port:
        yield port
