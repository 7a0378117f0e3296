"""The ledger: one append-only log a tenant."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pipeline.audit import Entry, Head, Recorded
from pipeline.checkpoint import parse_note
from pipeline.merkle import TILE_WIDTH
from pipeline.querying import MAX_PAGE, Query
from pipeline.root import Rooted
from pipeline.sequencing import Growth, Place
from schemas.base import MAX_INTEGER
from schemas.ids import EventId, RequestId, TenantId

PORTION = 4 * TILE_WIDTH
"""Entries that whoever reads a whole log is given at once."""


@dataclass(frozen=True, slots=True)
class SourceOffsets:
    """How far a topic was read: the next offset of each partition.

    Attributes:
        after: what was stored when reading began, for whom no two may read the same.
            Where something else is stored by now, nothing is appended. Offsets may then
            go back, as those of a topic that was made anew do; else they never do.
        before: every record that was read is older; of a topic made anew none is.
    """

    topic: str
    next_offsets: Mapping[int, int]
    after: Mapping[int, int] | None = None
    before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of a batch.

    Attributes:
        grown: what it was to each log, and what came of that.
    """

    grown: Sequence[tuple[Growth, Sequence[Entry]]]

    @property
    def repeats(self) -> int:
        """How many events were on the ledger before, or twice in the batch."""
        return sum(log.repeats for log, _ in self.grown)

    @property
    def incidents(self) -> tuple[EventId, ...]:
        """Second ends of requests, and requests that a guard missed.

        They are records of the ledger's own making. Raise the alarm.
        """
        return tuple(each for log, _ in self.grown for each in log.incidents)

    @property
    def places(self) -> Mapping[EventId, Place]:
        """Where each event's record is, by the event's id: also a repeat's."""
        return {
            each: at
            for log, entries in self.grown
            for each, at in log.places(entries).items()
        }


@dataclass(frozen=True, slots=True)
class Deleted:
    """What is kept of a log that was closed, signed and deleted whole.

    Attributes:
        record: the bytes of its last record, ``log.closed``.
        proof: that record's ``.tlog-proof``, with the last checkpoint in it.
        rooted: where the root log commits to that checkpoint.
    """

    tenant: TenantId
    origin: str
    record: bytes
    proof: str
    rooted: Rooted


class Ledger(Protocol):
    """The way onto the logs."""

    async def append(
        self, events: Sequence[Recorded], source: SourceOffsets | None = None
    ) -> Appended:
        """Put all on their tenants' logs, once, in order; return once it is durable.

        All or nothing, over all tenants. A repeat is told by the event's id. A tenant's
        first event opens its log.

        Raises:
            RetryableError: the outcome is unknown; the same batch again is safe. Or
                somebody else read on from ``source.after``: read again.
            InvalidMessage: an event can never be recorded; nothing was.
            LogClosed: an event is new to a log that was closed; nothing was recorded.
            IntegrityError: an id came again with another decision; nothing was
                recorded.
        """
        ...

    async def source(self, topic: str) -> SourceOffsets:
        """How far a topic was read, by what was appended."""
        ...


