"""The ledger in Postgres: one transaction a batch, over all its tenants."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from typing_extensions import override

from infra.postgres.logs import head_of, waiting
from pipeline.audit import Chained, Entry, Recorded, new_origin
from pipeline.errors import RetryableError
from pipeline.merkle import TILE_HEIGHT
from pipeline.ports.ledger import Appended, Ledger, SourceOffsets, appended
from pipeline.ports.system import Entropy
from pipeline.sequencing import Growth, by_tenant, grow
from schemas.audit import TERMINAL
from schemas.ids import EventId, RequestId, TenantId

# Whoever may append may also switch synchronous_commit off, and what is committed
# without it can be lost: so it is set in each transaction.
BEGIN = """
begin;
set local role sluice_ledger_writer;
set local synchronous_commit = on
"""
OPEN = "select * from sluice.ledger_open($1, $2, $3, $4, $5)"
APPEND = """
select sluice.ledger_append(
  $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
"""
SOURCE = """
insert into sluice.ledger_source (topic, partition, next_offset)
select $1, n.partition, n.next_offset
  from unnest($2::integer[], $3::bigint[]) n (partition, next_offset)
on conflict (topic, partition) do update
   set next_offset = greatest(ledger_source.next_offset, excluded.next_offset)
"""
MOVE = """
insert into sluice.ledger_source (topic, partition, next_offset, before)
select $1, n.partition, n.next_offset, $4
  from unnest($2::integer[], $3::bigint[]) n (partition, next_offset)
on conflict (topic, partition) do update
   set next_offset = excluded.next_offset, before = excluded.before
"""
# No row may be there yet: so it is the topic's name that is locked.
ALONE = "select pg_advisory_xact_lock(hashtextextended($1, 0))"
OFFSETS = """
select partition, next_offset, before from sluice.ledger_source where topic = $1
"""

_ORIGIN_BYTES = 16
PORTION = 256
"""Records that one statement appends: with fewer, statements cost more than records;
with more, the server waits for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresLedger(Ledger):
    """Appends; each tenant's rows under that tenant's claims.

    Attributes:
        domain: the first part of the origin of new logs.
        deadline_s: past it the outcome counts as unknown. The server's own timeout
            does not fire while a commit waits for a standby.
    """

    pool: asyncpg.Pool
    domain: str
    entropy: Entropy
    deadline_s: float = 30.0

    @override
    async def append(
        self, events: Sequence[Recorded], source: SourceOffsets | None = None
    ) -> Appended:
        tenants = by_tenant(events)
        async with self._transaction() as connection:
            opened = await connection.fetch(OPEN, *self._asked(tenants))
            own = zip(opened, tenants.items(), strict=True)
            logs = {tenant: _grow(row, mine) for row, (tenant, mine) in own}
            new = await _appended(connection, logs)
            if source is not None:
                await _store(connection, source)
        return appended((log, new[tenant]) for tenant, log in logs.items())

    def _asked(self, tenants: Mapping[TenantId, Sequence[Recorded]]) -> Sequence[Any]:
        events = [event for own in tenants.values() for event in own]
        return (
            list(tenants),
            [self._new_origin(each) for each in tenants],
            [len(own) for own in tenants.values()],
            [event.attributes.id for event in events],
            [_ending(event) for event in events],
        )

    def _new_origin(self, tenant: TenantId) -> str:
        return new_origin(tenant, self.domain, self.entropy.bytes(_ORIGIN_BYTES))

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[PoolConnectionProxy]:
        """A transaction that is durable once this ends, and of unknown outcome else.

        One that did not end well takes its connection along: its commit may still be
        on the way.
        """
        with waiting():
            async with (
                asyncio.timeout(self.deadline_s),
                self.pool.acquire() as connection,
                _dropped_unless_well(connection),
            ):
                severities: list[str] = []

                def listen(_: object, notice: Any) -> None:
                    severities.append(notice.severity_en)

                connection.add_log_listener(listen)
                await connection.execute(BEGIN)
                yield connection
                await connection.execute("commit")
                connection.remove_log_listener(listen)
                # A wait for the standbys that was cancelled ends in success and a
                # warning, in the server's language. Nothing else here warns.
                if "WARNING" in severities:
                    raise RetryableError("the commit did not reach the standbys")

    @override
    async def source(self, topic: str) -> SourceOffsets:
        async with self._transaction() as connection:
            return await _stored(connection, topic)


@asynccontextmanager
async def _dropped_unless_well(connection: PoolConnectionProxy) -> AsyncIterator[None]:
    well = False
    try:
        yield
        well = True
    finally:
        if not well:
            connection.terminate()


def _ending(event: Recorded) -> RequestId | None:
    return event.data.request_id if event.data.action in TERMINAL else None


async def _appended(
    connection: PoolConnectionProxy, logs: Mapping[TenantId, Growth]
) -> Mapping[TenantId, Sequence[Entry]]:
    """Append all that is new; while the server stores a portion, the next is made."""
    new: dict[TenantId, list[Entry]] = {tenant: [] for tenant in logs}
    sent: asyncio.Task[str] | None = None
    try:
        for portion in _portions(logs):
            for tenant, part in portion:
                new[tenant] += part.entries
            columns = _columns(portion)
            if sent is not None:
                await sent
            sent = asyncio.create_task(connection.execute(APPEND, *columns))
            await asyncio.wait([sent], timeout=0)  # now it is on its way
        if sent is not None:
            await sent
    finally:
        if sent is not None and not sent.done():
            sent.cancel()
            await asyncio.gather(sent, return_exceptions=True)
    return new


def _portions(
    logs: Mapping[TenantId, Growth],
) -> Iterator[list[tuple[TenantId, Chained]]]:
    """Parts of logs, together about as many records as :data:`PORTION`."""
    portion, records = list[tuple[TenantId, Chained]](), 0
    for tenant, log in logs.items():
        for part in log.chained(PORTION):
            portion.append((tenant, part))
            records += len(part.entries)
            if records >= PORTION:
                yield portion
                portion, records = [], 0
    if portion:
        yield portion


def _grow(row: asyncpg.Record, events: Sequence[Recorded]) -> Growth:
    known = zip(row["known_ids"] or (), row["known_bodies"] or (), strict=True)
    return grow(
        head_of(row),
        events,
        {EventId(str(each)): body for each, body in known},
        {RequestId(str(each)) for each in row["ended"] or ()},
        closed=row["closed"],
    )


def _columns(logs: Sequence[tuple[TenantId, Chained]]) -> Sequence[Sequence[Any]]:
    """The arguments of ``ledger_append``, in order."""
    heads = [log.head for _, log in logs]
    entries = [entry for _, log in logs for entry in log.entries]
    tiles = [tile for _, log in logs for tile in log.filled]
    return (
        [tenant for tenant, _ in logs],
        [len(log.entries) for _, log in logs],
        [head.size for head in heads],
        [head.last for head in heads],
        [b"".join(head.tree.hashes) for head in heads],
        [entry.event_id for entry in entries],
        [entry.request_id for entry in entries],
        [entry.action for entry in entries],
        [entry.actor for entry in entries],
        [datetime.fromisoformat(entry.ts) for entry in entries],
        [entry.body for entry in entries],
        [entry.leaf for entry in entries],
        [len(log.filled) for _, log in logs],
        [tile.level // TILE_HEIGHT - 1 for tile in tiles],
        [tile.index for tile in tiles],
        [tile.hash for tile in tiles],
    )


async def _store(connection: PoolConnectionProxy, source: SourceOffsets) -> None:
    offsets = source.next_offsets
    columns = source.topic, list(offsets), list(offsets.values())
    if source.after is None:
        await connection.execute(SOURCE, *columns)
        return
    await connection.execute(ALONE, source.topic)
    if (await _stored(connection, source.topic)).next_offsets != source.after:
        raise RetryableError("somebody else read on")
    await connection.execute(MOVE, *columns, source.before)


async def _stored(connection: PoolConnectionProxy, topic: str) -> SourceOffsets:
    rows = await connection.fetch(OFFSETS, topic)
    moments = [row["before"] for row in rows if row["before"]]
    return SourceOffsets(
        topic,
        {row["partition"]: row["next_offset"] for row in rows},
        before=max(moments, default=None),
    )
