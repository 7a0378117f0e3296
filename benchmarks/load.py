"""A bounded closed loop of HTTP clients, and an open loop at a fixed rate."""

import asyncio
import statistics
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

import aiohttp

from pipeline.ports.system import Clock

Send = Callable[[int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Load:
    """What a load saw: requests that ended well, in how many seconds, how fast each."""

    requests: int
    seconds: float
    latency_ms: Latency

    @property
    def requests_per_s(self) -> float:
        """Sustained rate."""
        return self.requests / self.seconds

    def row(self) -> dict[str, object]:
        """As it is written to the results."""
        return {
            "requests_per_s": round(self.requests_per_s, 1),
            "latency_ms": asdict(self.latency_ms),
        }


def latency(seconds: list[float]) -> Latency:
    """Percentiles of durations in seconds."""
    cuts = statistics.quantiles(seconds, n=100)
    return Latency(*(round(cuts[at - 1] * 1000, 2) for at in (50, 95, 99)))


async def closed(send: Send, *, clients: int, requests: int, clock: Clock) -> Load:
    """``clients`` at once, each sending as soon as it has its answer."""
    taken: list[float] = []
    numbers = iter(range(requests))

    async def client() -> None:
        for number in numbers:
            start = clock.monotonic()
            await send(number)
            taken.append(clock.monotonic() - start)

    begin = clock.monotonic()
    await asyncio.gather(*(client() for _ in range(clients)))
    return Load(requests, clock.monotonic() - begin, latency(taken))


async def paced(send: Send, *, per_s: float, requests: int, clock: Clock) -> Load:
    """One every ``1/per_s`` seconds, whether or not the last was answered.

    Latency counts from the planned time, so a stall is not hidden by waiting for it.
    """
    begin = clock.monotonic()

    async def one(number: int) -> float:
        due = begin + number / per_s
        await clock.sleep(max(0.0, due - clock.monotonic()))
        await send(number)
        return clock.monotonic() - due

    taken = await asyncio.gather(*(one(number) for number in range(requests)))
    return Load(requests, clock.monotonic() - begin, latency(list(taken)))


def poster(
    session: aiohttp.ClientSession,
    url: str,
    headers: dict[str, str],
    body: Callable[[int], bytes],
) -> Send:
    """Send ``body(number)``; any answer but 200 ends the run."""
    headers = {**headers, "content-type": "application/json"}

    async def send(number: int) -> None:
        async with session.post(url, data=body(number), headers=headers) as answer:
            await answer.read()
            if answer.status != 200:  # noqa: PLR2004 - HTTP's own number
                raise RuntimeError(f"request {number} was answered {answer.status}")

    return send