class Logs(Protocol):
    """What is on the logs. All raise RetryableError where it cannot be known now."""

    async def tenants(self) -> Sequence[TenantId]:
        """Whoever has a log, sorted."""
        ...

    async def head(self, tenant: TenantId) -> Head | None:
        """The end of a log; None where the tenant has none.

        Raises:
            HeadBent: what is stored is not the end of a log.
        """
        ...

    async def read(
        self, tenant: TenantId, from_seq: int, limit: int
    ) -> Sequence[Entry]:
        """Entries in order of their place, at most ``limit``."""
        ...

    async def at(self, tenant: TenantId, places: Sequence[int]) -> Sequence[Entry]:
        """The entries at these places, where there are such, in any order."""
        found = [await self.read(tenant, place, 1) for place in places]
        own = zip(places, found, strict=True)
        return [row for place, rows in own for row in rows if row.seq == place]

    async def portions(
        self, tenant: TenantId, start: int, end: int
    ) -> AsyncGenerator[Sequence[Entry], None]:
        """Entries from ``start`` on and before ``end``, by portions, in order.

        A portion has ``PORTION`` entries, or fewer where some are missing or the end
        is near, but never none. Close what is not read to its end.
        """
        for at in range(start, end, PORTION):
            if rows := await self.read(tenant, at, min(PORTION, end - at)):
                yield rows

    async def by_request(self, tenant: TenantId, request: RequestId) -> Sequence[Entry]:
        """All records of a request, in order of their place."""
        return await self.find(tenant, Query(request=request), 0, MAX_INTEGER)

    async def find(
        self, tenant: TenantId, query: Query, from_seq: int, limit: int
    ) -> Sequence[Entry]:
        """Entries that the query admits, from a place on, in order, at most ``limit``.

        Where there is an index, a request's are found by it; all else reads on until
        there are enough.
        """
        found = list[Entry]()
        while len(found) < limit:
            page = await self.read(tenant, from_seq, MAX_PAGE)
            if not page:
                break
            found += filter(query.admits, page)
            from_seq = page[-1].seq + 1
        return found[:limit]

    async def actions(
        self, tenant: TenantId, requests: Sequence[RequestId]
    ) -> Sequence[tuple[RequestId, str]]:
        """Request and action of every record of these requests, up to the head."""
        wanted = set(requests)
        return [
            (each.request_id, each.action)
            for each in await self.find(tenant, Query(), 0, MAX_INTEGER)
            if each.request_id is not None and each.request_id in wanted
        ]

    async def hashes(
        self, tenant: TenantId, level: int, index: int, width: int
    ) -> bytes:
        """The first ``width`` hashes of a tile, joined; fewer where it has fewer.

        Full tiles are read as they are stored, partial ones are made of what lies
        below.
        """
        ...

    async def hashes_at(
        self, tenant: TenantId, wanted: Mapping[tuple[int, int], int]
    ) -> Mapping[tuple[int, int], bytes]:
        """Of each tile at (level, index), so many hashes: :meth:`hashes`, at once."""
        return {
            place: await self.hashes(tenant, *place, width)
            for place, width in wanted.items()
        }

    async def tiles(
        self, tenant: TenantId, level: int, first: int, count: int
    ) -> Sequence[bytes]:
        """Full tiles side by side: as :meth:`hashes`, many at once."""
        return [
            await self.hashes(tenant, level, n, TILE_WIDTH)
            for n in range(first, first + count)
        ]

    async def premature(self, tenant: TenantId) -> tuple[int, int] | None:
        """Level and index of a full tile that is stored before the log fills it.

        None: there is none, as where nobody stores tiles before they are full.
        """
        del tenant
        return None

    async def checkpoints(self, tenant: TenantId) -> Sequence[str]:
        """The published checkpoints of a log, as signed notes, oldest first."""
        ...

    async def latest(self, tenant: TenantId) -> str | None:
        """The checkpoint that was published last."""
        ...

    async def rooted(self, tenant: TenantId, size: int) -> Rooted | None:
        """Where the root log commits to the checkpoint of this size."""
        ...

    async def commitments(self, tenant: TenantId) -> Mapping[int, Rooted]:
        """Where the root log commits to each checkpoint, by size, if that is kept."""
        sizes = [parse_note(each).size for each in await self.checkpoints(tenant)]
        found = {size: await self.rooted(tenant, size) for size in sizes}
        return {size: each for size, each in found.items() if each}

    async def deleted(self) -> Sequence[Deleted]:
        """What is kept of logs that were deleted, by tenant; it is not checked here."""
        ...


class Deleter(Protocol):
    """Whoever may delete a log, whole."""

    async def delete(self, kept: Deleted) -> None:
        """Delete a closed log, and keep ``kept`` of it; return once it is durable.

        Records, tiles, checkpoints and the head go in one step. The tenant never has a
        log again.

        Raises:
            IntegrityError: the log did not end with this record, or its last
                checkpoint does not count it; nothing was deleted.
            RetryableError: the outcome is unknown; the same again is safe.
        """
        ...


class SignedLogs(Logs, Protocol):
    """Logs whose checkpoints are published."""

    async def publish(
        self, tenant: TenantId, note: str, at: datetime, rooted: Rooted | None = None
    ) -> None:
        """Store a signed checkpoint, and where the root log commits to it.

        The same again changes nothing.
        """
        ...
