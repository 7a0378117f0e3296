"""One run: start everything, kill by the plan under load, wait for quiet, judge."""

import asyncio
import logging
import random  # noqa: TID251 - seeded
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from consumers.app import GROUPS
from demo import stack as local
from demo.launch import Sluice
from tests.chaos.house import Death, House, NotRecovered
from tests.chaos.judge import judged
from tests.chaos.load import MODELS, Load, loaded, sleep
from tests.chaos.plan import Blow, plan
from tests.chaos.subscriber import subscribed
from tests.support.desk import desk, onboarded

STARTS_WITHIN_S: Final = 240.0
OUR_OWN_CLIENTS: Final = ("aiokafka", "asyncpg")
"""They say that their server is away; we know, for we killed it."""
Say = Callable[[str], None]
Probe = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Report:
    """What a run found.

    Attributes:
        broken: promises that were not kept, a sentence each; empty: all were.
        codes: exit codes at the final SIGTERM, by process.
        requests: how many were sent.
    """

    seed: int
    deaths: Sequence[Death]
    broken: Sequence[str]
    requests: int
    statuses: str

    def lines(self) -> list[str]:
        """A table by kind, and what was broken."""
        by_kind: dict[str, list[Death]] = {}
        for death in self.deaths:
            by_kind.setdefault(death.victim, []).append(death)
        table = [f"  {_row(name, found)}" for name, found in sorted(by_kind.items())]
        head = "victim               kills  in hand  recovered: median     most"
        return [
            f"\nseed {self.seed}: {len(self.deaths)} kills, {self.requests} requests",
            f"answers: {self.statuses}",
            f"  {head}",
            *table,
            *(f"BROKEN: {sentence}" for sentence in self.broken),
            "every promise was kept" if not self.broken else "",
        ]


def _row(name: str, deaths: Sequence[Death]) -> str:
    times = [death.recovered_s for death in deaths]
    in_hand = sum(death.in_hand for death in deaths)
    return (
        f"{name:20} {len(deaths):5}  {in_hand:7}  "
        f"{median(times):15.1f} s {max(times):6.1f} s"
    )


async def chaos(
    root: Path, *, seed: int, kills: int, patient: bool, say: Say = print
) -> Report:
    """Kill so many times, and see whether every promise is kept.

    Args:
        root: a folder for everything that is kept.
        seed: decides who is killed with whom, and what is sent.
        kills: how many.
        patient: some webhooks are refused twice, and waited for: five minutes more.
        say: gets a line for each kill, and then the report's.
    """
    say(f"chaos: seed {seed}, {kills} kills")
    for name in OUR_OWN_CLIENTS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with local.temporary(durable=True, local=True) as stack:
        sluice = Sluice(root / "sluice", stack)
        await sluice.provide()
        try:
            # Every group a process of its own.
            await sluice.start(
                {name: [name] for name in GROUPS},
                stand_in_told=["--calls"],
                within_s=STARTS_WITHIN_S,
            )
            async with _loading(sluice, seed, patient=patient) as load:
                house = House(sluice, stack, load.access, load)
                deaths, broken = await _killed(house, plan(seed, kills), say)
                broken += await judged(house, root / "evidence", deaths)
        finally:
            codes = await asyncio.to_thread(sluice.stop)
    unclean = {name: code for name, code in codes.items() if code}
    if unclean:
        broken.append(f"SIGTERM ended these not with 0: {unclean}")
    statuses = ", ".join(f"{k}: {n}" for k, n in sorted(load.statuses.items()))
    report = Report(seed, deaths, broken, len(load.sent), statuses)
    for line in report.lines():
        say(line)
    return report


@asynccontextmanager
async def _loading(sluice: Sluice, seed: int, *, patient: bool) -> AsyncIterator[Load]:
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(desk(sluice).admin())
        access = await onboarded(sluice, admin, "Chaos", MODELS)
        subscriber = await stack.enter_async_context(
            subscribed(access, patient=patient)
        )
        yield Load(access, subscriber, random.Random(seed), admin)  # noqa: S311


async def _killed(
    house: House, blows: Sequence[Blow], say: Say
) -> tuple[list[Death], list[str]]:
    """All blows under load; what did not recover ends the run."""
    deaths: list[Death] = []
    try:
        async with loaded(house.load) as probe:
            await house.load.warm()
            for blow in blows:
                await sleep(blow.pause_s)
                deaths += await _blow(house, blow, probe, say)
    except NotRecovered as error:
        return deaths, [str(error)]
    return deaths, []


async def _blow(house: House, blow: Blow, probe: Probe, say: Say) -> list[Death]:
    deaths = await house.kill(blow.victims)
    recovering = (_recovered(house, death, blow.away_s, probe) for death in deaths)
    await asyncio.gather(*recovering)
    for death in deaths:
        say(
            f"  {death.victim:20} {'with work' if death.in_hand else 'idle':9}  "
            f"ready after {death.ready_s:5.1f} s, recovered after "
            f"{death.recovered_s:5.1f} s"
        )
    return deaths


async def _recovered(house: House, death: Death, away_s: float, probe: Probe) -> None:
    await house.recover(death, away_s)
    await probe()
    death.recovered_s = time.monotonic() - death.at
