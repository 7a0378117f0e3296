"""The composition roots themselves, with twins where they name adapters.

Nothing of the wiring is written again: ``consumers.app.run``, the gateway of
``producers.app`` and the timed workers of ``producers.workers`` run as in production.
Only the names of adapters lead to the world's twins while a seed runs.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import cache
from math import inf
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from joserfc.jwk import ECKey
from prometheus_client import CollectorRegistry

import consumers.app
import consumers.delivery.serving
import infra.kafka.inbox
import infra.resources
import pipeline.redaction
import pipeline.screening
import producers.app
import producers.gateway.readiness
import producers.process
import producers.signing
import producers.workers
from infra.log import Word
from infra.metrics import Metrics
from infra.postgres.gauges import Counted
from infra.recipes import load_recipe
from infra.settings import (
    DatabaseSettings,
    GatewaySettings,
    HealthSettings,
    KeysSettings,
    LedgerSettings,
    Settings,
)
from pipeline.detection.engine import MAX_FINDINGS as MAX
from pipeline.detection.engine import Inspection, Recipe, inspect
from pipeline.errors import RetryableError
from pipeline.receipts import key_set, verified
from producers.timed import Timed
from schemas.retention import Receipt
from tests.simulation.broker import SimAdmin
from tests.simulation.loop import OWNER
from tests.simulation.signing import SimSigner, verifiers

if TYPE_CHECKING:
    from tests.simulation.world import World

ROUND_S = 3.0
"""Timed workers' rounds are no closer."""
HOUR_S = 20.0
"""As long as an hour, for who makes keys and rows go."""


def seen(
    text: str, _: Recipe, *, regions: Sequence[str] = (), most: int = MAX, **__: Any
) -> Inspection:
    """What a text holds: every seed has the same few."""
    return _seen(text, tuple(regions), most)


@cache
def _seen(text: str, regions: Sequence[str], most: int) -> Inspection:
    return inspect(text, RECIPE, regions=regions, most=most)


def paced(*, name: Word, every_s: float, **timed: Any) -> Timed:
    """A timed worker, that takes its time, and does not wait for an hour."""
    most = HOUR_S if name in {"expiry", "expired_rows"} else inf
    return Timed(name=name, every_s=min(max(every_s, ROUND_S), most), **timed)


RECIPE = load_recipe()
PACES = (
    (
        consumers.delivery.serving,
        {
            "LOOK_EVERY_S": 40.0,
            "TURN_EVERY_S": 20.0,
            "TURNS_WITHIN_S": 30.0,
            "COMMIT_EVERY_S": 1.0,
        },
    ),
    (producers.gateway.readiness, {"LOOK_EVERY_S": 10.0}),
    (producers.workers, {"Timed": paced}),
)
"""What looks often for the sake of speed looks more seldom: time costs nothing here,
and each look does."""
RECEIPT_KEY = ECKey.generate_key("P-256")
RECEIPT_KEYS = key_set([RECEIPT_KEY])
NOWHERE = Path("/nonexistent")
PRODUCING = (producers.app, producers.process, producers.workers)


@cache
def settings(name: str, reply_partition: int = 0) -> Settings:
    """Settings of one process; its port's host is its name."""
    return Settings(
        database=DatabaseSettings(url="db", keystore_url="keys"),
        keys=KeysSettings(directory=NOWHERE, root=NOWHERE, own=NOWHERE),
        gateway=GatewaySettings(host=name, reply_partition=reply_partition),
        health=HealthSettings(host=name),
        ledger=LedgerSettings(signer_directory=NOWHERE),
    )


@cache
def metrics() -> Metrics:
    """One set for all: nothing is read of them here."""
    return Metrics(CollectorRegistry())


@contextmanager
def on_twins(world: "World") -> Iterator[None]:
    """The roots' names of adapters lead into this world."""
    with (
        _paced(),
        _replaced((infra.resources,), _resources()),
        _replaced((pipeline.redaction, pipeline.screening), {"inspect": seen}),
        _replaced((infra.kafka.inbox,), {"AIOKafkaAdminClient": _admin(world)}),
        _replaced((consumers.app, *PRODUCING), _common(world)),
        _replaced((consumers.app,), _consuming(world)),
        _replaced(PRODUCING, _producing(world)),
        _replaced((producers.signing,), _signing(world)),
    ):
        yield


@contextmanager
def _paced() -> Iterator[None]:
    with ExitStack() as stack:
        for module, names in PACES:
            stack.enter_context(_replaced((module,), names))
        yield


def _admin(world: "World") -> Callable[..., SimAdmin]:
    return lambda **_: SimAdmin(world)


