"""Processes that are started, die and are started again by whoever runs us."""

import signal
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from pipeline.errors import RetryableError
from tests.simulation.broker import SESSION_S
from tests.simulation.chance import Blow
from tests.simulation.loop import Owner

if TYPE_CHECKING:
    from tests.simulation.world import World

Main = Callable[[], Coroutine[Any, Any, None]]


class Process:
    """One process, life after life. Its memory dies with each."""

    def __init__(self, world: "World", name: str, main: Main) -> None:
        self._world = world
        self.name = name
        self._main = main
        self._lives = 0
        self.owner = Owner(name)

    def start(self) -> None:
        """A new life, by the composition root."""
        self._lives += 1
        owner = self.owner = Owner(f"{self.name}#{self._lives}")
        loop = self._world.loop
        task = loop.create_task(self._main(), context=loop.context(owner))
        task.add_done_callback(
            lambda done: self._ended(owner, done), context=loop.outside
        )

    def crash(self) -> None:
        """``kill -9``: nothing of it runs any more, and its connections break."""
        self._gone("killed")

    def stop(self) -> None:
        """SIGTERM."""
        asked = self.owner.signals.get(signal.SIGTERM)
        self._world.say("SIGTERM", self.owner.name)
        self._world.claims.trouble(self.owner)
        if asked is not None:
            self._world.loop.call_soon(
                asked, context=self._world.loop.context(self.owner)
            )

    def _ended(self, owner: Owner, task: Any) -> None:
        error = task.exception()
        if error is not None and not isinstance(error, RetryableError):
            self._world.watch.wrong(f"{owner.name} gave up: {error!r}")
        if owner is self.owner and not owner.dead:
            self._gone("stopped" if error is None else f"exit {error!r}")

    def _gone(self, how: str) -> None:
        owner, world = self.owner, self._world
        world.claims.trouble(owner)
        world.say("PROCESS", owner.name, how)
        world.loop.kill(owner)
        world.ports = {k: v for k, v in world.ports.items() if v[0] is not owner}
        world.later(SESSION_S, world.evict, owner)
        world.later(world.chance.uniform(0.5, 6.0), self.start)


class Processes:
    """All processes of an installation, and what befalls them."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._all: list[Process] = []
        world.chance.blow = self._blow
        world.network.crash = lambda owner: self._blow(Blow.CRASH, owner)

    @property
    def names(self) -> list[str]:
        """All of them, whoever lives."""
        return [each.name for each in self._all]

    @property
    def living(self) -> dict[str, Owner]:
        """By name, the life of each that has one now."""
        return {each.name: each.owner for each in self._all if not each.owner.dead}

    def restart(self, owner: Owner) -> None:
        """Somebody looked at what it says: it is killed, and started anew."""
        self._world.say("RESTART", owner.name)
        next(each for each in self._all if each.owner is owner).crash()

    def add(self, name: str, main: Main) -> None:
        """One more, from now on."""
        process = Process(self._world, name, main)
        self._all.append(process)
        process.start()

    def _blow(self, blow: Blow, owner: Owner) -> None:
        process = next((each for each in self._all if each.owner is owner), None)
        world = self._world
        if (
            process is None
            or owner.dead
            or not any(world.seats(t) for t in world.groups)
        ):
            return
        match blow:
            case Blow.CRASH:
                process.crash()
            case Blow.STOP:
                process.stop()
            case Blow.FREEZE:
                self._freeze(owner)
            case Blow.REBALANCE:
                group = world.chance.one([g for g in world.groups.values() if g.seats])
                world.say("REBALANCE", group.name)
                group.prepare()

    def _freeze(self, owner: Owner) -> None:
        world = self._world
        seconds = world.chance.uniform(0.1, 4 * SESSION_S)
        world.claims.trouble(owner)
        world.say("FREEZE", owner.name, round(seconds, 3))
        world.loop.freeze(owner, seconds)
        if seconds > SESSION_S:
            world.later(SESSION_S, world.evict, owner)
