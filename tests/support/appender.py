"""A process that appends until it is killed, and says what was acknowledged.

``python -m tests.support.appender DSN TENANT[,TENANT] ROUND``: a line "ready", then the
number of each acknowledged batch.
"""

import asyncio
import sys
from itertools import count

import asyncpg

from infra.postgres.ledger import PostgresLedger
from infra.system import SystemEntropy
from pipeline.audit import Recorded
from pipeline.errors import RetryableError
from pipeline.ports.ledger import SourceOffsets
from schemas.ids import TenantId
from tests.support.audit import recorded

TOPIC = "crash"
PER_BATCH = 20


def batch(tenants: list[TenantId], life: int, number: int) -> list[Recorded]:
    """Batch ``number`` of a life, over all tenants."""
    return [
        recorded(f"{life}/{number}/{each}", tenant=tenant)
        for each in range(PER_BATCH)
        for tenant in tenants
    ]


async def main(dsn: str, tenants: list[TenantId], life: int) -> None:
    """Append, acknowledge, go on."""
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
        ledger = PostgresLedger(
            pool=pool, domain="crash.example", entropy=SystemEntropy(), deadline_s=5
        )
        say("ready")
        for number in count():
            events = batch(tenants, life, number)
            await ledger.append(events, SourceOffsets(TOPIC, {0: number + 1}))
            say(str(number))


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        asyncio.run(
            main(
                sys.argv[1],
                [TenantId(t) for t in sys.argv[2].split(",")],
                int(sys.argv[3]),
            )
        )
    except RetryableError:
        sys.exit(3)
