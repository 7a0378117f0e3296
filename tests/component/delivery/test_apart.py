"""An answer of Kafka's that never comes holds up its own group, and no other."""

import asyncio
import gc
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from consumers.delivery import Delivery, ordered
from consumers.delivery.serving import DRAIN_S
from infra.kafka import clients
from infra.kafka.clients import KafkaClients
from schemas.events import Event
from schemas.topics import REQUESTS_ACCEPTED, REQUESTS_SCREENED, Outgoing
from tests.support.delivery import Bench

TURNS = 5


class NoBroker:
    """Nobody is asked here."""

    async def connect(self) -> None: ...

    async def stop(self) -> None: ...


async def handle(_: Event[Any], __: None) -> Sequence[Outgoing[Any]]:
    return ()


async def nothing(_: float = 0) -> None:
    """Nobody is there to be left, and nothing in hand."""


def of_two(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Delivery:
    """Two groups, and no broker."""
    topics = (REQUESTS_ACCEPTED, REQUESTS_SCREENED)
    made = Delivery(
        [ordered(each, handle) for each in topics],
        kafka=KafkaClients("127.0.0.1:1"),
        means=bench.means,
    )
    monkeypatch.setattr(made, "_broker", NoBroker())
    for member in made._members:
        monkeypatch.setattr(member, "finish", nothing)
        monkeypatch.setattr(member, "leave", nothing)
    return made


@pytest.mark.parametrize("hangs", ["join", "settle", "look"])
async def test_a_group_whose_answer_never_comes_holds_up_no_other(
    hangs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, calls = Bench(), Counter[tuple[str, str]]()
    delivery = of_two(bench, monkeypatch)

    def asked(group: str, what: str, *, hang: bool) -> Callable[[], Awaitable[None]]:
        async def call() -> None:
            calls[group, what] += 1
            if hang:
                await asyncio.get_running_loop().create_future()

        return call

    for member in delivery._members:
        group = str(member.subscription.group)
        first = group == REQUESTS_ACCEPTED.group
        join = asked(group, "join", hang=first and hangs == "join")
        settle = asked(group, "settle", hang=first and hangs == "settle")
        look = asked(group, "look", hang=first and hangs == "look")
        member.mode.commits.owing.set()
        monkeypatch.setattr(member, "join", join)
        monkeypatch.setattr(member.mode.commits, "settle", settle)
        monkeypatch.setattr(member, "look", look)
    stop = asyncio.Event()
    running = asyncio.create_task(delivery.run(stop))
    for _ in range(TURNS):
        await bench.clock.pass_by(30.0)
    alive = delivery.alive()
    stop.set()
    await running

    other = REQUESTS_SCREENED.group
    assert alive
    assert 1 == calls[str(REQUESTS_ACCEPTED.group), hangs]
    assert 1 == calls[str(other), "join"]
    assert TURNS <= calls[str(other), "settle"]
    assert TURNS <= calls[str(other), "look"]


async def test_where_no_group_can_be_joined_it_ends_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    left = list[float]()
    delivery = of_two(Bench(), monkeypatch)

    async def refused() -> None:
        raise KafkaConnectionError

    async def finish(seconds: float) -> None:
        left.append(seconds)

    for member in delivery._members:
        monkeypatch.setattr(member, "join", refused)
        monkeypatch.setattr(member, "finish", finish)
    with pytest.raises(KafkaConnectionError):
        await delivery.run(asyncio.Event())
    gc.collect()

    assert [DRAIN_S] * 2 == left
    assert [] == caplog.records


async def test_a_broker_that_takes_a_connection_and_says_nothing_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clients, "ANSWERS_WITHIN_S", 0.2)
    left = asyncio.Event()

    async def silent(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        left.set()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        # aiokafka by itself would give up after its own 5 s at the earliest.
        async with asyncio.timeout(4):
            answered = await KafkaClients(f"127.0.0.1:{port}").answers()
    finally:
        server.close()
    await left.wait()

    assert not answered


async def test_who_drains_is_alive_and_commits_what_comes_to_an_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench, settled = Bench(), Counter[str]()
    delivery = of_two(bench, monkeypatch)

    async def join() -> None: ...

    async def settle() -> None:
        settled["times"] += 1

    for member in delivery._members:
        member.mode.commits.owing.set()
        monkeypatch.setattr(member, "join", join)
        monkeypatch.setattr(member, "look", join)
        monkeypatch.setattr(member, "finish", bench.clock.sleep)
        monkeypatch.setattr(member.mode.commits, "settle", settle)
    stop = asyncio.Event()
    stop.set()
    running = asyncio.create_task(delivery.run(stop))
    await bench.clock.pass_by(DRAIN_S / 2)
    alive = delivery.alive()
    await bench.clock.run(running)

    assert alive
    assert settled["times"] > DRAIN_S / 2


async def test_who_cannot_leave_cuts_off_no_other_s_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    delivery = of_two(bench, monkeypatch)

    async def join() -> None: ...

    async def fails(_: float) -> None:
        raise KafkaConnectionError

    first, second = delivery._members
    for member, finish in ((first, fails), (second, bench.clock.sleep)):
        monkeypatch.setattr(member, "join", join)
        monkeypatch.setattr(member, "finish", finish)
    stop = asyncio.Event()
    stop.set()
    with pytest.raises(KafkaConnectionError):
        await bench.clock.run(delivery.run(stop))

    assert DRAIN_S <= bench.clock.monotonic()


async def test_who_could_not_drain_leaves_its_group_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else its partitions stand still until the group's patience ends."""
    left = list[str]()
    delivery = of_two(Bench(), monkeypatch)

    async def join() -> None: ...

    async def fails(_: float) -> None:
        raise KafkaConnectionError

    async def leave(group: str) -> None:
        left.append(group)

    for member in delivery._members:
        monkeypatch.setattr(member, "join", join)
        monkeypatch.setattr(member, "finish", fails)
        monkeypatch.setattr(member, "leave", partial(leave, member.subscription.group))
    stop = asyncio.Event()
    stop.set()
    with pytest.raises(KafkaConnectionError):
        await delivery.run(stop)

    assert {REQUESTS_ACCEPTED.group, REQUESTS_SCREENED.group} == set(left)


async def test_who_leaves_asks_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopped client that is asked connects anew, and nobody closes that."""
    bench, asking = Bench(), Counter[str]()
    delivery = of_two(bench, monkeypatch)

    async def join() -> None: ...

    async def ask() -> None:
        asking["now"] += 1
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await bench.clock.breathe()
            asking["now"] -= 1

    async def leave() -> None:
        asking["left"] += 1
        asking["late"] += asking["now"]

    only = delivery._members[:] = delivery._members[:1]
    for member in only:
        member.mode.commits.owing.set()
        monkeypatch.setattr(member, "join", join)
        monkeypatch.setattr(member, "look", ask)
        monkeypatch.setattr(member.mode.commits, "settle", ask)
        monkeypatch.setattr(member, "leave", leave)
    stop = asyncio.Event()
    running = asyncio.create_task(delivery.run(stop))
    await bench.clock.pass_by(30.0)
    asked = asking["now"]
    stop.set()
    await running

    assert (2, 1, 0) == (asked, asking["left"], asking["late"])


async def test_a_commit_that_fails_as_nobody_expected_is_not_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench, tries = Bench(), Counter[str]()
    delivery = of_two(bench, monkeypatch)

    async def nowhere() -> None: ...

    async def settle() -> None:
        tries["settle"] += 1
        raise ValueError

    for member in delivery._members:
        member.mode.commits.owing.set()
        monkeypatch.setattr(member, "join", nowhere)
        monkeypatch.setattr(member, "look", nowhere)
        monkeypatch.setattr(member.mode.commits, "settle", settle)
    stop = asyncio.Event()
    running = asyncio.create_task(delivery.run(stop))
    await bench.clock.pass_by(30.0)
    stop.set()
    await running

    assert tries["settle"] > 2 * len(delivery._members)
    assert {"ValueError"} == set(bench.seen.places)
