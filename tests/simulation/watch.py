"""What is looked at while things happen: effects are durable before offsets are."""

from collections import defaultdict
from typing import TYPE_CHECKING
from zlib import crc32

import orjson

from pipeline.ports.bus import Record
from schemas.ids import RequestId, TenantId
from schemas.topics import AUDIT_RECORDED, REQUESTS_ACCEPTED, WEBHOOKS_DUE
from tests.simulation.effects import attempt, headers, missing
from tests.simulation.tokens import SimTokens

if TYPE_CHECKING:
    from tests.simulation.broker import Group
    from tests.simulation.world import World


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
        self.causes: dict[str, str] = {}
        """By audit record, what it tells of."""
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
            self.causes[told["ce_id"]] = cause
            self.told[orjson.loads(record.value or b"")["action"], cause] += 1
        if record.topic == WEBHOOKS_DUE.name:
            self.due.add(attempt(record))
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
            for lack in missing(self._world, record):
                self.wrong(f"{group.name} committed {record!r} without {lack}")
