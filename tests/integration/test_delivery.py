"""Delivery on the real broker: what is handled, published, buried and committed."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition, codec
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from typing_extensions import override

from consumers.delivery import (
    Bounds,
    Subscription,
    concurrent,
    ordered,
    ordered_batch,
    ordered_raw,
)
from demo.stack import Stack
from infra.kafka import topics
from infra.system import SystemClock
from pipeline.errors import RetryableError
from pipeline.ports.bus import Record
from schemas.audit import AuditRecorded
from schemas.events import Event
from schemas.topics import MAX_RECORD_BYTES, TOPICS, Outgoing, Topic
from tests.support.audit import recorded
from tests.support.delivery import headers
from tests.support.kafka import (
    committed,
    delivering,
    everything,
    finished,
    new_topic,
    put,
    subjects,
    until,
)

pytestmark = pytest.mark.integration

sleep = asyncio.sleep  # noqa: TID251 - waits for another process
Audited = Event[AuditRecorded]
Source = Topic[AuditRecorded]


@pytest.fixture
def kafka(stack: Stack) -> str:
    return stack.kafka_bootstrap


@pytest.fixture
async def source(kafka: str) -> Source:
    return await new_topic(kafka, "source")


@pytest.fixture
async def sink(kafka: str) -> Source:
    return await new_topic(kafka, "sink")


@pytest.fixture
async def _topics(kafka: str) -> None:
    """Burials tell the audit topic."""
    await topics.create(kafka, replication=1, topics=TOPICS)


def onward(
    sink: Source,
) -> Callable[[Audited, Any], Awaitable[Sequence[Outgoing[Any]]]]:
    async def handle(event: Audited, _: Any) -> Sequence[Outgoing[Any]]:
        return [Outgoing(sink, event)]

    return handle


def named(*names: str) -> list[str]:
    return [recorded(name).attributes.subject for name in names]


NAMES = [f"n{at}" for at in range(200)]


async def arrived(kafka: str, sink: Source) -> Counter[str]:
    return Counter(subjects(await everything(kafka, sink.name)))


async def test_ordered_records_arrive_once_and_are_committed(
    kafka: str, source: Source, sink: Source
) -> None:
    await put(kafka, source, *NAMES)
    async with delivering(kafka, ordered(source, onward(sink))) as running:
        await until(lambda: finished(kafka, source))
        ready, reasons = running.delivery.ready(), running.delivery.reasons()

    assert Counter(named(*NAMES)) == await arrived(kafka, sink)
    assert (True, []) == (ready, reasons)
    assert running.delivery.alive()
    assert ["delivery:stopping"] == running.delivery.reasons()


async def test_what_was_committed_is_not_handled_by_the_next(
    kafka: str, source: Source, sink: Source
) -> None:
    await put(kafka, source, "a", "b")
    async with delivering(kafka, ordered(source, onward(sink))):
        await until(lambda: finished(kafka, source))
    await put(kafka, source, "c")
    async with delivering(kafka, ordered(source, onward(sink))):
        await until(lambda: finished(kafka, source))

    assert Counter(named("a", "b", "c")) == await arrived(kafka, sink)


@dataclass
class Store:
    """A handler that stores offsets of its own, and what it was given."""

    offsets: dict[int, int] = field(default_factory=dict)
    seen: list[tuple[int, int]] = field(default_factory=list)

    async def handle(
        self, pairs: Sequence[tuple[Record, Audited]]
    ) -> Sequence[Outgoing[Any]]:
        self.seen += [(record.partition, record.offset) for record, _ in pairs]
        return ()

    async def stored(self, _: Sequence[int]) -> Mapping[int, int]:
        return self.offsets

    def subscribed(self, source: Source) -> Subscription:
        return ordered_batch(source, self.handle, offsets=self.stored)


ALL_OF_12 = [(partition, offset) for partition in range(4) for offset in range(3)]


async def test_a_batch_begins_again_where_its_own_store_is_behind(
    kafka: str, source: Source
) -> None:
    await put(kafka, source, *NAMES[:12])
    async with delivering(kafka, Store().subscribed(source)):
        await until(lambda: finished(kafka, source))
    # One was put back, one is ahead of what the group knows.
    store = Store({0: 1, 1: 99})

    async with delivering(kafka, store.subscribed(source)):
        await until(lambda: len(store.seen) >= 2)

    assert [(0, 1), (0, 2)] == sorted(store.seen)


async def test_of_a_topic_made_anew_nothing_is_passed_over(
    kafka: str, source: Source
) -> None:
    await put(kafka, source, *NAMES[:12])
    async with delivering(kafka, Store().subscribed(source)):
        await until(lambda: finished(kafka, source))
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.delete_topics([source.name])
    await admin.close()
    await until(lambda: made_again(kafka, source))
    await put(kafka, source, *NAMES[:12])
    store = Store(dict.fromkeys(range(4), 2))

    async with delivering(kafka, store.subscribed(source)):
        await until(lambda: finished(kafka, source))

    assert ALL_OF_12 == sorted(store.seen)


async def made_again(kafka: str, source: Source) -> bool:
    """The broker forgets a name a moment after it was told to."""
    try:
        await topics.create(kafka, replication=1, topics=[source])
    except (topics.TopicsDiffer, RetryableError):
        return False
    return await everything(kafka, source.name) == []


async def raw_records(kafka: str, topic: str) -> None:
    """Poison of every kind, in one partition, between two good records."""
    good = recorded("good")
    fine: Any = good.attributes.headers()
    value = good.data.model_dump_json().encode()
    others = [pair for pair in fine if pair[0] != "ce_id"]
    async with AIOKafkaProducer(
        bootstrap_servers=kafka, max_request_size=5 * 1024 * 1024
    ) as producer:
        for body, carried in (
            (value, fine),
            (b"{", fine),
            (b'{"action": 1}', fine),
            (value, [*others, ("ce_id", None)]),
            (value, [*others, ("ce_id", b"\xff\xfe")]),
            (value, []),
            (b"x" * (MAX_RECORD_BYTES - 1_024), fine),
        ):
            await producer.send_and_wait(
                topic, body, key=b"\xff", partition=0, headers=carried
            )
        batch = producer.create_batch()
        batch.append(key=None, value=None, timestamp=None)
        await (await producer.send_batch(batch, topic, partition=0))
        await producer.send_and_wait(topic, value, partition=0, headers=fine)


@pytest.mark.usefixtures("_topics")
@pytest.mark.parametrize("mode", ["ordered", "concurrent", "batch"])
async def test_poison_of_every_kind_costs_one_dead_letter_each(
    kafka: str, source: Source, sink: Source, mode: str
) -> None:
    await raw_records(kafka, source.name)
    async with delivering(kafka, subscribed(mode, source, sink)) as running:
        await until(lambda: finished(kafka, source))

    found = await everything(kafka, source.name)
    dead = await everything(kafka, str(source.dead))
    assert Counter({named("good")[0]: 2}) == await arrived(kafka, sink)
    assert [1, 2, 3, 4, 5, 6, 7] == sorted(
        int(dict(letter.headers)["dead_offset"] or b"") for letter in dead
    )
    for letter in dead:
        record = found[int(dict(letter.headers)["dead_offset"] or b"")]
        assert (record.key, record.value or b"") == (letter.key, letter.value)
    assert {"invalid_message"} == {
        (dict(letter.headers)["dead_reason"] or b"").decode() for letter in dead
    }
    assert 7 == running.seen.counted["buried invalid_message"]


class Odd(str):
    """A header's name that is no UTF-8."""

    __slots__ = ()

    @override
    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return b"\xff\xfe"


