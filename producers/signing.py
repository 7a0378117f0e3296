"""The composition root of the checkpointer: whoever signs, anchors and looks again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
from prometheus_client import CollectorRegistry

from infra.anchors.opened import stampers, vaults, witnesses
from infra.families import CHECKPOINT_AGE, INCIDENTS, LOGS_BROKEN
from infra.log import Log, Word
from infra.metrics import Metrics
from infra.postgres.anchors import PostgresAnchors
from infra.postgres.ledger import PostgresLedger
from infra.postgres.logs import PostgresLogs
from infra.postgres.pool import open_pool, refuse_volatile
from infra.postgres.roles import MAIN, refuse_behind, refuse_unsafe
from infra.settings import Settings, variable
from infra.signer.ed25519 import FileSigner, public_keys
from infra.signer.state import STATE, FileState
from infra.system import SystemClock, SystemEntropy
from pipeline.errors import Misconfigured
from producers.anchoring import Anchoring
from producers.checkpointer import Checkpointer
from producers.fullpass import FullPass
from producers.process import looping, stopping
from producers.timed import Loop, Timed

ROLE: Final = "sluice_ledger_signer"
CHECKPOINT_EVERY_S: Final = 300.0
PASS_EVERY_S: Final = 72_000.0
"""With the loop's spread at most 24 hours."""
DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class _Process:
    """What the workers of this process share."""

    settings: Settings
    folder: Path
    pool: asyncpg.Pool
    copies: PostgresLogs | None
    clock: SystemClock
    entropy: SystemEntropy
    log: Log
    metrics: Metrics

    @property
    def ledger(self) -> PostgresLedger:
        domain = self.settings.ledger.domain
        return PostgresLedger(pool=self.pool, domain=domain, entropy=self.entropy)

    @property
    def logs(self) -> PostgresLogs:
        return PostgresLogs(pool=self.pool, role=ROLE)

    def alarm(self, count: int) -> None:
        self.metrics.of(INCIDENTS).alone.inc(count)
        self.log.error("ledger_incident", incidents=count)

    def loop(self, timed: Timed) -> Loop:
        return Loop(timed=timed, clock=self.clock, entropy=self.entropy, log=self.log)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[_Process]:
    """What the workers share.

    Raises:
        Misconfigured: there is no signer's folder, or the database is not as it must
            be.
        Behind: it lacks migrations.
    """
    folder = settings.ledger.signer_directory
    if folder is None:
        name = variable(("ledger", "signer_directory"))
        raise Misconfigured(f"{name}: expected the signer's folder")
    log, metrics = Log("checkpointer"), Metrics(CollectorRegistry())
    url = settings.database.url.get_secret_value()
    name = variable(("database", "url"))
    async with await open_pool(url, size=4, name=name) as pool:
        await refuse_unsafe(pool)
        await refuse_behind(pool, MAIN)
        if settings.database.durable:
            await refuse_volatile(pool)
        async with _standby(settings) as copies:
            clock, entropy = SystemClock(), SystemEntropy()
            yield _Process(settings, folder, pool, copies, clock, entropy, log, metrics)


@asynccontextmanager
async def _standby(settings: Settings) -> AsyncIterator[PostgresLogs | None]:
    """Where the full pass reads, if that is not the main database."""
    url = settings.ledger.pass_url
    if url is None:
        yield None
        return
    name = variable(("ledger", "pass_url"))
    async with await open_pool(url.get_secret_value(), size=1, name=name) as pool:
        await refuse_unsafe(pool)
        yield PostgresLogs(pool=pool, role=ROLE)


async def run_checkpointer(settings: Settings, every_s: float) -> None:
    """Sign the logs: a process, a login and a key of its own."""
    stop = stopping()
    async with _opened(settings) as process:
        made = (
            _checkpointing(process, every_s),
            _anchoring(process, every_s),
            _passing(process),
        )
        loops = [process.loop(each) for each in made]
        metrics = process.metrics
        metrics.of(CHECKPOINT_AGE).alone.set_function(lambda: loops[0].idle_s)
        async with looping(settings, loops, metrics) as port:
            process.log.info("started", port=port)
            await stop.wait()


async def sign_once(settings: Settings) -> None:
    """Sign what grew, now; safe beside a checkpointer that runs.

    Raises:
        IntegrityError: a log was refused; all others were signed.
    """
    async with _opened(settings) as process:
        await _checkpointer(process).round()


def _checkpointer(process: _Process) -> Checkpointer:
    return Checkpointer(
        ledger=process.ledger,
        logs=process.logs,
        signer=FileSigner(process.folder, process.clock),
        state=FileState(process.folder / STATE),
        clock=process.clock,
        log=process.log,
    )


def _checkpointing(process: _Process, every_s: float) -> Timed:
    return Timed(
        name=Word("checkpointer"),
        job=_checkpointer(process).round,
        every_s=every_s,
        alive_within_s=3 * every_s,
    )


def _anchoring(process: _Process, every_s: float) -> Timed:
    """Without anybody named it has nobody to ask, and each round ends well."""
    ledger = process.settings.ledger
    worker = Anchoring(
        logs=process.logs,
        anchors=PostgresAnchors(pool=process.pool, role=ROLE),
        clock=process.clock,
        log=process.log,
        stampers=stampers(ledger),
        witnesses=witnesses(ledger),
        vaults=vaults(ledger, process.clock),
    )
    return Timed(
        name=Word("anchoring"),
        job=worker.round,
        every_s=every_s,
        alive_within_s=3600 + 3 * every_s,
    )


def _passing(process: _Process) -> Timed:
    # There at 0 before it counts: an alert on growth sees none that appears at 1.
    process.metrics.of(INCIDENTS)
    worker = FullPass(
        logs=process.logs,
        ledger=process.ledger,
        keys=lambda origin: public_keys(process.folder).named(origin),
        state=FileState(process.folder / STATE),
        clock=process.clock,
        log=process.log,
        tell=process.metrics.of(LOGS_BROKEN).alone.set,
        alarm=process.alarm,
        standby=process.copies,
    )
    return Timed(
        name=Word("full_pass"),
        job=worker.round,
        every_s=PASS_EVERY_S,
        alive_within_s=2 * DAY_S,
    )
