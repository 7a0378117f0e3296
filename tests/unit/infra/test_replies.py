"""The reply box: it keeps nobody for ever, misses nobody, and says when it is dead."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError
from typing_extensions import override

from infra.kafka.replies import ReplyBox
from infra.system import SystemClock
from schemas.events import Attributes, Event
from schemas.ids import EventId, RequestId
from schemas.requests import Outcome, RequestReplied
from schemas.topics import REPLIES
from tests.support.audit import NOON, TENANT
from tests.support.installation import new_request_id


async def test_nothing_is_kept_of_requests_for_which_nobody_waits() -> None:
    """A gateway answers millions between two restarts."""
    nobody: Any = None
    box = ReplyBox(nobody, 0, SystemClock())
    waiting = [box.expect(new_request_id()) for _ in range(10)]
    expecting = box.expecting
    for each in waiting:
        each.cancel()
    await asyncio.wait(waiting)
    await asyncio.sleep(0)  # noqa: TID251 - what is done is told a turn later

    assert (10, 0) == (expecting, box.expecting)
    assert {} == box._waiting


class Reader:
    """A consumer that learns its end, and fails, when it is told to."""

    def __init__(self) -> None:
        self.known, self.fails = asyncio.Event(), asyncio.Event()

    def reader(self) -> "Reader":
        return self

    def assign(self, _: Sequence[Any]) -> None: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def seek_to_end(self, _: Any) -> None: ...

    async def position(self, _: Any) -> int:
        await self.known.wait()
        return 7

    async def getmany(self, **_: Any) -> Mapping[Any, Any]:
        await self.fails.wait()
        raise ValueError


async def test_it_is_open_once_it_knows_where_it_reads_from() -> None:
    """What is asked before would be answered behind its back."""
    slow: Any = Reader()
    box = ReplyBox(slow, 0, SystemClock())
    opening = asyncio.create_task(box.__aenter__())
    done, _ = await asyncio.wait({opening}, timeout=0.05)
    slow.known.set()
    await opening
    alive = box.alive
    await box.__aexit__(None, None, None)

    assert (set(), True) == (done, alive)


async def test_a_box_that_reads_no_more_is_not_alive() -> None:
    broken: Any = Reader()
    broken.known.set()
    box, told = ReplyBox(broken, 0, SystemClock()), list[bool]()
    told.append(box.alive)
    async with box:
        told.append(box.alive)
        broken.fails.set()
        await asyncio.sleep(0.01)  # noqa: TID251 - its reading ends by itself
        told.append(box.alive)

    assert [False, True, False] == told


@dataclass
class Raw:
    """A record of the topic, as far as the box looks at it."""

    headers: Sequence[tuple[str, bytes | None]]
    value: bytes | None


def reply(request: RequestId) -> Event[RequestReplied]:
    attributes = Attributes(
        id=EventId(request),
        type=RequestReplied.kind,
        source="/test",
        subject=request,
        tenant=TENANT,
        time=NOON,
    )
    return Event(attributes, RequestReplied(outcome=Outcome.COMPLETED))


def record(event: Event[RequestReplied], value: bytes | None = None) -> Raw:
    written = event.data.model_dump_json().encode()
    return Raw(event.attributes.headers(), written if value is None else value)


class Given(Reader):
    """A consumer of partition 0 that is given records, or errors, to come up with."""

    def __init__(self) -> None:
        super().__init__()
        self.known.set()
        self.polls: asyncio.Queue[Sequence[Raw] | Exception] = asyncio.Queue()

    @override
    async def getmany(self, **_: Any) -> Mapping[Any, Any]:
        poll = await self.polls.get()
        if isinstance(poll, Exception):
            raise poll
        return {TopicPartition(REPLIES.name, 0): poll}


@pytest.mark.parametrize(
    "before",
    [
        lambda _: [Raw([], b"{}")],
        lambda mine: [Raw(record(mine).headers, None)],
        lambda mine: [record(mine, b'{"outcome": "a word of tomorrow"}')],
        lambda _: [record(reply(new_request_id()))],
        lambda _: KafkaConnectionError(),
    ],
    ids=["no headers", "no value", "another version", "another's", "Kafka away"],
)
async def test_what_it_cannot_use_costs_no_other_reply(
    before: Callable[[Event[RequestReplied]], Sequence[Raw] | Exception],
) -> None:
    given: Any = Given()
    mine = reply(new_request_id())
    async with ReplyBox(given, 0, SystemClock()) as box:
        waiting = box.expect(RequestId(mine.attributes.subject))
        for each in (before(mine), [record(mine)]):
            given.polls.put_nowait(each)
        answer = await asyncio.wait_for(waiting, 5)

        assert (mine, True) == (answer, box.alive)