def _resources() -> dict[str, Any]:
    return {
        "PostgresRequests": lambda pool: pool.requests,
        "KekSecrets": lambda keks, **_: keks,
        "PostgresSubjects": lambda pool, **_: pool.subjects,
    }


def _common(world: "World") -> dict[str, Any]:
    @asynccontextmanager
    async def open_resources(found: Settings, name: str) -> AsyncIterator[Any]:
        async def connect() -> None:
            """A round trip, which may fail."""

        await world.network.call(f"connect {name}", connect)
        yield world.opened(found, name)

    @asynccontextmanager
    async def serving(app: Any, host: str, port: int) -> AsyncIterator[None]:
        world.ports[host] = OWNER.get(), app
        try:
            yield
        finally:
            await world.clock.sleep(0.1)
            world.ports.pop(host, None)

    async def keeper_pool(_: Any, __: Settings) -> Any:
        return world.database

    return {
        "open_resources": open_resources,
        "serving": serving,
        "PostgresCredentials": lambda pool, _: pool.credentials,
        "PostgresLedger": lambda pool, **_: pool.ledger,
        "PostgresRequests": lambda pool: pool.requests,
        "PostgresPurges": lambda pool: pool.purges,
        "PostgresDeliveries": lambda pool: pool.webhooks,
        "PostgresEndpoints": lambda pool, **_: pool.webhooks,
        "PostgresProviderCalls": lambda pool: pool.calls,
        "PostgresKeyKeeper": lambda pool, **_: pool.keeper,
        "KekSecrets": lambda keks, **_: keks,
        "webhook_sender": lambda *_: world.subscriber,
        "keeper_pool": keeper_pool,
    }


def _consuming(world: "World") -> dict[str, Any]:
    async def last_releases(_: Any) -> Mapping[str, int]:
        return {}

    return {
        "last_releases": last_releases,
        "OpenAIProviders": lambda *_: world.providers,
        "load_recipe": lambda: RECIPE,
        "receipt_key": lambda _: RECEIPT_KEY,
    }


def _producing(world: "World") -> dict[str, Any]:
    async def answers(_: Any) -> bool:
        async def nothing() -> None:
            """A round trip, which may fail."""

        try:
            await world.network.call("ping", nothing)
        except RetryableError:
            return False
        return True

    async def count(_: Any) -> Counted:
        async def counted() -> Counted:
            kept = len(world.outbox.rows)
            return Counted(events=kept, oldest_s=0.0, logs=1, records=1)

        found: Counted = await world.network.call("gauges", counted)
        return found

    async def stated(_: Path, tokens: Sequence[str]) -> Sequence[Receipt | None]:
        return [verified(token, RECEIPT_KEYS) for token in tokens]

    return {
        "answers": answers,
        "stated": stated,
        "count": count,
        "PostgresLogs": lambda pool, **_: pool.ledger,
        "PostgresSweep": lambda pool: pool.requests,
        "PostgresExpired": lambda pool: pool.expired,
        "PostgresKeyPartitions": lambda pool: pool.partitions,
    }


def _signing(world: "World") -> dict[str, Any]:
    @asynccontextmanager
    async def pool() -> AsyncIterator[Any]:
        yield world.database

    async def open_pool(*_: Any, **__: Any) -> Any:
        return pool()

    async def nothing(*_: Any) -> None:
        """Each login is safe here, and each database of this version."""

    return {
        "open_pool": open_pool,
        "refuse_unsafe": nothing,
        "refuse_behind": nothing,
        "SystemClock": lambda: world.clock,
        "SystemEntropy": lambda: world.entropy,
        "Log": world.logger,
        "Metrics": lambda _: metrics(),
        "PostgresLedger": lambda pool, **_: pool.ledger,
        "PostgresLogs": lambda pool, **_: pool.ledger,
        "PostgresAnchors": lambda pool, **_: pool.anchors,
        "FileSigner": lambda *_: SimSigner(),
        "FileState": lambda _: world.database.state,
        "public_keys": lambda _: SimpleNamespace(named=verifiers),
    }


@contextmanager
def _replaced(
    modules: Sequence[ModuleType], names: Mapping[str, Any]
) -> Iterator[None]:
    """Names of adapters lead to twins.

    Raises:
        LookupError: no module knows a name: it would lead to the adapter itself.
    """
    before = [
        (module, name, getattr(module, name))
        for module in modules
        for name in names
        if hasattr(module, name)
    ]
    if unknown := names.keys() - {name for _, name, _ in before}:
        raise LookupError(f"the roots know no {sorted(unknown)}")
    for module, name, _ in before:
        setattr(module, name, names[name])
    try:
        yield
    finally:
        for module, name, adapter in before:
            setattr(module, name, adapter)
