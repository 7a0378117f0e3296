"""An event loop whose time is virtual, and in which whole processes can die.

Every handle and every task belongs to an :class:`Owner`: one life of a process, or the
world outside. A dead owner's handles never run again, so no ``finally`` and no
``except`` of it does either. Which owner runs next is the chooser's choice; within one
owner, handles run in the order in which they became ready, as on any event loop, unless
the chooser says otherwise. What the world does at a moment, it does at once: time
stands still while a process has anything to do, so there is nothing to choose.
"""

import asyncio
import gc
import heapq
import sys
import warnings
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from typing import Any, Protocol, TypeVar

from typing_extensions import override

T = TypeVar("T")


class Owner:
    """Who handles and tasks belong to."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.frozen_until = 0.0
        self.ready: deque[SimHandle] = deque()
        self.tasks: list[SimTask] = []
        self.signals: dict[int, Callable[[], Any]] = {}


OWNER: ContextVar[Owner] = ContextVar("owner")


class SimHandle:
    """What is to be run, as asyncio's own handle, and no more: there are millions."""

    __slots__ = ("args", "callback", "cancelled", "context", "owner")

    def __init__(
        self, owner: Owner, context: Context, callback: Any, args: tuple[Any, ...]
    ) -> None:
        self.owner = owner
        self.context = context
        self.callback = callback
        self.args = args
        self.cancelled = False

    def cancel(self) -> None:
        """Never run it."""
        self.cancelled = True


class Chooser(Protocol):
    """Who decides what runs next, and what happens in between."""

    def owner(self, count: int) -> int:
        """Which of so many owners runs next; asked where there are several."""
        ...

    def handle(self, count: int) -> int:
        """Which of its ready handles, if several; 0 is ready longest."""
        ...

    def after(self, owner: Owner) -> None:
        """A handle of ``owner`` ran."""
        ...


class SimTask(asyncio.Task[Any]):
    """A task whose place in a set does not depend on where it lies in memory."""

    def __init__(self, number: int, *args: Any, **kwargs: Any) -> None:
        self._number = number
        super().__init__(*args, **kwargs)

    @override
    def __hash__(self) -> int:
        return self._number

    @override
    def __eq__(self, other: object) -> bool:
        return self is other


_Base: Any = asyncio.BaseEventLoop


