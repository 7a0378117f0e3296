"""The recognisers of an installation: one process each, asked within its budget."""

import asyncio
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import orjson
from typing_extensions import override

from infra.recognisers.frames import HEAD_BYTES, framed, length
from infra.recognisers.setup import Setup
from pipeline.errors import Misconfigured
from pipeline.ports.recognisers import Mention, Recognisers, Seen, Unseen
from schemas.policies import DataClass

TRIES: Final = 2
"""A process that died, or took too long, is asked once more, freshly started."""
MAX_MENTIONS: Final = 10_000
_WORDS: Final = re.compile(r"[^a-z0-9_.-]+")
_COMMAND: Final = (sys.executable, "-I", "-X", "utf8", "-m", "infra.recognisers.worker")
_CLASSES: Final = [each.value for each in DataClass]


class Gone(Exception):
    """A recogniser's process did not answer, or answered what it must not."""


class OutsideRecogniser:
    """One recogniser in a process of its own, one question at a time."""

    def __init__(self, name: str, setup: Setup) -> None:
        self.name = name
        self._setup = setup
        self._lock = asyncio.Lock()
        self._process: Process | None = None
        self._version = ""

    async def start(self) -> None:
        """Load the model.

        Raises:
            Misconfigured: it does not load; says what was expected.
        """
        try:
            await self._started()
        except (Gone, TimeoutError) as error:
            await self.close()
            said = str(error) or f"expected it to load in {self._setup.start_s:g} s"
            raise Misconfigured(f"recogniser {self.name}: {said}") from None

    async def look(self, texts: Sequence[str]) -> Seen | Unseen:
        """What it says; :class:`Unseen` where it said nothing within its budget."""
        async with self._lock:
            for _ in range(TRIES):
                try:
                    return await self._asked(texts)
                except (Gone, TimeoutError, OSError):
                    await self.close()
            return Unseen(self.name)

    async def close(self) -> None:
        """End its process."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()

    async def _asked(self, texts: Sequence[str]) -> Seen:
        process = await self._started()
        question = framed(orjson.dumps({"texts": texts, "classes": _CLASSES}))
        async with asyncio.timeout(self._setup.budget_s):
            if process.stdin is None:
                raise Gone
            process.stdin.write(question)
            await process.stdin.drain()
            told = await _frame(process)
        return Seen(self.name, self._version, _mentions(told, texts))

    async def _started(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            # An empty environment: no login and no key of ours is any of its business.
            self._process = await asyncio.create_subprocess_exec(
                *_COMMAND,
                self._setup.model_dump_json(),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                env={},
            )
            async with asyncio.timeout(self._setup.start_s):
                hello = await _frame(self._process)
            if "version" not in hello:
                raise Gone(str(hello.get("error", "")))
            self._version = _WORDS.sub("-", str(hello["version"]).lower())[:64]
        return self._process


async def _frame(process: Process) -> dict[str, Any]:
    if process.stdout is None:
        raise Gone
    try:
        size = length(await process.stdout.readexactly(HEAD_BYTES))
        told = orjson.loads(await process.stdout.readexactly(size))
    except (asyncio.IncompleteReadError, ValueError):
        raise Gone from None
    if not isinstance(told, dict):
        raise Gone
    return told


def _mentions(
    told: Mapping[str, Any], texts: Sequence[str]
) -> tuple[tuple[Mention, ...], ...]:
    """What it found, believed only where it lies inside its text."""
    try:
        found = tuple(
            tuple(
                Mention(DataClass(each), _WORDS.sub("-", kind)[:32], start, end, sure)
                for each, kind, start, end, sure in rows
                if 0 <= start < end <= len(text)
            )
            for rows, text in zip(told["found"], texts, strict=True)
        )
    except (KeyError, TypeError, ValueError):
        raise Gone from None
    if sum(map(len, found)) > MAX_MENTIONS:
        raise Gone
    return found


class OutsideRecognisers(Recognisers):
    """All of them; asked at once."""

    def __init__(self, running: Mapping[str, OutsideRecogniser]) -> None:
        self._running = running

    @override
    async def look(
        self, texts: Sequence[str], names: Collection[str]
    ) -> Sequence[Seen | Unseen]:
        return await asyncio.gather(*(self._one(name, texts) for name in names))

    async def _one(self, name: str, texts: Sequence[str]) -> Seen | Unseen:
        found = self._running.get(name)
        return Unseen(name) if found is None else await found.look(texts)


@asynccontextmanager
async def recognisers(setups: Mapping[str, Setup]) -> AsyncIterator[OutsideRecognisers]:
    """Start each; end them all.

    Raises:
        ValueError: one does not load.
    """
    running = {name: OutsideRecogniser(name, setup) for name, setup in setups.items()}
    try:
        await asyncio.gather(*(each.start() for each in running.values()))
        yield OutsideRecognisers(running)
    finally:
        for each in running.values():
            await each.close()
