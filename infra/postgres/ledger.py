"""The ledger in Postgres: one transaction a batch, over all its tenants."""

import asyncio
from collections.abc import (
    AsyncIterator,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from typing_extensions import override

from infra.postgres.ahead import ahead
from infra.postgres.logs import head_of, waiting
from pipeline.audit import Chained, Entry, Recorded, chain, new_origin
from pipeline.errors import LogClosed, RetryableError
from pipeline.merkle import TILE_HEIGHT
from pipeline.ports.ledger import Appended, Ledger, SourceOffsets
from pipeline.ports.system import Entropy
from pipeline.sequencing import Growth, Sifted, by_tenant, grow, sift
from schemas.audit import TERMINAL
from schemas.ids import EventId, RequestId, TenantId

# Whoever may append may also switch synchronous_commit off, and what is committed
# without it can be lost: so it is set in each transaction.
BEGIN = """
begin;
set local role sluice_ledger_writer;
set local synchronous_commit = on
"""
OPEN = "select * from sluice.ledger_open($1, $2)"
KNOWN = "select * from sluice.ledger_known($1, $2, $3, $4)"
APPEND = """
select sluice.ledger_append_texts(
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
_NOT_ALL_NEW = (asyncpg.UniqueViolationError, LogClosed)
"""What a batch meets that the log holds a part of. Then nothing was appended."""
PORTION = 200
"""Records that one statement appends: with fewer, statements cost more than records;
with more, the client waits at the end for the last."""
SOONEST = 60
"""Records of the first statement: the server has nothing to do before it comes."""
Batch = Mapping[TenantId, Sequence[Recorded]]
"""What is to be appended, by tenant."""


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
        try:
            return await self._append(tenants, source, again=False)
        except _NOT_ALL_NEW:
            return await self._append(tenants, source, again=True)

    async def _append(
        self, tenants: Batch, source: SourceOffsets | None, *, again: bool
    ) -> Appended:
        """Append what is new: all of it, unless the batch came ``again``.

        Nearly always it is all new, and where it is not, an index refuses it.
        """
        async with self._transaction() as connection:
            logs = await self._grown(connection, tenants, again=again)
            new: dict[TenantId, list[Entry]] = {tenant: [] for tenant in logs}
            async with ahead(connection.execute) as statements:
                for portion in _portions(logs):
                    for tenant, part in portion:
                        new[tenant] += part.entries
                    await statements.send(APPEND, *_columns(portion))
            if source is not None:
                await _store(connection, source)
        return Appended([(log, new[tenant]) for tenant, log in logs.items()])

    async def _grown(
        self, connection: PoolConnectionProxy, tenants: Batch, *, again: bool
    ) -> Mapping[TenantId, Growth]:
        """What the batch is to each log; the logs are locked from here on."""
        origins = [self._new_origin(each) for each in tenants]
        async with ahead(connection.fetch) as statements:
            await statements.send(OPEN, list(tenants), origins)
            known: Sequence[Known] = [Known({}, ())] * len(tenants)
            sifted = [] if again else _sifted(tenants, known)
            opened = await statements.answer() or ()
        if again:
            known = await _known(connection, tenants)
            sifted = _sifted(tenants, known)
        own = zip(tenants, opened, sifted, known, strict=True)
        return {
            tenant: grow(head_of(row), each, there.bodies, closed=row["closed"])
            for tenant, row, each, there in own
        }

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
                try:
                    await connection.execute(BEGIN)
                    yield connection
                    await connection.execute("commit")
                finally:
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
    except _NOT_ALL_NEW:
        await connection.execute("rollback")
        well = True
        raise
    finally:
        if not well:
            connection.terminate()


class Known(NamedTuple):
    """What a log holds of a batch: records under its events' ids, requests' ends."""

    bodies: Mapping[EventId, bytes]
    ended: Collection[RequestId]


def _sifted(tenants: Batch, known: Sequence[Known]) -> list[Sifted]:
    own = zip(tenants.values(), known, strict=True)
    return [sift(events, each.bodies, each.ended) for events, each in own]


async def _known(connection: PoolConnectionProxy, tenants: Batch) -> Sequence[Known]:
    events = [event for own in tenants.values() for event in own]
    rows = await connection.fetch(
        KNOWN,
        list(tenants),
        [len(own) for own in tenants.values()],
        [event.attributes.id for event in events],
        [_ending(event) for event in events],
    )
    return [
        Known(
            {
                EventId(str(each)): body
                for each, body in zip(
                    row["ids"] or (), row["bodies"] or (), strict=True
                )
            },
            {RequestId(str(each)) for each in row["ended"] or ()},
        )
        for row in rows
    ]


def _ending(event: Recorded) -> RequestId | None:
    return event.data.request_id if event.data.action in TERMINAL else None


def _portions(
    logs: Mapping[TenantId, Growth],
) -> Iterator[list[tuple[TenantId, Chained]]]:
    """Parts of logs, together about as many records as a statement appends."""
    portion, room = list[tuple[TenantId, Chained]](), SOONEST
    for tenant, log in logs.items():
        head, fresh = log.head, log.fresh
        while fresh:
            taken = room if len(fresh) > PORTION else len(fresh)
            part, fresh = chain(head, fresh[:taken]), fresh[taken:]
            portion.append((tenant, part))
            head, room = part.head, room - taken
            if room <= 0:
                yield portion
                portion, room = [], PORTION
    if portion:
        yield portion


def _columns(logs: Sequence[tuple[TenantId, Chained]]) -> Sequence[Any]:
    """The arguments of ``ledger_append_texts``, in order."""
    heads = [log.head for _, log in logs]
    parts = [log.entries for _, log in logs]
    tiles = [tile for _, log in logs for tile in log.filled]
    return (
        [tenant for tenant, _ in logs],
        [len(part) for part in parts],
        [head.size for head in heads],
        [head.last for head in heads],
        [b"".join(head.tree.hashes) for head in heads],
        ["\n".join([entry.event_id for entry in part]) for part in parts],
        ["\n".join([entry.request_id or "-" for entry in part]) for part in parts],
        ["\n".join([entry.action for entry in part]) for part in parts],
        ["\n".join([entry.actor for entry in part]) for part in parts],
        ["\n".join([entry.ts for entry in part]) for part in parts],
        [b"\n".join([entry.body for entry in part]).decode() for part in parts],
        [b"".join([entry.leaf for entry in part]) for part in parts],
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
