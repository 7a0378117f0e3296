"""Brake and halt on the real broker, and an operator who releases them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import asyncpg
import pytest

from consumers.delivery import ordered
from demo.stack import Stack
from infra.kafka import topics
from infra.postgres.admin import Admin
from infra.postgres.pool import open_pool
from infra.postgres.releases import last_releases
from infra.system import SystemClock, SystemEntropy
from pipeline.errors import IntegrityError, InvalidMessage
from schemas.audit import AuditRecorded
from schemas.events import Event
from schemas.ids import Actor
from schemas.topics import TOPICS, Outgoing, Topic
from tests.support.installation import Installation
from tests.support.kafka import (
    Running,
    delivering,
    everything,
    finished,
    new_topic,
    put,
    until,
)

pytestmark = pytest.mark.integration

Handle = Callable[[Event[AuditRecorded], Any], Awaitable[Sequence[Outgoing[Any]]]]
NAMES = [f"n{at}" for at in range(30)]


@pytest.fixture
async def worker(installation: Installation) -> AsyncIterator[asyncpg.Pool]:
    async with await open_pool(installation.urls["sluice_worker"], size=1) as pool:
        yield pool


@pytest.fixture
async def admin(installation: Installation) -> AsyncIterator[Admin]:
    async with await open_pool(installation.urls["sluice_operator"], size=1) as pool:
        yield Admin(
            pool=pool,
            keeper=None,  # type: ignore[arg-type]  # no tenant is made here
            subjects=None,  # type: ignore[arg-type]  # nobody is named here
            clock=SystemClock(),
            entropy=SystemEntropy(),
            actor=Actor("user:test"),
        )


@pytest.fixture
async def source(stack: Stack) -> Topic[AuditRecorded]:
    await topics.create(stack.kafka_bootstrap, replication=1, topics=TOPICS)
    return await new_topic(stack.kafka_bootstrap, "source", partitions=1)


def failing(error: Exception, mended: list[bool]) -> Handle:
    """Raises until somebody mends it."""

    async def handle(_: Event[AuditRecorded], __: Any) -> Sequence[Outgoing[Any]]:
        if not mended:
            raise error
        return ()

    return handle


async def looked(running: Running) -> None:
    """Once it knows which releases are older than itself."""
    await until(lambda: running.delivery._heeded is not None)


async def test_a_held_group_goes_on_when_an_operator_releases_it(
    stack: Stack, source: Topic[AuditRecorded], admin: Admin, worker: asyncpg.Pool
) -> None:
    kafka, group, mended = stack.kafka_bootstrap, str(source.group), list[bool]()
    await admin.release(group)
    await put(kafka, source, *NAMES)
    subscription = ordered(source, failing(InvalidMessage("bad", "here"), mended))
    releases = partial(last_releases, worker)
    async with delivering(kafka, subscription, releases=releases) as running:
        await until(lambda: f"{group}:held" in running.delivery.reasons())
        await looked(running)
        mended.append(True)
        stood = await finished(kafka, source), running.delivery.reasons()
        await admin.release(group)
        await until(lambda: finished(kafka, source))
        ready = running.delivery.ready()

    assert (False, [f"{group}:held"]) == stood
    assert ready
    assert 20 == len(await everything(kafka, str(source.dead)))


async def test_a_halted_partition_goes_on_and_another_groups_release_is_not_heeded(
    stack: Stack, source: Topic[AuditRecorded], admin: Admin, worker: asyncpg.Pool
) -> None:
    kafka, group, mended = stack.kafka_bootstrap, str(source.group), list[bool]()
    await put(kafka, source, *NAMES)
    subscription = ordered(source, failing(IntegrityError("broken"), mended))
    releases = partial(last_releases, worker)
    async with delivering(kafka, subscription, releases=releases) as running:
        await until(lambda: f"{group}:halted" in running.delivery.reasons())
        await looked(running)
        before = running.delivery._heeded
        mended.append(True)
        await admin.release("screening")
        await until(lambda: running.delivery._heeded != before)
        stood = await finished(kafka, source), running.delivery.reasons()
        await admin.release(group)
        await until(lambda: finished(kafka, source))

    assert (False, [f"{group}:halted"]) == stood
    assert [] == await everything(kafka, str(source.dead))


@pytest.mark.parametrize(
    "login", ["sluice_worker", "sluice_gateway", "sluice_checkpointer"]
)
async def test_only_the_operator_releases(
    installation: Installation, login: str
) -> None:
    async with await open_pool(installation.urls[login], size=1) as pool:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(
                "insert into sluice.delivery_release (consumer_group) values ('audit')"
            )
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute("delete from sluice.delivery_release")
