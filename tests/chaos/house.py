"""One installation whose every process and service can be killed and brought back."""

import asyncio
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.error import HTTPError
from urllib.request import urlopen

import asyncpg

from demo.launch import CHECKPOINT_EVERY_S, Access, Sluice
from demo.processes import NotReady, Process, ready
from demo.stack import Part, Stack
from infra.kafka.clients import KafkaClients
from infra.kafka.lags import Lag, Lags
from infra.system import SystemClock
from pipeline.errors import RetryableError
from schemas.topics import TOPICS
from tests.chaos.load import Load, sleep
from tests.chaos.plan import PARTS

RECOVERS_WITHIN_S: Final = 240.0
READY_WITHIN_S: Final = 120.0
AIMS: Final = 12
"""How often a process is stopped and looked at, until it has something in hand."""
OUTBOX: Final = "select count(*) from sluice.outbox"
UNFINISHED: Final = """
select request_id::text as request from sluice.provider_call where result is null
"""
PROVIDER: Final = "provider"
DELAYING: Final = frozenset({"webhook_retries_5s", "webhook_retries_5m"})
"""Groups whose records are due later: they are behind by design."""


class NotRecovered(AssertionError):
    """Something that was killed did not come back to its work."""


@dataclass(slots=True)
class Death:
    """One kill. Seconds of the machine's monotonic clock, or since the kill.

    Attributes:
        frozen: when it last ran.
        at: when it was killed.
        in_hand: it had work that was not finished.
        unfinished: the requests whose call was claimed and had no result then; of the
            provider's worker alone.
        ready_s: until it was ready again.
        recovered_s: until what lay at its door was done, and a new request answered.
    """

    victim: str
    frozen: float
    at: float
    in_hand: bool
    ends: Mapping[tuple[str, int], int]
    ready_s: float = 0.0
    recovered_s: float = 0.0
    unfinished: frozenset[str] = frozenset()


