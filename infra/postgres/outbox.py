"""Events that lie beside the rows that they tell of, until they are published."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from infra.postgres.logs import waiting
from infra.postgres.pool import Connection, as_tenant
from pipeline.ports.bus import Publisher
from schemas.events import Attributes, Event
from schemas.ids import TenantId
from schemas.topics import TOPICS, Outgoing, Topic

BATCH: Final = 500
_TOPICS: Final = {topic.name: topic for topic in TOPICS}
PUT = """
insert into sluice.outbox (event_id, topic, key, headers, value)
values ($1, $2, $3, $4, $5) on conflict do nothing
"""
DUE = "select distinct tenant_id from sluice.outbox"
TAKE = """
select event_id, topic, headers, value from sluice.outbox
 order by created_at for update skip locked limit $1
"""
DROP = "delete from sluice.outbox where event_id = any ($1)"


async def put(connection: Connection, outgoing: Outgoing[Any]) -> None:
    """Keep an event in the transaction of what it tells of."""
    event, topic = outgoing.event, outgoing.topic
    headers = {name: value.decode() for name, value in event.attributes.headers()}
    await connection.execute(
        PUT,
        UUID(event.attributes.id),
        topic.name,
        topic.key(event.attributes),
        orjson.dumps(headers),
        event.data.model_dump_json(exclude_none=True).encode(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbox:
    """Publishes what was kept; safe in several copies."""

    pool: asyncpg.Pool
    publisher: Publisher

    async def round(self) -> bool:
        """Publish a batch of each tenant that has one; is there more?"""
        full = False
        for tenant in await self._due():
            full = await self.drain(tenant) == BATCH or full
        return full

    async def drain(self, tenant: TenantId) -> int:
        """Publish a batch of one tenant; how many events it was."""
        async with as_tenant(self.pool, tenant) as connection:
            rows = await connection.fetch(TAKE, BATCH)
            await self.publisher.publish(_outgoing(rows))
            await connection.execute(DROP, [row["event_id"] for row in rows])
        return len(rows)

    async def _due(self) -> Sequence[TenantId]:
        with waiting():
            async with self.pool.acquire() as connection, connection.transaction():
                await connection.execute("set local role sluice_finder")
                rows = await connection.fetch(DUE)
        return [TenantId(str(row["tenant_id"])) for row in rows]


def _outgoing(rows: Sequence[asyncpg.Record]) -> list[Outgoing[Any]]:
    return [_event(_TOPICS[row["topic"]], row) for row in rows]


def _event(topic: Topic[Any], row: asyncpg.Record) -> Outgoing[Any]:
    headers = orjson.loads(row["headers"]).items()
    attributes = Attributes.from_headers(
        (name, text.encode()) for name, text in headers
    )
    data = topic.data.model_validate_json(row["value"])
    return Outgoing(topic, Event(attributes, data))
