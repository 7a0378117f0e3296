"""What is looked at while things happen: effects are durable before offsets are."""

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING
from zlib import crc32

from pipeline.ports.bus import Record
from schemas.audit import TERMINAL, AuditRecorded
from schemas.ids import EventId, RequestId, TenantId
from schemas.topics import (
    AUDIT_RECORDED,
    REQUESTS_ACCEPTED,
    REQUESTS_FINISHED,
    REQUESTS_INBOX,
    REQUESTS_REDACTED,
    REQUESTS_SCREENED,
    RETENTION_DUE,
    WEBHOOKS_DUE,
    WEBHOOKS_RETRY_5M,
    WEBHOOKS_RETRY_5S,
)
from schemas.webhooks import WebhookDue
from tests.simulation.tokens import SimTokens

if TYPE_CHECKING:
    from tests.simulation.broker import Group
    from tests.simulation.world import World

ONWARD = {
    REQUESTS_ACCEPTED.name: REQUESTS_SCREENED.name,
    REQUESTS_SCREENED.name: REQUESTS_REDACTED.name,
    REQUESTS_REDACTED.name: REQUESTS_FINISHED.name,
}
"""What each stage publishes to; or else the request's end."""
TELLS = {
    REQUESTS_ACCEPTED.name: "request.screened",
    REQUESTS_SCREENED.name: "request.redacted",
    REQUESTS_REDACTED.name: "request.called",
}
"""What each stage tells the ledger."""
DELAYED = (WEBHOOKS_RETRY_5S.name, WEBHOOKS_RETRY_5M.name)


class Watch:
    """Notes what is durable, and says at once where something is not as promised."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.tokens = SimTokens()
        self.wrongs: list[str] = []
        self.caused: dict[tuple[str, str], int] = defaultdict(int)
        """By topic and cause, how many records."""
        self.told: dict[tuple[str, str], int] = defaultdict(int)
        """By action and cause, how many audit records."""
        self.due: set[tuple[str, int]] = set()
        """Deliveries and attempts that were published as due."""
        self.buried: set[tuple[str, int, int]] = set()
        self.accepted: dict[tuple[TenantId, RequestId], str] = {}
        """Every request whose acceptance is on the log, and its event's id."""

    def wrong(self, what: str) -> None:
        """A promise was broken."""
        self._world.say("WRONG", what)
        self.wrongs.append(what)

    def appended(self, record: Record) -> None:
        """A record is durable."""
        told = headers(record)
        place = record.topic, record.partition, record.offset
        self._world.say("appended", *place, crc32(record.value or b""))
        if record.topic.endswith(".dead"):
            at = int(told["dead_partition"]), int(told["dead_offset"])
            self.buried.add((told["dead_topic"], *at))
            return
        cause = told.get("ce_causation", "")
        self.caused[record.topic, cause] += 1
        if record.topic == AUDIT_RECORDED.name:
            data = AuditRecorded.model_validate_json(record.value or b"")
            self.told[data.action, cause] += 1
        if record.topic == WEBHOOKS_DUE.name:
            self.due.add(_attempt(record))
        if record.topic == REQUESTS_ACCEPTED.name and "ce_tenant" in told:
            name = TenantId(told["ce_tenant"]), RequestId(told["ce_subject"])
            self.accepted.setdefault(name, told["ce_id"])

    def committed(self, group: "Group", partition: int, begin: int, end: int) -> None:
        """A group said that all before ``end`` is finished: is it?"""
        if end < begin:
            self.wrong(f"{group.name} committed {end} after {begin}")
        for offset in range(begin, end):
            segment = self._world.log.segment(group.topic, partition)
            if offset >= segment.end:
                self.wrong(f"{group.name} committed {offset}, which is not there")
                return
            record = segment.records[offset - segment.start]
            for missing in self._missing(record):
                self.wrong(f"{group.name} committed {record!r} without {missing}")

    def _missing(self, record: Record) -> Iterator[str]:
        if (record.topic, record.partition, record.offset) in self.buried:
            return
        told = headers(record)
        cause = told.get("ce_id", "")
        if record.topic in ONWARD:
            yield from self._unstaged(record.topic, cause)
        elif record.topic == REQUESTS_FINISHED.name:
            yield from self._unfinished(told)
        elif record.topic == AUDIT_RECORDED.name:
            yield from self._unrecorded(told)
        elif record.topic == RETENTION_DUE.name:
            yield from self._unforgotten(told)
        elif record.topic == REQUESTS_INBOX.name:
            yield from self._unadmitted(told)
        elif record.topic == WEBHOOKS_DUE.name:
            if _attempt(record) not in self._world.webhooks.begun:
                yield "its attempt"
        elif record.topic in DELAYED:
            if _attempt(record) not in self.due:
                yield "the attempt that is due"

    def _unstaged(self, topic: str, cause: str) -> Iterator[str]:
        onward = self.caused[ONWARD[topic], cause]
        if not onward and not self.caused[REQUESTS_FINISHED.name, cause]:
            yield "what follows from it"
        if not self.told[TELLS[topic], cause]:
            yield "its audit record"

    def _unfinished(self, told: dict[str, str]) -> Iterator[str]:
        tenant, request = TenantId(told["ce_tenant"]), RequestId(told["ce_subject"])
        world = self._world
        state = world.now(world.requests.get(tenant, request))
        if state is None:
            return  # it ends what was never admitted
        if state.finished is None:
            yield "the end in its row"
        elif state.finished_by == told["ce_id"] and not self._terminal(told["ce_id"]):
            yield "its terminal record"
        elif state.finished_by == told["ce_id"] and not self._announced(request):
            yield "its webhook's message"

    def _announced(self, request: RequestId) -> bool:
        about = request.encode()
        kept = self._world.webhooks._messages.values()
        return any(about in message.body for message in kept)

    def _unforgotten(self, told: dict[str, str]) -> Iterator[str]:
        job = TenantId(told["ce_tenant"]), EventId(told["ce_id"])
        if not self.told["erasure.completed", job[1]]:
            yield "its record"
        if job not in self._world.purges._receipts:
            yield "its receipt"

    def _terminal(self, cause: str) -> bool:
        return any(self.told[action, cause] for action in TERMINAL)

    def _unrecorded(self, told: dict[str, str]) -> Iterator[str]:
        entries = self._world.ledger._entries.get(TenantId(told["ce_tenant"]), [])
        if not any(entry.event_id == told["ce_id"] for entry in entries):
            yield "its place on the ledger"

    def _unadmitted(self, told: dict[str, str]) -> Iterator[str]:
        expected = self._world.inbox.get(told.get("ce_id", ""))
        if expected is None:
            yield "its dead letter"
        elif expected not in self.accepted and not self.caused_by_subject(expected):
            yield "its acceptance"

    def caused_by_subject(self, name: tuple[TenantId, RequestId]) -> bool:
        """Was a request refused or ended in another way?"""
        world = self._world
        state = world.now(world.requests.get(*name))
        return state is not None and state.finished is not None


def headers(record: Record) -> dict[str, str]:
    """Headers as text, where they are."""
    found = dict(record.headers).items()
    return {name: (value or b"").decode(errors="replace") for name, value in found}


def _attempt(record: Record) -> tuple[str, int]:
    data = WebhookDue.model_validate_json(record.value or b"")
    return data.delivery, data.attempt
