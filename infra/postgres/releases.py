"""Which consumer groups operators released: one row each time."""

from collections.abc import Mapping
from typing import Final

import asyncpg

from infra.postgres.logs import waiting

LAST: Final = """
select consumer_group, max(id) as last from sluice.delivery_release group by 1
"""


async def last_releases(pool: asyncpg.Pool) -> Mapping[str, int]:
    """The newest release of each group that ever had one; numbers only grow.

    Raises:
        RetryableError: Postgres is away.
    """
    with waiting():
        rows = await pool.fetch(LAST)
    return {row["consumer_group"]: row["last"] for row in rows}
