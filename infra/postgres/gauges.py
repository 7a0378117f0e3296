"""What is counted over all tenants: rows alone, by who may find them."""

from dataclasses import dataclass
from typing import Final

import asyncpg

from infra.postgres.logs import AS_FINDER, waiting

COUNT: Final = """
select o.events, o.oldest_s, l.logs, l.records
  from (select count(created_at) as events,
               coalesce(extract(epoch from now() - min(created_at)), 0) as oldest_s
          from sluice.outbox) o,
       (select count(size) as logs, coalesce(sum(size), 0) as records
          from sluice.ledger_head) l
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Of all tenants together.

    Attributes:
        events: in the outbox; ``oldest_s``: how long the oldest has been there.
        records: on all logs.
    """

    events: int
    oldest_s: float
    logs: int
    records: int


async def count(pool: asyncpg.Pool) -> Counted:
    """Count now.

    Raises:
        RetryableError: Postgres is away.
    """
    with waiting():
        async with pool.acquire() as connection, connection.transaction(readonly=True):
            await connection.execute(AS_FINDER)
            (row,) = await connection.fetch(COUNT)
    return Counted(
        events=row["events"],
        oldest_s=float(row["oldest_s"]),
        logs=row["logs"],
        records=int(row["records"]),
    )
