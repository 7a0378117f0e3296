"""The composition roots themselves, with twins where they name adapters.

Nothing of the wiring is written again: ``consumers.app.run``, ``producers.app``'s
gateway and timed workers run as in production. Only the names of adapters lead to the
world's twins while a seed runs.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from joserfc.jwk import ECKey

import consumers.app
import infra.resources
import producers.app
from infra.recipes import load_recipe
from infra.settings import (
    DatabaseSettings,
    GatewaySettings,
    HealthSettings,
    KeysSettings,
    Settings,
)
from tests.simulation.loop import OWNER

if TYPE_CHECKING:
    from tests.simulation.world import World

RECIPE = load_recipe()
RECEIPT_KEY = ECKey.generate_key("P-256")
NOWHERE = Path("/nonexistent")


@cache
def settings(name: str, reply_partition: int = 0) -> Settings:
    """Settings of one process; its port's host is its name."""
    return Settings(
        database=DatabaseSettings(url="db", keystore_url="keys"),
        keys=KeysSettings(directory=NOWHERE, root=NOWHERE, own=NOWHERE),
        gateway=GatewaySettings(host=name, reply_partition=reply_partition),
        health=HealthSettings(host=name),
    )


@contextmanager
def on_twins(world: "World") -> Iterator[None]:
    """The roots' names of adapters lead into this world."""
    with (
        _replaced(infra.resources, _resources()),
        _replaced(consumers.app, {**_common(world), **_consuming(world)}),
        _replaced(producers.app, {**_common(world), **_producing()}),
    ):
        yield


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
        "HttpSender": lambda *_: world.subscriber,
        "keeper_pool": keeper_pool,
    }


def _consuming(world: "World") -> dict[str, Any]:
    return {
        "OpenAIProviders": lambda _: world.providers,
        "load_recipe": lambda: RECIPE,
        "receipt_key": lambda _: RECEIPT_KEY,
    }


def _producing() -> dict[str, Any]:
    return {
        "PostgresLogs": lambda pool, **_: pool.ledger,
        "PostgresSweep": lambda pool: pool.requests,
        "PostgresKeyPartitions": lambda pool: pool.partitions,
    }


@contextmanager
def _replaced(module: ModuleType, names: dict[str, Any]) -> Iterator[None]:
    before = {name: getattr(module, name) for name in names if hasattr(module, name)}
    for name in before:
        setattr(module, name, names[name])
    try:
        yield
    finally:
        for name, adapter in before.items():
            setattr(module, name, adapter)