class SimLoop(_Base):  # type: ignore[misc]  # its typing follows each Python
    """Runs ready handles one by one; when none is ready, time moves to the next."""

    def __init__(self, chooser: Chooser) -> None:
        super().__init__()
        self._chooser = chooser
        self._now = 0.0
        self._count = 0
        self._timers: list[tuple[float, int, SimHandle]] = []
        self._runnable: list[Owner] = []
        self._over = False
        self._owners: list[Owner] = []
        self.turns = 0
        self.world = Owner("world")
        self.outside = self.context(self.world)
        self.unhandled: list[str] = []
        self.set_exception_handler(self._unhandled)

    def context(self, owner: Owner) -> Context:
        """A context whose handles and tasks belong to ``owner``."""
        self._owners.append(owner)
        made = Context()
        made.run(OWNER.set, owner)
        return made

    def time(self) -> float:
        return self._now

    def get_debug(self) -> bool:
        return False

    def call_soon(
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> SimHandle:
        handle = self._handle(callback, args, context)
        self._now_ready(handle)
        return handle

    def call_later(
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> SimHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> SimHandle:
        timer = self._handle(callback, args, context)
        self._at(when, timer)
        return timer

    def in_the_world(self, delay: float, callback: Any, *args: Any) -> None:
        """As :meth:`call_later`, outside of every process."""
        self._at(self._now + delay, SimHandle(self.world, self.outside, callback, args))

    async def sleep(self, seconds: float) -> None:
        """As :func:`asyncio.sleep`: the sleeper is ready when its time has come."""
        woken: asyncio.Future[None] = asyncio.Future(loop=self)
        self.in_the_world(max(seconds, 0.0), _wake, woken)
        await woken

    def _at(self, when: float, timer: SimHandle) -> None:
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, timer))

    def _handle(
        self, callback: Any, args: tuple[Any, ...], context: Context | None
    ) -> SimHandle:
        if context is None:
            context = copy_context()
        return SimHandle(context.get(OWNER, self.world), context, callback, args)

    def create_task(
        self,
        coro: Any,
        *,
        name: object = None,
        context: Context | None = None,
    ) -> SimTask:
        context = copy_context() if context is None else context
        if OWNER not in context:  # one that was made empty on purpose
            context.run(OWNER.set, OWNER.get())
        self._count += 1
        task = SimTask(self._count, coro, loop=self, context=context)
        if self._over:  # of what is closed only now: nobody would close this one
            _leave(task)
        else:
            context[OWNER].tasks.append(task)
        return task

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        """A thread's work is done at once: its order to others' is not simulated."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - handed on, as a thread would
            future.set_exception(error)
        return future

    def add_signal_handler(self, sig: int, callback: Any, *args: Any) -> None:
        OWNER.get().signals[sig] = lambda: callback(*args)

    def freeze(self, owner: Owner, seconds: float) -> None:
        """Nothing of ``owner`` runs for so long: a stopped machine."""
        owner.frozen_until = self._now + seconds
        if owner in self._runnable:
            self._runnable.remove(owner)
        self.in_the_world(seconds, self._thaw, owner)

    def stands(self, owner: Owner) -> bool:
        """Is it frozen?"""
        return owner.frozen_until > self._now

    def kill(self, owner: Owner) -> None:
        """Nothing of ``owner`` runs any more."""
        owner.dead = True
        owner.ready.clear()
        if owner in self._runnable:
            self._runnable.remove(owner)

    def run_until(self, done: Callable[[], bool], *, turns: int) -> bool:
        """Run until ``done``; False: so many turns were not enough."""
        with self._running():
            turn = self._turn
            while not done():
                if self.turns >= turns:
                    return False
                turn()
        return True

    def finish(self) -> None:
        """Close what is left of all coroutines; what they do then reaches nobody."""
        self._over = True
        with self._running(), _unheard():
            for owner in self._owners:
                for task in owner.tasks:
                    if not task.done():
                        _leave(task)
                owner.tasks.clear()
                owner.ready.clear()
            self._timers.clear()
            gc.collect()
        self.close()

    @contextmanager
    def _running(self) -> Iterator[None]:
        before = events._get_running_loop()
        events._set_running_loop(self)
        try:
            yield
        finally:
            events._set_running_loop(before)

    def _turn(self) -> None:
        runnable, timers = self._runnable, self._timers
        if not runnable or (timers and timers[0][0] <= self._now):
            self._tick()
            if not runnable:
                return
        self.turns += 1
        count = len(runnable)
        owner = runnable[self._chooser.owner(count) if count > 1 else 0]
        ready = owner.ready
        if (count := len(ready)) > 1 and (at := self._chooser.handle(count)):
            handle = ready[at]
            del ready[at]
        else:
            handle = ready.popleft()
        if not ready:
            runnable.remove(owner)
        if not handle.cancelled:
            self._run(handle)
            self._chooser.after(owner)

    def _run(self, handle: SimHandle) -> None:
        try:
            handle.context.run(handle.callback, *handle.args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 - what every loop does
            told = {"message": f"in {handle.callback!r}", "exception": error}
            self.call_exception_handler(told)

    def _tick(self) -> None:
        """Move on to the next timer; make ready all that are due then."""
        timers, world = self._timers, self.world
        if not timers:
            raise RuntimeError("nothing is ready and nothing will be")
        if not self._runnable:
            self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            _, _, timer = heapq.heappop(timers)
            if timer.cancelled:
                continue
            if timer.owner is world:
                self._run(timer)
            else:
                self._now_ready(timer)

    def _now_ready(self, handle: SimHandle) -> None:
        owner = handle.owner
        if owner.dead or self._over:
            return
        ready = owner.ready
        if not ready and owner.frozen_until <= self._now:
            self._runnable.append(owner)
        ready.append(handle)

    def _thaw(self, owner: Owner) -> None:
        thawed = owner.frozen_until <= self._now
        if owner.ready and not owner.dead and thawed and owner not in self._runnable:
            self._runnable.append(owner)

    def _unhandled(self, _: Any, told: dict[str, Any]) -> None:
        error = told.get("exception")
        self.unhandled.append(f"{told['message']}: {error!r}")


def _wake(sleeper: "asyncio.Future[None]") -> None:
    if not sleeper.done():
        sleeper.set_result(None)


def _leave(task: asyncio.Task[Any]) -> None:
    """Close its coroutine, however often that waits for something on the way out."""
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    coroutine: Any = task.get_coro()
    for _ in range(100):
        try:
            coroutine.close()
        except BaseException:  # noqa: BLE001, S112 - it waited, or raised
            continue
        return


@contextmanager
def _unheard() -> Iterator[None]:
    """What the dead still say is not written anywhere."""
    before, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.unraisablehook = before


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that never waits, as all the twins' are."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise RuntimeError("a twin waited")
