"""kill -9 of the appender, and of Postgres, at each step of an append.

Postgres waits for the disk here (fsync on). Each life reads again from where the last
acknowledgement was, as a consumer does whose offset was not committed: so the batch
that was in flight comes again, whether or not it was stored.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from demo import stack as local
from demo.stack import Stack
from demo.stack.postgres import Postgres
from pipeline.passes import full_pass
from tests.support.appender import batch
from tests.support.ledger import Books, Database, database, new_tenant, opened
from tests.support.stopped import IN_FLIGHT, STEPS, TOPIC

pytestmark = [pytest.mark.integration, pytest.mark.long]

TENANTS = [new_tenant() for _ in range(2)]
ROOT = Path(__file__).parents[2]
ROUNDS = 2
LIVES = [
    (step, victim)
    for _ in range(ROUNDS)
    for step in STEPS
    for victim in ("appender", "postgres")
]
OFFSET = "select next_offset from sluice.ledger_source where topic = $1"


@pytest.fixture(scope="module")
def durable() -> Iterator[Stack]:
    with local.temporary(durable=True) as running:
        yield running


@pytest.fixture(scope="module")
def made(durable: Stack) -> Iterator[Database]:
    with database(durable.postgres_url) as made:
        yield made


def live(made: Database, durable: Stack, first: int, step: str, victim: str) -> None:
    """One life: batch ``first`` is acknowledged, the next one is not."""
    command = [sys.executable, "-m", "tests.support.stopped", made.worker]
    with subprocess.Popen(
        [*command, ",".join(TENANTS), str(first), step],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert "acknowledged\n" == process.stdout.readline()
        assert "stopped\n" == process.stdout.readline()
        if victim == "postgres":
            assert isinstance(durable.postgres, Postgres)
            durable.postgres.kill()
            durable.postgres.start()
        process.kill()


async def stored(made: Database, books: Books) -> tuple[int, int]:
    """How many batches are on the logs, whole, in order and once; the offset beside."""
    counts = set()
    for tenant in TENANTS:
        report = await full_pass(books.logs, tenant, [])
        assert report is not None
        assert report.broken is None
        entries = await books.logs.read(tenant, 1, report.size)
        ids = [each.event_id for each in entries]
        each_batch = len(batch([tenant], 0, 0))
        count, rest = divmod(len(ids), each_batch)
        assert 0 == rest
        assert ids == [
            event.attributes.id
            for number in range(count)
            for event in batch([tenant], 0, number)
        ]
        counts.add(count)
    (count,) = counts
    connection = await asyncpg.connect(made.admin)
    offset: int = await connection.fetchval(OFFSET, TOPIC)
    await connection.close()
    return count, offset


async def test_each_step_survives_the_death_of_either(
    made: Database, durable: Stack
) -> None:
    for first, (step, victim) in enumerate(LIVES):
        live(made, durable, first, step, victim)

        async with opened(made) as books:
            count, offset = await stored(made, books)

        # Batches are counted from 0: this one, and the next where it was committed.
        may = {"committed": {first + 2}, IN_FLIGHT: {first + 1, first + 2}}
        assert count in may.get(step, {first + 1}), (step, victim)
        assert count - 1 == offset
