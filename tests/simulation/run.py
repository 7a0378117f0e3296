"""One seed: a storm, then calm until it is quiet and all are well, then a look at all.

What processes say of themselves is asked and judged all the time.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import consumers.app
import producers.app
import producers.workers
from pipeline.retention import ahead
from producers.signing import run_checkpointer
from schemas.ids import TenantId
from tests.simulation import backgrounds, chance, clients
from tests.simulation.asking import GATEWAYS
from tests.simulation.clients import BACKGROUND, WAITS, Caller
from tests.simulation.health import DIES_WITHIN_S, WELL_WITHIN_S
from tests.simulation.invariants import wrongs
from tests.simulation.roots import on_twins, settings
from tests.simulation.strangers import (
    INBOX_FROM,
    erase,
    produce,
    scribble,
)
from tests.simulation.subscribers import subscribe
from tests.simulation.world import World

TURNS = 200_000
QUIET_WITHIN_S = 600.0
LOOK_S = 1.0
ONE_IN = 3
"""So many callers' requests have one that is to be forgotten."""
SIGNERS = ("signer-0", "signer-1")
SIGNED_EVERY_S = 16.0
WAYS = (WAITS, WAITS, BACKGROUND)
KINDS = ("clean", "clean", "personal", "attack")
GROUPS = tuple(consumers.app.GROUPS)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a seed led to.

    Attributes:
        wrongs: every promise that was broken, in words; none: the seed passed.
        digest: of the trace: equal for equal runs.
    """

    seed: int
    wrongs: tuple[str, ...]
    digest: str
    turns: int
    seconds: float
    told: str


def simulate(seed: int, *, traced: bool = False) -> Outcome:
    """Run one seed to its end; ``traced``: say what its trace hashes to."""
    world = World(seed)
    with on_twins(world):
        found = world.loop.outside.copy().run(_played, world)
    outcome = Outcome(
        seed=seed,
        wrongs=tuple(found),
        digest=world.trace.digest if traced else "",
        turns=world.loop.turns,
        seconds=world.loop.time(),
        told=f"{chance.told(world.chance.plan)}\n{world.trace.told()}" if found else "",
    )
    world.loop.outside.copy().run(world.loop.finish)
    return outcome


def _played(world: World) -> list[str]:
    world.now(world.keys.prepare(ahead(world.clock.now())))
    callers = _callers(world)
    _processes(world)
    acting = [world.begin(backgrounds.call(world, caller)) for caller in callers]
    acting += _strangers(world, callers)
    world.later(world.chance.plan.storm_s, world.calm)
    world.health.begin()
    world.hangs.begin()
    quiet = world.begin(_quiet(world, acting, callers))
    if not world.loop.run_until(quiet.done, turns=TURNS):
        return [f"it still turns after {TURNS} steps"]
    if world.watch.wrongs:
        return world.watch.wrongs
    if not quiet.result():
        return _restless(world, callers)
    return list(wrongs(world, callers))


def _callers(world: World) -> list[Caller]:
    tenants = clients.settle(world)
    return [_caller(world, number, tenants) for number in range(world.chance.some(7))]


def _strangers(world: World, callers: list[Caller]) -> list[Any]:
    subscribe(world)
    acting = [
        world.begin(produce(world, INBOX_FROM + number))
        for number in range(world.chance.some(4) - 1)
    ]
    if world.chance.either():
        acting.append(world.begin(scribble(world, 0)))
    forgotten = [caller for caller in callers if world.chance.some(ONE_IN) == 1]
    acting += [world.begin(erase(world, caller)) for caller in forgotten]
    return acting


def _caller(world: World, number: int, tenants: list[tuple[TenantId, str]]) -> Caller:
    tenant, token = world.chance.one(tenants)
    caller = Caller(
        number=number,
        kind=world.chance.one(KINDS),
        way=world.chance.one(WAYS),
        key=f"key-{number}",
        token=token,
        tenant=tenant,
    )
    world.claims.numbers[number] = caller.request
    return caller


def _processes(world: World) -> None:
    running = world.processes
    for at, name in enumerate(GATEWAYS):
        running.add(name, partial(producers.app.run_gateway, settings(name, at)))
    for name, groups in _shares(world):
        running.add(name, partial(consumers.app.run, settings(name), groups))
    workers = producers.workers
    timed = partial(workers.run_timed, settings("timed"), workers.TIMED)
    running.add("timed", timed)
    for name in SIGNERS:
        signing = partial(run_checkpointer, settings(name), SIGNED_EVERY_S)
        running.add(name, signing)


def _shares(world: World) -> list[tuple[str, list[str]]]:
    """Which process runs which groups: each group has one member or two."""
    if world.chance.either():
        return [("all-0", list(GROUPS)), ("all-1", list(GROUPS))]
    cut = world.chance.some(len(GROUPS) - 1)
    shuffled = world.chance.shuffled(GROUPS)
    return [("some-0", shuffled[:cut]), ("some-1", shuffled[cut:])]


async def _quiet(world: World, acting: list[Any], callers: list[Caller]) -> bool:
    """Waits until everything is done, in some worlds days later once more.

    False: it took too long.
    """
    if not await _settled(world, acting):
        return False
    if not world.ages.days:
        return True
    world.ages.pass_by()
    followed = [each for each in callers if each.told]
    if not await _settled(world, []):
        return False
    for caller in followed:
        await backgrounds.look(world, caller)
    return True


async def _settled(world: World, acting: list[Any]) -> bool:
    while world.chance.storm or not all(one.done() for one in acting) or world.owed():
        await world.clock.sleep(LOOK_S)
        if world.loop.time() > _within(world) or world.watch.wrongs:
            return False
    return await _well(world)


def _within(world: World) -> float:
    return QUIET_WITHIN_S + (DIES_WITHIN_S if world.hangs.some else 0.0)


async def _well(world: World) -> bool:
    """Where nothing is left to do, everybody is soon alive and ready."""
    until = world.loop.time() + WELL_WITHIN_S
    while ill := world.health.unwell():
        if world.loop.time() > until:
            world.watch.wrong(f"nothing is left to do, and {'; '.join(ill)}")
            return False
        await world.clock.sleep(LOOK_S)
    return True


def _restless(world: World, callers: list[Caller]) -> list[str]:
    waiting = [str(caller.number) for caller in callers if not caller.done]
    return [f"never quiet: {world.owed()}, callers {' '.join(waiting)} wait"]