def odd_batch(builder: Any, value: bytes, fine: Any) -> Any:
    """What a client that checks nothing may send: aiokafka's own refuses to."""
    builder._builder = _DefaultRecordBatchBuilderPy(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=0,
        batch_size=100_000,
    )
    for headers_now in (fine, [*fine, (Odd("x"), b"v")], fine):
        builder.append(key=b"k", value=value, timestamp=None, headers=headers_now)
    return builder


@pytest.mark.parametrize("mode", ["ordered", "concurrent", "batch"])
async def test_a_header_s_name_that_is_no_text_stops_nobody(
    kafka: str, source: Source, sink: Source, mode: str
) -> None:
    good = recorded("good")
    fine = good.attributes.headers()
    value = good.data.model_dump_json().encode()
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        batch = odd_batch(producer.create_batch(), value, fine)
        await (await producer.send_batch(batch, source.name, partition=0))
    async with delivering(kafka, subscribed(mode, source, sink)):
        await until(lambda: finished(kafka, source))

    assert Counter({named("good")[0]: 3}) == await arrived(kafka, sink)
    assert [] == await everything(kafka, str(source.dead))


async def test_what_a_producer_compressed_is_stored_as_we_can_read_it(
    kafka: str, source: Source, sink: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = recorded("good")
    value = good.data.model_dump_json().encode()
    async with AIOKafkaProducer(
        bootstrap_servers=kafka, compression_type="gzip"
    ) as producer:
        await producer.send_and_wait(
            source.name, value, partition=0, headers=good.attributes.headers()
        )
    # From here on this process knows no codec at all.
    monkeypatch.setattr(codec, "has_gzip", lambda: False)
    async with delivering(kafka, ordered(source, onward(sink))):
        await until(lambda: finished(kafka, source))

    assert Counter(named("good")) == await arrived(kafka, sink)


def subscribed(mode: str, source: Source, sink: Source) -> Subscription:
    async def whole(
        pairs: Sequence[tuple[Record, Audited]],
    ) -> Sequence[Outgoing[Any]]:
        return [Outgoing(sink, event) for _, event in pairs]

    async def nothing(_: Sequence[Audited]) -> None:
        return None

    if mode == "ordered":
        return ordered(source, onward(sink))
    if mode == "batch":
        return ordered_batch(source, whole)
    return concurrent(source, onward(sink), prepare=nothing, lane=lambda _: "one")


@pytest.mark.usefixtures("_topics")
async def test_a_bug_is_buried_after_five_attempts(
    kafka: str, source: Source, sink: Source
) -> None:
    bad, tried = recorded("bad").attributes.id, []

    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        if event.attributes.id == bad:
            tried.append(1)
            raise ValueError("secret")
        return [Outgoing(sink, event)]

    await put(kafka, source, "a", "bad", "c")
    async with delivering(kafka, ordered(source, handle)):
        await until(lambda: finished(kafka, source))

    (letter,) = await everything(kafka, str(source.dead))
    assert 5 == len(tried)
    assert "handler_error" == headers(letter)["dead_reason"]
    assert "secret" not in str(letter.headers)


@pytest.mark.usefixtures("_topics")
@pytest.mark.parametrize("mode", ["ordered", "concurrent"])
async def test_a_dead_letter_that_cannot_be_written_holds_the_partition_only(
    kafka: str, source: Source, sink: Source, mode: str
) -> None:
    await limit(kafka, str(source.dead), 100)
    await put(kafka, source, "a", "b", "c", "d")
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        await producer.send_and_wait(source.name, b"x" * 500, partition=0)
    await put(kafka, source, "e", "f")
    wanted = {0: 1, 1: 2, 2: 1, 3: 1}

    async def others_are_done() -> bool:
        return wanted == await committed(kafka, source)

    async with delivering(kafka, subscribed(mode, source, sink)) as running:
        await until(lambda: running.seen.gauges.get("waiting") == 1)
        await until(others_are_done)
        await sleep(1)  # nothing more is committed before the letter is written
        early = await committed(kafka, source)
        await limit(kafka, str(source.dead), MAX_RECORD_BYTES)
        await until(lambda: finished(kafka, source), 60)

    assert wanted == early
    assert 1 == len(await everything(kafka, str(source.dead)))
    assert Counter(named(*"abcdef")) == await arrived(kafka, sink)


@pytest.mark.usefixtures("_topics")
@pytest.mark.parametrize("mode", ["ordered", "concurrent", "batch"])
async def test_a_burst_of_poison_pulls_the_brake_until_somebody_looked(
    kafka: str, source: Source, sink: Source, mode: str
) -> None:
    """Twenty in a row; what lies behind them stays."""
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        for _ in range(20):
            await producer.send_and_wait(source.name, b"{", partition=0)
    held = f"{source.group}:held"
    async with delivering(kafka, subscribed(mode, source, sink)) as running:
        await until(lambda: held in running.delivery.reasons())
        await put(kafka, source, *"abcd")
        await sleep(1)  # it does not move by itself
        early, ready = await arrived(kafka, sink), running.delivery.ready()
        alive = running.delivery.alive()
        running.delivery.release(source.group or "")
        await until(lambda: finished(kafka, source))
        after = running.delivery.ready()

    assert (Counter(), False, True) == (early, ready, alive)
    assert 20 == len(await everything(kafka, str(source.dead)))
    assert Counter(named(*"abcd")) == await arrived(kafka, sink)
    assert after


async def limit(kafka: str, topic: str, largest: int) -> None:
    """Change the topic's largest record, and wait until the broker says so."""
    asked = ConfigResource(ConfigResourceType.TOPIC, topic)
    settings = {"max.message.bytes": str(largest)}
    wanted = ConfigResource(ConfigResourceType.TOPIC, topic, settings)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.alter_configs([wanted])

    async def changed() -> bool:
        (answer,) = await admin.describe_configs([asked])
        (resource,) = answer.resources
        return settings.items() <= {entry[0]: entry[1] for entry in resource[4]}.items()

    await until(changed)
    await admin.close()


async def test_a_shared_thing_away_is_waited_for_by_its_partition(
    kafka: str, source: Source, sink: Source
) -> None:
    away, bad = asyncio.Event(), recorded("n0").attributes.id

    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        if event.attributes.id == bad and not away.is_set():
            raise RetryableError("away")
        return [Outgoing(sink, event)]

    await put(kafka, source, *NAMES[:40])
    async with delivering(kafka, ordered(source, handle)) as running:
        await until(lambda: running.seen.gauges.get("waiting") == 1)
        await until(lambda: running.delivery.reasons() == [f"{source.group}:waiting"])
        early, alive = await committed(kafka, source), running.delivery.alive()
        away.set()
        await until(lambda: finished(kafka, source), 70)

    assert {0: None, 1: 10, 2: 10, 3: 10} == early
    assert alive
    assert Counter(named(*NAMES[:40])) == await arrived(kafka, sink)


async def test_concurrent_records_finish_in_any_order_and_commit_contiguously(
    kafka: str, source: Source, sink: Source
) -> None:
    slow, release = recorded("n4").attributes.id, asyncio.Event()

    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        if event.attributes.id == slow:
            await release.wait()
        return [Outgoing(sink, event)]

    async def nothing(_: Sequence[Audited]) -> None:
        return None

    await put(kafka, source, *NAMES)
    subscription = concurrent(
        source, handle, prepare=nothing, lane=lambda _: "one", bounds=Bounds(taken=20)
    )
    async with delivering(kafka, subscription) as running:
        await until(lambda: running.seen.counted["handled"] >= len(NAMES) - 1)
        await asyncio.sleep(1)  # noqa: TID251 - the committer's turn
        early = await committed(kafka, source)
        release.set()
        await until(lambda: finished(kafka, source))

    assert {0: 1, 1: 50, 2: 50, 3: 50} == early
    assert Counter(named(*NAMES)) == await arrived(kafka, sink)


async def test_stopping_lets_running_calls_finish(
    kafka: str, source: Source, sink: Source
) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        started.set()
        await release.wait()
        return [Outgoing(sink, event)]

    async def nothing(_: Sequence[Audited]) -> None:
        return None

    await put(kafka, source, "a")
    subscription = concurrent(source, handle, prepare=nothing, lane=lambda _: "one")
    async with delivering(kafka, subscription) as running:
        await started.wait()
        ending = asyncio.create_task(running.end())
        await asyncio.sleep(0.3)  # noqa: TID251 - it must not end by itself
        early = ending.done(), running.delivery.ready()
        release.set()
        await ending

    assert (False, False) == early
    assert Counter(named("a")) == await arrived(kafka, sink)
    assert await finished(kafka, source)


@pytest.mark.parametrize("mode", ["ordered", "concurrent", "batch"])
async def test_stopping_at_full_load_is_quick_and_loses_nothing(
    kafka: str, source: Source, sink: Source, mode: str
) -> None:
    names = [f"l{at}" for at in range(4_000)]
    await put(kafka, source, *names)
    async with delivering(kafka, subscribed(mode, source, sink)) as running:
        await until(lambda: running.seen.counted["handled"] > 0)
        began = SystemClock().monotonic()
        await running.end()
        took = SystemClock().monotonic() - began
    first = sum((at or 0) for at in (await committed(kafka, source)).values())
    early = sum((await arrived(kafka, sink)).values())
    async with delivering(kafka, subscribed(mode, source, sink)):
        await until(lambda: finished(kafka, source), 60)

    found = await arrived(kafka, sink)
    assert took < 5
    # What was published before the stop is committed: nothing is done twice.
    assert first == early
    assert set(named(*names)) == set(found)
    assert len(names) == sum(found.values())


async def test_members_come_and_go_and_nothing_is_lost(
    kafka: str, source: Source, sink: Source
) -> None:
    names = [f"m{at}" for at in range(3_000)]

    async def handle(event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        await asyncio.sleep(0.002)  # noqa: TID251 - so that rebalances meet work
        return [Outgoing(sink, event)]

    async def nothing(_: Sequence[Audited]) -> None:
        return None

    by_lane = concurrent(
        source, handle, prepare=nothing, lane=lambda event: event.attributes.id[0]
    )
    await put(kafka, source, *names)
    async with delivering(kafka, ordered(source, handle)):
        for subscription in (ordered(source, handle), by_lane, by_lane):
            async with delivering(kafka, subscription):
                await asyncio.sleep(1.5)  # noqa: TID251 - a member's life
        await until(lambda: finished(kafka, source), 60)

    found = await arrived(kafka, sink)
    assert set(named(*names)) == set(found)


async def test_records_that_expired_unread_are_an_alarm(
    kafka: str, source: Source, sink: Source
) -> None:
    await put(kafka, source, *NAMES[:40])
    async with delivering(kafka, ordered(source, onward(sink))):
        await until(lambda: finished(kafka, source))
    await put(kafka, source, *NAMES[:40])
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    at = TopicPartition(source.name, 2)
    await admin.delete_records({at: RecordsToDelete(before_offset=17)})
    await admin.close()
    async with delivering(kafka, ordered(source, onward(sink))) as running:
        await until(lambda: finished(kafka, source))

    assert 7 == running.seen.counted["expired"]


async def test_a_stranger_s_records_are_handled_undecoded(
    kafka: str, source: Source
) -> None:
    seen: list[Record] = []

    async def handle(records: Sequence[Record]) -> Sequence[Outgoing[Any]]:
        seen.extend(records)
        return ()

    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        await producer.send_and_wait(
            source.name, b"\xff", partition=1, headers=[("a", b"\xff"), ("b", None)]
        )
    async with delivering(kafka, ordered_raw(source, handle)):
        await until(lambda: finished(kafka, source) if seen else False)

    assert [(b"\xff", (("a", b"\xff"), ("b", None)), True)] == [
        (record.value, record.headers, record.appended) for record in seen
    ]
