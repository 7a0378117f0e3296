"""The one place of clocks, randomness and new ids."""

import asyncio
import gc
import random  # noqa: TID251 - this is its one place
import secrets
import time
from datetime import UTC, datetime

from typing_extensions import override

from pipeline.ports.system import Clock, Entropy

YOUNG = 10_000
"""How many new objects the garbage collector lets gather before it looks at them.

Thousands are on their way through a worker, and next to none of them in cycles: at
Python's own 700 it looked in vain for 5 % of a worker's time, at this for 1 %, and no
look takes longer than about 10 ms.
"""


def settled() -> None:
    """Let the garbage collector pass over what is there now, and let the new gather.

    What is there stays: each full look at what a worker holds, its detection above
    all, stops it for 60 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])


class SystemClock(Clock):
    """The machine's clock."""

    @override
    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - this is its one place

    @override
    def monotonic(self) -> float:
        return time.monotonic()

    @override
    def cpu(self) -> float:
        return time.thread_time()

    @override
    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)  # noqa: TID251 - this is its one place


class SystemEntropy(Entropy):
    """The machine's randomness."""

    @override
    def bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)

    @override
    def uniform(self, low: float, high: float) -> float:
        return random.uniform(low, high)  # noqa: S311 - jitter, not a secret

    @override
    def uuid7(self) -> str:
        milliseconds = time.time_ns() // 1_000_000
        value = (milliseconds & (1 << 48) - 1) << 80 | secrets.randbits(80)
        value = value & ~(0xF << 76) | 0x7 << 76
        value = value & ~(0x3 << 62) | 0x2 << 62
        text = f"{value:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
