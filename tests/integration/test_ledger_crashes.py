"""kill -9 of the appender and of Postgres, anywhere: what was acknowledged is there.

Postgres waits for the disk here (fsync on). A kill a random moment after some batch was
acknowledged, in a loop that does nothing but append, meets every step in its share of
time; a batch takes milliseconds, on a busy machine tens of them.
"""

import random  # noqa: TID251 - moments at which to kill
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import sleep

import pytest

from demo import stack as local
from demo.stack import Stack
from demo.stack.postgres import Postgres
from pipeline.audit import empty
from pipeline.verification import Verified, verify
from schemas.ids import EventId, TenantId
from tests.support.appender import batch
from tests.support.ledger import Database, database, new_tenant, opened

pytestmark = [pytest.mark.integration, pytest.mark.long]

LIVES = 50
SERVER_KILLS = frozenset(range(4, LIVES, 10))
TENANTS = [new_tenant() for _ in range(3)]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def durable() -> Iterator[Stack]:
    with local.temporary(durable=True) as running:
        yield running


@pytest.fixture(scope="module")
def made(durable: Stack) -> Iterator[Database]:
    with database(durable.postgres_url) as made:
        yield made


def live(
    made: Database, durable: Stack, life: int, batches: int, after_s: float
) -> int:
    """One life of the appender; how many batches were acknowledged in it.

    It ends ``after_s`` behind the acknowledgement of so many batches.
    """
    command = [sys.executable, "-m", "tests.support.appender", made.worker]
    with subprocess.Popen(
        [*command, ",".join(TENANTS), str(life)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()
        for number in range(batches):
            assert f"{number}\n" == process.stdout.readline()
        sleep(after_s)
        if life in SERVER_KILLS:
            assert isinstance(durable.postgres, Postgres)
            durable.postgres.kill()
            process.wait(timeout=30)
            durable.postgres.start()
        process.kill()
        return batches + len(process.stdout.read().split())


async def test_acknowledged_is_stored_once_and_without_a_gap(
    made: Database, durable: Stack
) -> None:
    moments = random.Random(7)  # noqa: S311 - moments at which to kill
    acknowledged = {
        life: live(
            made, durable, life, moments.randrange(4), moments.uniform(0.0, 0.02)
        )
        for life in range(LIVES)
    }

    assert sum(acknowledged.values()) > LIVES
    async with opened(made) as books:
        for tenant in TENANTS:
            head = await books.logs.head(tenant)
            assert head is not None
            entries = await books.logs.read(tenant, 0, head.size + 1)
            found = verify(empty(head.origin), entries, head.last)
            assert isinstance(found, Verified)
            assert head == found.head
            ids = [each.event_id for each in entries[1:]]
            assert len(ids) == len(set(ids))
            assert wanted(tenant, acknowledged) <= set(ids)
            # A batch is there whole or not at all: nothing beyond the one in flight.
            assert len(ids) % 20 == 0
            assert len(ids) // 20 <= sum(acknowledged.values()) + LIVES


def wanted(tenant: TenantId, acknowledged: dict[int, int]) -> set[EventId]:
    return {
        event.attributes.id
        for life, batches in acknowledged.items()
        for number in range(batches)
        for event in batch([tenant], life, number)
    }