@dataclass
class House:
    """The processes, and the eyes from outside."""

    sluice: Sluice
    stack: Stack
    access: Access
    load: Load
    down: set[str] = field(default_factory=set)

    async def kill(self, victims: Sequence[str]) -> list[Death]:
        """Kill these at once; workers where they stand with something in hand."""
        aimed = [await self._aimed(name) for name in victims if name not in PARTS]
        aimed += [await self._idle_not(name) for name in victims if name in PARTS]
        self.down |= {*victims}
        for death in aimed:
            await asyncio.to_thread(self._killed, death)
        return aimed

    def _killed(self, death: Death) -> None:
        if death.victim in PARTS:
            self._part(death.victim).kill()
            death.frozen = death.at = time.monotonic()
        else:
            death.at = time.monotonic()
            self.sluice.processes[death.victim].kill()

    async def _aimed(self, name: str) -> Death:
        """Stop it until it stands with something in hand; it stays stopped."""
        pid = self.sluice.processes[name].pid
        found = await self._frozen(name, pid)
        for _ in range(AIMS):
            if found.in_hand:
                break
            os.kill(pid, signal.SIGCONT)
            await sleep(self.load.dice.uniform(0.02, 0.2))
            found = await self._frozen(name, pid)
        if name == PROVIDER:
            claims = await self._rows(UNFINISHED)
            found.unfinished = frozenset(row["request"] for row in claims)
        return found

    async def _frozen(self, name: str, pid: int) -> Death:
        os.kill(pid, signal.SIGSTOP)
        frozen, at = time.monotonic(), SystemClock().now().timestamp()
        lags = await self._lags(name)
        ends = {(lag.topic, lag.partition): lag.end for lag in lags}
        in_hand = await self._in_hand(name, lags, at)
        return Death(name, frozen, frozen, in_hand, ends)

    async def _idle_not(self, name: str) -> Death:
        for _ in range(AIMS):
            if self.load.open:
                break
            await sleep(0.05)
        now = time.monotonic()
        return Death(name, now, now, self.load.open > 0, {})

    async def _in_hand(self, name: str, lags: Sequence[Lag], at: float) -> bool:
        """Is there a record that it was given before, and has not committed?

        The gateway has requests that wait; the outbox, rows; the checkpointer is under
        way whenever the ledger grows.
        """
        if lags:
            now = SystemClock().now().timestamp()
            ages = (lag.oldest_s for lag in lags if lag.oldest_s is not None)
            return any(now - age < at for age in ages)
        if name == "timed":
            ((waits,),) = await self._rows(OUTBOX)
            return bool(waits)
        return self.load.open > 0

    async def _rows(self, query: str) -> Sequence[asyncpg.Record]:
        """What lies in the database, whosever it is."""
        url = self.stack.postgres_url.rpartition("/")[0] + "/sluice"
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetch(query)
        finally:
            await connection.close()

    async def _lags(self, group: str | None = None) -> list[Lag]:
        """What a group has to do, or all groups; nothing of what is no group."""
        found = [topic for topic in TOPICS if group is None or topic.group == group]
        if not any(topic.group for topic in found):
            return []
        clients = KafkaClients(self.stack.kafka_bootstrap)
        return await Lags(clients=clients, clock=SystemClock()).of(found)

    async def behind(self) -> int:
        """Records that any group has to do; Kafka answers."""
        return sum(lag.lag for lag in await self._lags())

    async def recover(self, death: Death, away_s: float) -> None:
        """Bring one back, and wait until it does its work.

        Raises:
            NotRecovered: it does not.
        """
        try:
            async with asyncio.timeout(RECOVERS_WITHIN_S):
                if death.victim in PARTS:
                    await sleep(away_s)
                    await asyncio.to_thread(self._part(death.victim).start)
                else:
                    await self._revive(death.victim)
                death.ready_s = time.monotonic() - death.at
                self.down.discard(death.victim)
                await self._all_ready()
                await self._caught_up(death)
        except TimeoutError:
            raise NotRecovered(f"{death.victim}: {await self._why()}") from None

    async def _revive(self, name: str) -> None:
        """As a supervisor: start it until it is ready."""
        while True:
            process = self._spawned(name)
            try:
                await ready(process, READY_WITHIN_S)
            except NotReady:
                if process.popen.poll() is None:
                    raise
                await sleep(0.5)
            else:
                return

    def _spawned(self, name: str) -> Process:
        match name:
            case "gateway" | "timed":
                return self.sluice.spawn(name, "producers", name)
            case "checkpointer":
                every = f"--every-s={CHECKPOINT_EVERY_S}"
                return self.sluice.spawn(name, "producers", name, every)
            case _:
                return self.sluice.spawn(name, "consumers", name)

    def _part(self, name: str) -> Part:
        return self.stack.kafka if name == "kafka" else self.stack.postgres

    async def _all_ready(self) -> None:
        """Everything that is not down itself says that it is ready."""
        for name in [*self.sluice.processes]:
            while name not in self.down:
                try:
                    await ready(self.sluice.processes[name], RECOVERS_WITHIN_S)
                except NotReady:
                    if name not in self.down:
                        raise
                break

    async def _caught_up(self, death: Death) -> None:
        wanted = {} if death.victim in DELAYING else death.ends
        while wanted:
            try:
                lags = await self._lags(death.victim)
            except RetryableError:
                await sleep(0.5)
                continue
            done = {(lag.topic, lag.partition): lag.committed or 0 for lag in lags}
            wanted = {at: end for at, end in wanted.items() if done[at] < end}
            await sleep(0.1)

    async def _why(self) -> str:
        """Which processes ended, which are not ready, and who is behind."""
        ended = sorted(self.ended())
        unready = await asyncio.to_thread(self._unready)
        try:
            behind = {lag.group: lag.lag for lag in await self._lags() if lag.lag}
        except RetryableError:
            return f"Kafka is away; {ended=}, {unready=}"
        said = f"not back at work in {RECOVERS_WITHIN_S} s"
        return f"{said}; {ended=}, {unready=}, {behind=}"

    def _unready(self) -> dict[str, str]:
        """What each process says that is not ready."""
        found = {}
        for name, process in self.sluice.processes.items():
            try:
                with urlopen(process.health + "/readyz", timeout=5):
                    continue
            except HTTPError as refused:
                found[name] = refused.read().decode()
            except OSError as away:
                found[name] = type(away).__name__
        return found

    def ended(self) -> set[str]:
        """Processes that ended though nobody killed them."""
        processes = self.sluice.processes.items()
        return {name for name, p in processes if p.popen.poll() is not None} - self.down
