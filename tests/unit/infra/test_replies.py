"""The reply box: it keeps nobody for ever, misses nobody, and says when it is dead."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from infra.kafka.replies import ReplyBox
from infra.system import SystemClock
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
