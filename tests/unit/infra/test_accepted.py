"""Reading accepted requests in parts: until when all was read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from aiokafka import TopicPartition

from infra.kafka.accepted import KafkaAccepted
from schemas.events import Attributes
from schemas.topics import REQUESTS_ACCEPTED
from tests.support.audit import NOON, recorded

LATER = NOON + timedelta(hours=1)
FIRST, SECOND = (TopicPartition(REQUESTS_ACCEPTED.name, at) for at in range(2))


class Reader:
    """A consumer of two partitions, each with two records a minute apart.

    Each poll brings one record of one of them.
    """

    def __init__(self) -> None:
        self.at = {FIRST: 0, SECOND: 0}

    def reader(self) -> "Reader":
        return self

    def assign(self, _: Sequence[Any]) -> None: ...

    def seek(self, part: TopicPartition, offset: int) -> None:
        self.at[part] = offset

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def beginning_offsets(
        self, parts: Sequence[Any]
    ) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(parts, 0)

    async def end_offsets(self, parts: Sequence[Any]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(parts, 2)

    async def position(self, part: TopicPartition) -> int:
        return self.at[part]

    async def getmany(self, *parts: Any, **_: Any) -> Mapping[TopicPartition, Any]:
        part = min(parts, key=lambda each: (self.at[each], each.partition))
        offset, self.at[part] = self.at[part], self.at[part] + 1
        return {part: [record(offset)]}


@dataclass(frozen=True, slots=True)
class Raw:
    """As much of a record as is looked at."""

    offset: int
    timestamp: int
    attributes: Attributes

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        return self.attributes.headers()


def record(offset: int) -> Raw:
    appended = NOON + offset * timedelta(minutes=1)
    return Raw(offset, round(appended.timestamp() * 1000), recorded("a").attributes)


@pytest.mark.parametrize(
    ("limit", "until"), [(2, NOON), (3, NOON), (9, LATER)], ids=["two", "three", "all"]
)
async def test_what_is_cut_short_is_read_until_where_the_slowest_is(
    limit: int, until: datetime
) -> None:
    """Else who watches how far the check has come hears of no backlog."""
    clients: Any = Reader()
    topic = replace(REQUESTS_ACCEPTED, partitions=2)

    span = await KafkaAccepted(clients, limit, topic).read({}, LATER)

    assert until == span.until
    assert min(limit, 4) == len(span.requests)
