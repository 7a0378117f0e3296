"""Appends what happened to the ledger."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.ports.bus import Record
from pipeline.ports.ledger import Ledger, SourceOffsets
from schemas.audit import AuditRecorded
from schemas.events import Event
from schemas.topics import AUDIT_RECORDED, Outgoing


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditConsumer:
    """One transaction a batch; what it appended is on the ledger before the commit.

    Attributes:
        alarm: told how many incidents the ledger recorded on its own account: a second
            end of a request, a guard that was required and did not run.
    """

    ledger: Ledger
    alarm: Callable[[int], None]

    async def handle(
        self, batch: Sequence[tuple[Record, Event[AuditRecorded]]]
    ) -> Sequence[Outgoing[Any]]:
        """Nothing follows an append."""
        ends = {record.partition: record.offset + 1 for record, _ in batch}
        source = SourceOffsets(AUDIT_RECORDED.name, ends)
        appended = await self.ledger.append([event for _, event in batch], source)
        if appended.incidents:
            self.alarm(len(appended.incidents))
        return ()

    async def offsets(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """Where reading begins: behind what the last append took."""
        known = await self.ledger.offsets(AUDIT_RECORDED.name)
        return {place: known[place] for place in partitions if place in known}
