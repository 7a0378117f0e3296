"""The outbox's table behind a connection: what ``infra/postgres/outbox.py`` asks of it.

No port lies in between, so the worker's own statements run here, with transactions:
what is taken is locked, what is dropped is gone at the commit, and a connection that
breaks, or whose process died, is rolled back. It keeps the contract that Postgres keeps
(``tests/contract/test_outbox.py``).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

import orjson

from infra.postgres.outbox import DROP, DUE, TAKE
from schemas.topics import Outgoing
from tests.simulation.loop import Owner

Act = Callable[[], Coroutine[Any, Any, Any]]
Ask = Callable[[str, Act], Awaitable[Any]]
"""Has an act done at the other end of the network."""


@dataclass(slots=True, eq=False)
class Row:
    """One event that is to be published."""

    tenant: str
    values: dict[str, Any]
    holder: "Connection | None" = None


@dataclass(slots=True)
class Table:
    """The rows, oldest first."""

    rows: list[Row] = field(default_factory=list)

    def put(self, outgoing: Outgoing[Any]) -> None:
        """Keep an event, once, as a transaction that tells of something does."""
        event = outgoing.event
        headers = {name: value.decode() for name, value in event.attributes.headers()}
        values = {
            "event_id": UUID(event.attributes.id),
            "topic": outgoing.topic.name,
            "headers": orjson.dumps(headers),
            "value": event.data.model_dump_json(exclude_none=True).encode(),
        }
        if all(row.values["event_id"] != values["event_id"] for row in self.rows):
            self.rows.append(Row(event.attributes.tenant, values))


class Connection:
    """One session: the row locks that it holds, and what it will drop."""

    def __init__(self, table: Table, ask: Ask, owner: Owner) -> None:
        self._table = table
        self._ask = ask
        self._tenant = ""
        self._dropped: list[UUID] = []
        self.owner = owner

    @asynccontextmanager
    async def transaction(self, **_: Any) -> AsyncIterator[None]:
        try:
            yield
            await self._ask("outbox.commit", self._commit)
        finally:
            self._release()

    async def execute(self, statement: str, *values: Any) -> None:
        if statement == DROP:
            self._dropped += values[0]
        elif "sluice_tenant" in statement:
            self._tenant = values[1]

    async def fetch(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        acts: dict[str, Act] = {DUE: self._due, TAKE: partial(self._take, *values)}
        found: list[dict[str, Any]] = await self._ask("outbox", acts[statement])
        return found

    async def _due(self) -> list[dict[str, Any]]:
        names = dict.fromkeys(row.tenant for row in self._table.rows)
        return [{"tenant_id": name} for name in names]

    async def _take(self, limit: int) -> list[dict[str, Any]]:
        free = [row for row in self._table.rows if not self._held(row)]
        mine = [row for row in free if row.tenant == self._tenant][:limit]
        for row in mine:
            row.holder = self
        return [row.values for row in mine]

    async def _commit(self) -> None:
        rows = self._table.rows
        rows[:] = [r for r in rows if r.values["event_id"] not in self._dropped]

    def _held(self, row: Row) -> bool:
        holder = row.holder
        return holder is not None and holder is not self and not holder.owner.dead

    def _release(self) -> None:
        for row in self._table.rows:
            if row.holder is self:
                row.holder = None


@asynccontextmanager
async def connected(table: Table, ask: Ask, owner: Owner) -> AsyncIterator[Connection]:
    """A connection of the pool."""
    yield Connection(table, ask, owner)
