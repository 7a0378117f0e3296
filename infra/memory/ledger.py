"""The ledger in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from typing_extensions import override

from pipeline.audit import Entry, Head, Recorded, chain, empty, new_origin
from pipeline.checkpoint import parse_note
from pipeline.errors import IntegrityError, LogClosed, RetryableError
from pipeline.merkle import TILE_WIDTH, fold
from pipeline.ports.ledger import (
    Appended,
    Deleted,
    Deleter,
    Ledger,
    SignedLogs,
    SourceOffsets,
)
from pipeline.ports.system import Entropy
from pipeline.root import Rooted
from pipeline.sequencing import Growth, by_tenant, grow, sift
from schemas.audit import CLOSED, TERMINAL
from schemas.ids import TenantId


@dataclass(frozen=True, slots=True)
class MemoryLedger(Ledger, SignedLogs, Deleter):
    """Logs in dictionaries; as durable as the process."""

    domain: str
    entropy: Entropy
    _heads: dict[TenantId, Head] = field(default_factory=dict)
    _entries: dict[TenantId, list[Entry]] = field(default_factory=dict)
    _notes: dict[TenantId, dict[int, str]] = field(default_factory=dict)
    _rooted: dict[tuple[TenantId, int], Rooted] = field(default_factory=dict)
    _deleted: dict[TenantId, Deleted] = field(default_factory=dict)
    _offsets: dict[str, dict[int, int]] = field(default_factory=dict)
    _befores: dict[str, datetime] = field(default_factory=dict)

    @override
    async def append(
        self, events: Sequence[Recorded], source: SourceOffsets | None = None
    ) -> Appended:
        if source is not None and source.after is not None:
            if (await self.source(source.topic)).next_offsets != source.after:
                raise RetryableError("somebody else read on")
            self._offsets[source.topic] = {}
        logs = {each: self._grow(each, own) for each, own in by_tenant(events).items()}
        parts = {each: chain(log.head, log.fresh) for each, log in logs.items()}
        for tenant, part in parts.items():
            self._heads[tenant] = part.head
            self._entries.setdefault(tenant, []).extend(part.entries)
        if source is not None:
            known = self._offsets.setdefault(source.topic, {})
            for place, offset in source.next_offsets.items():
                known[place] = max(offset, known.get(place, 0))
            if source.before is not None:
                self._befores[source.topic] = source.before
        return Appended([(log, parts[each].entries) for each, log in logs.items()])

    def _grow(self, tenant: TenantId, events: Sequence[Recorded]) -> Growth:
        if tenant in self._deleted:
            raise LogClosed
        entries = self._entries.get(tenant, [])
        asked = {event.attributes.id for event in events}
        known = {each.event_id: each.body for each in entries if each.event_id in asked}
        ended = {
            each.request_id
            for each in entries
            if each.request_id and each.action in TERMINAL
        }
        return grow(
            self._heads.get(tenant) or self._new(tenant),
            sift(events, known, ended),
            known,
            closed=bool(entries) and entries[-1].action == CLOSED,
        )

    def _new(self, tenant: TenantId) -> Head:
        return empty(new_origin(tenant, self.domain, self.entropy.bytes(16)))

    @override
    async def delete(self, kept: Deleted) -> None:
        if self._deleted.setdefault(kept.tenant, kept) != kept:
            raise IntegrityError("another record was kept of this log")
        if kept.tenant not in self._heads:
            return
        latest = await self.latest(kept.tenant)
        last = self._entries[kept.tenant][-1]
        if (
            kept.origin != self._heads[kept.tenant].origin
            or (last.action, last.body) != (CLOSED, kept.record)
            or latest is None
            or not kept.proof.endswith(latest)
            or parse_note(latest).size != self._heads[kept.tenant].size
            or self._rooted.get((kept.tenant, last.seq + 1)) != kept.rooted
        ):
            del self._deleted[kept.tenant]
            raise IntegrityError("expected a log that was closed and signed")
        for rows in (self._heads, self._entries, self._notes):
            del rows[kept.tenant]

    @override
    async def deleted(self) -> Sequence[Deleted]:
        return [self._deleted[each] for each in sorted(self._deleted)]

    @override
    async def source(self, topic: str) -> SourceOffsets:
        offsets = dict(self._offsets.get(topic, {}))
        return SourceOffsets(topic, offsets, before=self._befores.get(topic))

    @override
    async def tenants(self) -> Sequence[TenantId]:
        return sorted(self._heads)

    @override
    async def head(self, tenant: TenantId) -> Head | None:
        return self._heads.get(tenant)

    @override
    async def read(
        self, tenant: TenantId, from_seq: int, limit: int
    ) -> Sequence[Entry]:
        return self._entries.get(tenant, [])[from_seq : from_seq + limit]

    @override
    async def hashes(
        self, tenant: TenantId, level: int, index: int, width: int
    ) -> bytes:
        row = [each.leaf for each in self._entries.get(tenant, [])]
        for _ in range(level):
            full = len(row) // TILE_WIDTH
            row = [fold(row[at * TILE_WIDTH :][:TILE_WIDTH]) for at in range(full)]
        return b"".join(row[index * TILE_WIDTH :][: min(width, TILE_WIDTH)])

    @override
    async def checkpoints(self, tenant: TenantId) -> Sequence[str]:
        notes = self._notes.get(tenant, {})
        return [notes[size] for size in sorted(notes)]

    @override
    async def latest(self, tenant: TenantId) -> str | None:
        return next(reversed(await self.checkpoints(tenant)), None)

    @override
    async def rooted(self, tenant: TenantId, size: int) -> Rooted | None:
        return self._rooted.get((tenant, size))

    @override
    async def publish(
        self, tenant: TenantId, note: str, at: datetime, rooted: Rooted | None = None
    ) -> None:
        size = parse_note(note).size
        notes = self._notes.setdefault(tenant, {})
        if size not in notes and rooted is not None:
            self._rooted[tenant, size] = rooted
        notes.setdefault(size, note)
