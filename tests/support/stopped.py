"""An appender that stops at a named step, and waits there to be killed.

``python -m tests.support.stopped DSN TENANT[,TENANT] FIRST STEP``: appends batch FIRST,
says "acknowledged", goes on to the next one, says "stopped" at STEP, and waits.
"""

import asyncio
import sys
from typing import Any, Final

import asyncpg
from typing_extensions import override

from infra.postgres.ledger import APPEND, BEGIN, OPEN, SOURCE, PostgresLedger
from infra.system import SystemEntropy
from pipeline.ports.ledger import SourceOffsets
from schemas.ids import TenantId
from tests.support.appender import batch

TOPIC: Final = "stopped"
COMMIT: Final = "commit"
BEHIND: Final = {
    "begin": BEGIN,
    "open": OPEN,
    "append": APPEND,
    "source": SOURCE,
    "committed": COMMIT,
}
"""The statement behind which it stops; "committed": nobody was told yet."""
IN_FLIGHT: Final = "committing"
"""The commit was sent, and its outcome is open."""
STEPS: Final = (*BEHIND, IN_FLIGHT)


class Stops(asyncpg.Connection):
    """A connection that goes no further than ``step``, once that is set."""

    step: str | None = None

    @override
    async def execute(self, query: str, *args: Any, **options: Any) -> str:
        if self.step == IN_FLIGHT and query == COMMIT:
            sent = asyncio.ensure_future(super().execute(query, *args, **options))
            await asyncio.sleep(0)  # noqa: TID251 - it is sent, and not answered
            await stopped()
            return await sent
        done = await super().execute(query, *args, **options)
        await self.behind(query)
        return done

    @override
    async def fetch(self, query: str, *args: Any, **options: Any) -> list[Any]:
        rows: list[Any] = await super().fetch(query, *args, **options)
        await self.behind(query)
        return rows

    async def behind(self, query: str) -> None:
        if self.step is not None and BEHIND.get(self.step) == query:
            await stopped()


async def stopped() -> None:
    """Say so, and wait for the end."""
    say("stopped")
    await asyncio.Event().wait()


async def main(dsn: str, tenants: list[TenantId], first: int, step: str) -> None:
    """Append one batch, and the next one up to ``step``."""
    async with asyncpg.create_pool(
        dsn, min_size=1, max_size=1, connection_class=Stops
    ) as pool:
        ledger = PostgresLedger(
            pool=pool, domain="crash.example", entropy=SystemEntropy(), deadline_s=60
        )
        await ledger.append(batch(tenants, 0, first), SourceOffsets(TOPIC, {0: first}))
        say("acknowledged")
        Stops.step = step
        events = batch(tenants, 0, first + 1)
        await ledger.append(events, SourceOffsets(TOPIC, {0: first + 1}))


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(
        main(
            sys.argv[1],
            [TenantId(each) for each in sys.argv[2].split(",")],
            int(sys.argv[3]),
            sys.argv[4],
        )
    )
