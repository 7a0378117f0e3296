"""The network between a process and the world: calls land, or not, and may be torn."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from inspect import isasyncgenfunction
from typing import TYPE_CHECKING, Any

from pipeline.errors import RetryableError
from tests.simulation.chance import DONE, Chance, Fate, Trace
from tests.simulation.loop import OWNER, Owner, SimLoop, at_once

if TYPE_CHECKING:
    from tests.simulation.hangs import Hangs

Act = Callable[[], Coroutine[Any, Any, Any]]


class Network:
    """Carries calls. What is on its way when its caller dies may still land."""

    def __init__(self, loop: SimLoop, chance: Chance, trace: Trace) -> None:
        self._loop = loop
        self._chance = chance
        self._trace = trace
        self.crash: Callable[[Owner], None] = lambda _: None
        self.failed: Callable[[str], None] = lambda _: None
        self.hangs: Hangs | None = None
        self.caller = loop.world
        """Whose call is landing now."""

    async def call(self, label: str, act: Act) -> Any:
        """Do ``act`` at the other end.

        Raises:
            RetryableError: no answer; whether it was done is unknown.
        """
        return await self.send(label, act)

    def send(self, label: str, act: Act) -> "asyncio.Future[Any]":
        """As :meth:`call`, for several at once."""
        future: asyncio.Future[Any] = self._loop.create_future()
        if self.hangs is not None and self.hangs.befalls(label):
            return self._unanswered(future, label, act)
        owner, fate = OWNER.get(), self._chance.fate(label, self._loop.time())
        if fate is not DONE:
            self.failed(label)
        if fate is Fate.REFUSED or (fate is Fate.LOST and self._chance.either()):
            self._trace.say(self._loop.time(), owner.name, label, fate.value)
            wait = 10.0 if fate is Fate.LOST else 0.0
            self._answer(future, None, _away(), wait)
            return future
        wait = self._chance.latency(label)
        self._later(wait, self._land, owner, future, label, act, fate)
        return future

    def _unanswered(
        self, future: "asyncio.Future[Any]", label: str, act: Act
    ) -> "asyncio.Future[Any]":
        self.failed(label)
        if self.hangs is not None and self.hangs.lands():
            self.caller = OWNER.get()
            at_once(act())
        return future

    def _land(
        self,
        owner: Owner,
        future: "asyncio.Future[Any]",
        label: str,
        act: Act,
        fate: Fate,
    ) -> None:
        if owner.dead and self._chance.either():
            return  # the connection broke before the last byte was there
        value, error = None, None
        self.caller = owner
        try:
            value = at_once(act())
        except Exception as raised:  # noqa: BLE001 - it is the answer
            error = raised
        how = fate.value if error is None else type(error).__name__
        self._trace.say(self._loop.time(), owner.name, label, how)
        if fate is not DONE:
            value, error = None, _away()
        self._answer(future, value, error, 10.0 if fate is Fate.LOST else 0.0)
        alive = not owner.dead and owner is not self._loop.world
        if alive and self._chance.crashes_on_landing(label):
            self.crash(owner)

    def _answer(
        self,
        future: "asyncio.Future[Any]",
        value: object,
        error: Exception | None,
        wait: float,
    ) -> None:
        self._later(wait + self._chance.latency(), _settle, future, value, error)

    def _later(self, seconds: float, act: Callable[..., None], *args: Any) -> None:
        self._loop.in_the_world(seconds, act, *args)


def _settle(
    future: "asyncio.Future[Any]", value: object, error: Exception | None
) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
        future.exception()  # who asked may be dead: that is no leak
    else:
        future.set_result(value)


def _away() -> RetryableError:
    return RetryableError("expected an answer")


class Wire:
    """A port whose twin stands at the other end of the network."""

    def __init__(
        self,
        network: Network,
        name: str,
        twin: Any,
        about: Callable[..., str] = lambda *_, **__: "",
    ) -> None:
        self._network = network
        self._name = name
        self._twin = twin
        self._about = about

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._twin, name)
        made = self._reading if isasyncgenfunction(method) else self._calling
        call = made(name, method)
        setattr(self, name, call)
        return call

    def _calling(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            label = f"{self._name}.{name}{self._about(*args, **kwargs)}"
            return await self._network.send(label, lambda: method(*args, **kwargs))

        return call

    def _reading(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """Each portion of what is read is a call."""

        async def read(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
            portions = method(*args, **kwargs)

            async def portion() -> Any:
                return await anext(portions, None)

            label = f"{self._name}.{name}"
            while (found := await self._network.send(label, portion)) is not None:
                yield found

        return read
