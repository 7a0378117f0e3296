"""What is on the logs, read from Postgres: one tenant at a time."""

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from typing_extensions import override

from infra.postgres.ahead import ahead
from pipeline.audit import Entry, Head
from pipeline.checkpoint import parse_note
from pipeline.errors import HeadBent, RetryableError
from pipeline.merkle import HASH_BYTES, TILE_WIDTH, CompactRange
from pipeline.ports.ledger import PORTION, Deleted, SignedLogs
from pipeline.querying import Query
from pipeline.root import Rooted
from schemas.ids import RequestId, TenantId

Role = Literal["sluice_tenant", "sluice_ledger_signer", "sluice_ledger_deleter"]

AS_FINDER = "select set_config('role', 'sluice_finder', true)"
# Rows are read in the order of an index. A plan that sorts them instead, as old
# statistics may suggest, reads all that lies behind for each portion.
AS_TENANT = """
select set_config('role', $1, true),
       set_config('enable_bitmapscan', 'off', true),
       set_config('request.jwt.claims',
                  jsonb_build_object('tenant_id', $2::text)::text, true),
       set_config('sluice.tenant_id', $2, true)
"""
TENANTS = "select tenant_id from sluice.ledger_log order by tenant_id"
HEAD = """
select l.origin, h.size, h.last_hash, h.range
  from sluice.ledger_head h join sluice.ledger_log l using (tenant_id)
 where tenant_id = $1
"""
BEFORE_ALL = -(1 << 63)
"""Before the first record, where no row may lie."""
# As text: the database writes it in a fraction of the time that it takes here.
_ENTRY = """
select seq, event_id::text, request_id::text, action, actor,
       to_char(ts at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       body, leaf_hash
  from sluice.ledger_entry
"""
ENTRIES = _ENTRY + "where tenant_id = $1 and seq >= $2 order by seq limit $3"
AT = _ENTRY + "where tenant_id = $1 and seq = any ($2::bigint[])"
BY_REQUEST = _ENTRY + "where tenant_id = $1 and request_id = $2 order by seq"
FIND = _ENTRY + "where tenant_id = $1 and seq >= $2 {} order by seq limit $3"
# Only what is asked for stands in the statement: so each shape has a plan of its own.
WANTED = {
    "request": "and request_id = ${}",
    "actor": "and actor = ${}",
    "action": "and action = ${}",
    "since": "and ts >= ${}",
    "until": "and ts < ${}",
}
# A row that the head does not count was never appended.
ACTIONS = """
select request_id, action from sluice.ledger_entry
 where tenant_id = $1 and request_id = any ($2::uuid[]) and seq >= 0
   and seq < (select size from sluice.ledger_head where tenant_id = $1)
"""
FULL_TILE = """
select hashes from sluice.ledger_tile where tenant_id = $1 and level = $2 and n = $3
"""
FULL_TILES = """
select n, hashes from sluice.ledger_tile
 where tenant_id = $1 and level = $2 and n >= $3 and n < $4
"""
LEAVES = """
select string_agg(leaf_hash, ''::bytea order by seq) from sluice.ledger_entry
 where tenant_id = $1 and seq >= $2 and seq < $3
"""
ROOTS = """
select string_agg(root, ''::bytea order by n) from sluice.ledger_tile
 where tenant_id = $1 and level = $2 and n >= $3 and n < $4
"""
# In one statement, whose snapshot has the head that fills the tiles which it has.
PREMATURE = """
select t.level, t.n
  from sluice.ledger_head h cross join generate_series(0, 5) wanted (level)
 cross join lateral (
   select level, n from sluice.ledger_tile
    where tenant_id = $1 and level = wanted.level
      and n >= h.size >> (8 * (wanted.level + 1)) order by n limit 1
 ) t
 where h.tenant_id = $1 order by t.level limit 1
"""
CHECKPOINTS = """
select note from sluice.ledger_checkpoint where tenant_id = $1 order by size
"""
LATEST = f"{CHECKPOINTS} desc limit 1"
ROOTED = """
select root_salt, root_seq from sluice.ledger_checkpoint
 where tenant_id = $1 and size = $2 and root_salt is not null
"""
COMMITMENTS = """
select size, root_salt, root_seq from sluice.ledger_checkpoint
 where tenant_id = $1 and root_salt is not null
"""
DELETED = """
select tenant_id, origin, record, proof, root_salt, root_seq
  from sluice.ledger_deleted order by tenant_id
"""
PUBLISH = """
insert into sluice.ledger_checkpoint (size, note, signed_at, root_salt, root_seq)
values ($1, $2, $3, $4, $5) on conflict do nothing
"""

AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,  # the pool or the connection was closed under us
    asyncpg.InternalClientError,  # the server ended the session while it lay idle
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,  # also a full disk
    asyncpg.PostgresSystemError,  # a disk that fails, a file that is not there
    asyncpg.OperatorInterventionError,  # also statement_timeout
    asyncpg.IdleInTransactionSessionTimeoutError,  # we stood still for a minute
    # Locks that are not available; a database that takes no connections for now.
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.TransactionRollbackError,  # deadlocks, another writer
    asyncpg.ReadOnlySQLTransactionError,  # a standby, while the primary moves
)


@contextmanager
def waiting() -> Iterator[None]:
    """Turn "the database is away" into ``RetryableError``; its text holds no value."""
    try:
        yield
    except AWAY as error:
        raise RetryableError(f"the database is away: {type(error).__name__}") from None


@asynccontextmanager
async def reading_as(
    pool: asyncpg.Pool, role: Role, tenant: TenantId, *, readonly: bool = True
) -> AsyncIterator[PoolConnectionProxy]:
    """A transaction with the rights of ``role``, and of one tenant alone."""
    with waiting():
        async with (
            pool.acquire() as connection,
            connection.transaction(readonly=readonly),
        ):
            await connection.execute(AS_TENANT, role, tenant)
            yield connection


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresLogs(SignedLogs):
    """Reads as ``role``: what a tenant may see, or what the checkpointer must."""

    pool: asyncpg.Pool
    role: Role

    def _as(
        self, tenant: TenantId, *, readonly: bool = True
    ) -> AbstractAsyncContextManager[PoolConnectionProxy]:
        return reading_as(self.pool, self.role, tenant, readonly=readonly)

    @override
    async def tenants(self) -> Sequence[TenantId]:
        rows = await self._found(TENANTS)
        return [TenantId(str(row["tenant_id"])) for row in rows]

    @override
    async def head(self, tenant: TenantId) -> Head | None:
        async with self._as(tenant) as connection:
            row = await connection.fetchrow(HEAD, tenant)
        return None if row is None else head_of(row)

    @override
    async def read(
        self, tenant: TenantId, from_seq: int, limit: int
    ) -> Sequence[Entry]:
        async with self._as(tenant) as connection:
            rows = await connection.fetch(ENTRIES, tenant, from_seq, limit)
        return [Entry(*row) for row in rows]

    @override
    async def at(self, tenant: TenantId, places: Sequence[int]) -> Sequence[Entry]:
        async with self._as(tenant) as connection:
            rows = await connection.fetch(AT, tenant, places)
        return [Entry(*row) for row in rows]

    @override
    async def portions(
        self, tenant: TenantId, start: int, end: int
    ) -> AsyncGenerator[Sequence[Entry], None]:
        async with (
            self._as(tenant) as connection,
            ahead(connection.fetch) as statements,
        ):
            for at in range(start, end, PORTION):
                limit = min(PORTION, end - at)
                begin = at or BEFORE_ALL
                if rows := await statements.send(ENTRIES, tenant, begin, limit):
                    yield [Entry(*row) for row in rows]
            if rows := await statements.answer():
                yield [Entry(*row) for row in rows]

    @override
    async def by_request(self, tenant: TenantId, request: RequestId) -> Sequence[Entry]:
        async with self._as(tenant) as connection:
            rows = await connection.fetch(BY_REQUEST, tenant, request)
        return [Entry(*row) for row in rows]

    @override
    async def find(
        self, tenant: TenantId, query: Query, from_seq: int, limit: int
    ) -> Sequence[Entry]:
        found = {name: getattr(query, name) for name in WANTED}
        wanted = {name: value for name, value in found.items() if value is not None}
        clauses = [WANTED[name].format(at) for at, name in enumerate(wanted, 4)]
        statement = FIND.format(" ".join(clauses))
        async with self._as(tenant) as connection:
            rows = await connection.fetch(
                statement, tenant, from_seq, limit, *wanted.values()
            )
        return [Entry(*row) for row in rows]

    @override
    async def actions(
        self, tenant: TenantId, requests: Sequence[RequestId]
    ) -> Sequence[tuple[RequestId, str]]:
        async with self._as(tenant) as connection:
            rows = await connection.fetch(ACTIONS, tenant, requests)
        return [(RequestId(str(row["request_id"])), row["action"]) for row in rows]

    @override
    async def hashes(
        self, tenant: TenantId, level: int, index: int, width: int
    ) -> bytes:
        place = level, index
        return (await self.hashes_at(tenant, {place: width}))[place]

    @override
    async def hashes_at(
        self, tenant: TenantId, wanted: Mapping[tuple[int, int], int]
    ) -> Mapping[tuple[int, int], bytes]:
        async with self._as(tenant) as connection:
            return {
                place: (await _hashes(connection, tenant, *place))[: width * HASH_BYTES]
                for place, width in wanted.items()
            }

    @override
    async def tiles(
        self, tenant: TenantId, level: int, first: int, count: int
    ) -> Sequence[bytes]:
        span = range(first, first + count)
        async with self._as(tenant) as connection:
            rows = await connection.fetch(
                FULL_TILES, tenant, level, span.start, span.stop
            )
        found = {row["n"]: row["hashes"] for row in rows}
        return [
            found.get(n) or await self.hashes(tenant, level, n, TILE_WIDTH)
            for n in span
        ]

    @override
    async def premature(self, tenant: TenantId) -> tuple[int, int] | None:
        async with self._as(tenant) as connection:
            row = await connection.fetchrow(PREMATURE, tenant)
        return None if row is None else (row["level"], row["n"])

    @override
    async def checkpoints(self, tenant: TenantId) -> Sequence[str]:
        async with self._as(tenant) as connection:
            rows = await connection.fetch(CHECKPOINTS, tenant)
        return [row["note"] for row in rows]

    @override
    async def latest(self, tenant: TenantId) -> str | None:
        async with self._as(tenant) as connection:
            note: str | None = await connection.fetchval(LATEST, tenant)
        return note

    @override
    async def rooted(self, tenant: TenantId, size: int) -> Rooted | None:
        async with self._as(tenant) as connection:
            row = await connection.fetchrow(ROOTED, tenant, size)
        return None if row is None else Rooted(row["root_salt"], row["root_seq"])

    @override
    async def commitments(self, tenant: TenantId) -> Mapping[int, Rooted]:
        async with self._as(tenant) as connection:
            rows = await connection.fetch(COMMITMENTS, tenant)
        return {row["size"]: Rooted(row["root_salt"], row["root_seq"]) for row in rows}

    @override
    async def deleted(self) -> Sequence[Deleted]:
        return [
            Deleted(
                TenantId(str(row["tenant_id"])),
                row["origin"],
                row["record"],
                row["proof"],
                Rooted(row["root_salt"], row["root_seq"]),
            )
            for row in await self._found(DELETED)
        ]

    async def _found(self, statement: str) -> Sequence[asyncpg.Record]:
        with waiting():
            async with self.pool.acquire() as connection, connection.transaction():
                await connection.execute(AS_FINDER)
                rows: Sequence[asyncpg.Record] = await connection.fetch(statement)
        return rows

    @override
    async def publish(
        self, tenant: TenantId, note: str, at: datetime, rooted: Rooted | None = None
    ) -> None:
        row = (parse_note(note).size, note, at)
        root = (rooted.salt, rooted.seq) if rooted else (None, None)
        async with self._as(tenant, readonly=False) as connection:
            await connection.execute(PUBLISH, *row, *root)


async def _hashes(
    connection: PoolConnectionProxy, tenant: TenantId, level: int, index: int
) -> bytes:
    """A tile: as it is stored, else of the leaf hashes or the roots that lie below."""
    full: bytes | None = await connection.fetchval(FULL_TILE, tenant, level, index)
    if full is not None:
        return full
    span = (index * TILE_WIDTH, (index + 1) * TILE_WIDTH)
    below = (LEAVES, tenant) if level == 0 else (ROOTS, tenant, level - 1)
    found: bytes | None = await connection.fetchval(*below, *span)
    return found or b""


def head_of(row: asyncpg.Record) -> Head:
    """A head from its row.

    Raises:
        HeadBent: it has not the hashes that a log of its size has.
    """
    joined, size = row["range"], row["size"]
    if size < 0 or len(joined) != size.bit_count() * HASH_BYTES:
        raise HeadBent(row["origin"])
    hashes = [joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES)]
    return Head(row["origin"], row["last_hash"], CompactRange(size, tuple(hashes)))
