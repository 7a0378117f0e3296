"""The outbox's table behind a connection: what ``infra/postgres/outbox.py`` asks of it.

No port lies in between, so the worker's own statements run here, with transactions:
what is taken is locked, what is dropped is gone at the commit, and a connection whose
process died is rolled back.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

from infra.postgres.outbox import DROP, DUE, TAKE
from schemas.topics import Outgoing
from tests.simulation.loop import OWNER, Owner

if TYPE_CHECKING:
    from tests.simulation.world import World


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
        """Keep an event, as a transaction that tells of something does."""
        event = outgoing.event
        headers = {name: value.decode() for name, value in event.attributes.headers()}
        values = {
            "event_id": UUID(event.attributes.id),
            "topic": outgoing.topic.name,
            "headers": orjson.dumps(headers),
            "value": event.data.model_dump_json(exclude_none=True).encode(),
        }
        self.rows.append(Row(event.attributes.tenant, values))


class Connection:
    """One session: the row locks that it holds, and what it will drop."""

    def __init__(self, world: "World", owner: Owner) -> None:
        self._world = world
        self._table = world.outbox
        self._tenant = ""
        self._dropped: list[UUID] = []
        self.owner = owner

    @asynccontextmanager
    async def transaction(self, **_: Any) -> AsyncIterator[None]:
        try:
            yield
        except BaseException:
            self._release()
            raise
        await self._world.network.call("outbox.commit", self._commit)

    async def execute(self, statement: str, *values: Any) -> None:
        if statement == DROP:
            self._dropped += values[0]
        elif "sluice_tenant" in statement:
            self._tenant = values[1]

    async def fetch(self, statement: str, *_: Any) -> list[dict[str, Any]]:
        ask = {DUE: self._due, TAKE: self._take}[statement]
        found: list[dict[str, Any]] = await self._world.network.call("outbox", ask)
        return found

    async def _due(self) -> list[dict[str, Any]]:
        names = dict.fromkeys(row.tenant for row in self._table.rows)
        return [{"tenant_id": name} for name in names]

    async def _take(self) -> list[dict[str, Any]]:
        free = [row for row in self._table.rows if not self._held(row)]
        mine = [row for row in free if row.tenant == self._tenant]
        for row in mine:
            row.holder = self
        return [row.values for row in mine]

    async def _commit(self) -> None:
        kept = [
            r for r in self._table.rows if r.values["event_id"] not in self._dropped
        ]
        self._table.rows[:] = kept
        self._release()

    def _held(self, row: Row) -> bool:
        holder = row.holder
        return holder is not None and holder is not self and not holder.owner.dead

    def _release(self) -> None:
        for row in self._table.rows:
            if row.holder is self:
                row.holder = None


@asynccontextmanager
async def connected(world: "World") -> AsyncIterator[Connection]:
    """A connection of the pool."""
    yield Connection(world, OWNER.get())
