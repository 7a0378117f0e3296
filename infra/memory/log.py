"""The log in memory: topics with partitions, groups with members and rebalances."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from zlib import crc32

from typing_extensions import override

from pipeline.errors import InvalidMessage
from pipeline.ports.bus import Record
from pipeline.ports.partitions import Listener, Partitions
from pipeline.ports.system import Clock
from schemas.topics import Topic

Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(slots=True)
class Segment:
    """One partition: what it holds, and the offset of the first of that."""

    start: int = 0
    records: list[Record] = field(default_factory=list)

    @property
    def end(self) -> int:
        """The offset that the next record will have."""
        return self.start + len(self.records)


class MemoryLog:
    """Topics, each with its dead letters; and the groups that read them."""

    def __init__(self, topics: Sequence[Topic[Any]], clock: Clock) -> None:
        self._clock = clock
        self._segments: dict[str, list[Segment]] = {}
        self._groups: dict[tuple[str, str], list[MemoryPartitions]] = {}
        self._committed: dict[tuple[str, str, int], int] = {}
        for topic in topics:
            for name in filter(None, (topic.name, topic.dead)):
                made = [Segment() for _ in range(topic.partitions)]
                self._segments[name] = made

    def append(
        self,
        topic: str,
        *,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        partition: int | None = None,
    ) -> Record:
        """Append to ``partition``, or else to the one that the key decides."""
        segments = self._segments.get(topic)
        if segments is None:
            raise InvalidMessage("expected a topic that was declared", topic)
        at = crc32(key or b"") % len(segments) if partition is None else partition
        record = Record(
            topic=topic,
            partition=at,
            offset=segments[at].end,
            key=key,
            value=value,
            headers=headers,
            timestamp_ms=int(self._clock.now().timestamp() * 1000),
            appended=True,
        )
        segments[at].records.append(record)
        return record

    def records(self, topic: str) -> list[Record]:
        """All of a topic's records, by partition and offset."""
        return [r for segment in self._segments[topic] for r in segment.records]

    def expire(self, topic: str, partition: int, before: int) -> None:
        """Retention: delete what lies before an offset."""
        segment = self._segments[topic][partition]
        del segment.records[: before - segment.start]
        segment.start = before

    async def join(self, member: "MemoryPartitions") -> None:
        """A new member of its group; everyone is told of the rebalance."""
        await self._rebalance(member.topic, member.group, joining=[member])

    async def leave(self, member: "MemoryPartitions") -> None:
        """A member goes; the others take over."""
        key = (member.topic, member.group)
        self._groups[key].remove(member)
        member.assign({})
        await self._rebalance(*key)

    async def rebalance(self, topic: str, group: str) -> None:
        """All members give up what they have, and may get it again."""
        await self._rebalance(topic, group)

    def segment(self, topic: str, partition: int) -> Segment:
        """One partition."""
        return self._segments[topic][partition]

    def committed(self, topic: str, group: str, partition: int) -> int | None:
        """Where a group begins; None: nothing was committed."""
        return self._committed.get((topic, group, partition))

    def commit(self, topic: str, group: str, partition: int, offset: int) -> None:
        """Note where a group begins."""
        self._committed[(topic, group, partition)] = offset

    async def _rebalance(
        self, topic: str, group: str, joining: "Sequence[MemoryPartitions]" = ()
    ) -> None:
        members = self._groups.setdefault((topic, group), [])
        for member in members:
            await member.listener.revoked(member.assigned())
        members.extend(joining)
        shares: dict[int, dict[int, int]] = {at: {} for at in range(len(members))}
        for partition, segment in enumerate(self._segments[topic]):
            begin = self.committed(topic, group, partition) or 0
            if members:
                share = shares[partition % len(members)]
                share[partition] = max(begin, segment.start)
        for member, share in zip(members, shares.values(), strict=True):
            member.assign(share)
            await member.listener.assigned(member.assigned())


class MemoryPartitions(Partitions):
    """What one member holds, and where it stands."""

    def __init__(
        self, log: MemoryLog, topic: str, group: str, listener: Listener
    ) -> None:
        self._log = log
        self.topic = topic
        self.group = group
        self.listener = listener
        self._positions: dict[int, int] = {}
        self._paused: set[int] = set()

    def assign(self, positions: Mapping[int, int]) -> None:
        """Hold these from now on, none paused."""
        self._positions = dict(positions)
        self._paused.clear()

    def poll(self, max_records: int) -> list[Record]:
        """What comes next, in order per partition."""
        found = list(islice(self._next(), max_records))
        for record in found:
            self._positions[record.partition] = record.offset + 1
        return found

    def _next(self) -> Iterator[Record]:
        for partition, position in list(self._positions.items()):
            if partition not in self._paused:
                segment = self._log.segment(self.topic, partition)
                yield from segment.records[max(0, position - segment.start) :]

    @override
    def assigned(self) -> frozenset[int]:
        return frozenset(self._positions)

    @override
    def pause(self, partitions: Collection[int]) -> None:
        self._paused |= set(partitions) & self._positions.keys()

    @override
    def resume(self, partitions: Collection[int]) -> None:
        self._paused -= set(partitions)

    @override
    def rewind(self, partition: int, offset: int) -> None:
        if offset <= self._positions.get(partition, -1):
            self.begin(partition, offset)

    @override
    def begin(self, partition: int, offset: int) -> None:
        if partition in self._positions:
            self._positions[partition] = offset

    @override
    async def commit(self, offsets: Mapping[int, int]) -> bool:
        if not offsets.keys() <= self._positions.keys():
            return False
        for partition, offset in offsets.items():
            self._log.commit(self.topic, self.group, partition, offset)
        return True

    @override
    async def committed(self, partitions: Collection[int]) -> Mapping[int, int | None]:
        ours = [p for p in partitions if p in self._positions]
        return {p: self._log.committed(self.topic, self.group, p) for p in ours}

    @override
    async def bounds(self, partitions: Collection[int]) -> Mapping[int, range]:
        ours = [p for p in partitions if p in self._positions]
        found = {p: self._log.segment(self.topic, p) for p in ours}
        return {p: range(at.start, at.end) for p, at in found.items()}
