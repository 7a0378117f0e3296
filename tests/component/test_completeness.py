"""The completeness worker: what it records, and what it raises."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from typing_extensions import override

from infra.memory.ledger import MemoryLedger
from infra.memory.webhooks import MemoryWebhooks
from infra.system import SystemClock, SystemEntropy
from pipeline.audit import ROOT, Recorded, record
from pipeline.checked import CHECKED
from pipeline.errors import RetryableError
from pipeline.ports.accepted import AcceptedRequests, Span
from pipeline.ports.ledger import Appended, Deleted, Ledger, SourceOffsets
from pipeline.querying import Query
from pipeline.root import Rooted
from producers.completeness import INCIDENT, CompletenessWorker
from schemas.audit import CLOSED, AuditRecord
from schemas.ids import RequestId, TenantId
from schemas.topics import REQUESTS_ACCEPTED
from schemas.webhooks import Kind
from tests.support.audit import OTHER, TENANT, recorded, request_id
from tests.support.bent import BentLedger
from tests.support.webhooks import bare, holder

TOPIC = REQUESTS_ACCEPTED.name


@dataclass
class Topic(AcceptedRequests):
    """One partition of accepted requests, with the moment of each.

    Attributes:
        first: what lies before it is not kept any more.
        meanwhile: happens between reading and appending.
    """

    records: list[tuple[TenantId, RequestId, datetime]] = field(default_factory=list)
    first: int = 0
    meanwhile: Callable[[], Awaitable[object]] | None = None

    @override
    async def read(
        self, begin: Mapping[int, int], before: datetime, since: datetime | None = None
    ) -> Span:
        stored = begin.get(0, self.first)
        anew = stored > len(self.records)
        start = self.first if anew else max(self.first, stored)
        ready = [each for each in self.records[start:] if each[2] < before]
        found = tuple((tenant, request) for tenant, request, _ in ready)
        if meanwhile := self.meanwhile:
            self.meanwhile = None
            await meanwhile()
        return Span(
            found,
            {0: start},
            {0: start + len(ready)},
            until=before,
            expired={0: range(stored, start)} if start > stored else {},
            anew=frozenset({0} if anew else ()),
        )


@dataclass
class Scene:
    """A topic and a ledger."""

    topic: Topic
    ledger: BentLedger
    worker: CompletenessWorker
    rows: MemoryWebhooks
    alarms: list[int]
    told: list[float]

    async def story(
        self, name: str, *actions: str, tenant: TenantId = TENANT, age_s: int = 3600
    ) -> None:
        """A request that was accepted, and what the ledger holds of it."""
        moment = SystemClock().now() - timedelta(seconds=age_s)
        self.topic.records.append((tenant, request_id(name), moment))
        await self.ledger.append(
            [
                recorded(name + each, f"request.{each}", tenant=tenant, request=name)
                for each in actions
            ]
        )

    async def checks(
        self, tenant: TenantId, action: str = CHECKED
    ) -> list[AuditRecord]:
        found = [record(each.body) for each in await self.ledger.read(tenant, 0, 99)]
        return [each for each in found if each.action == action]


@pytest.fixture
def scene() -> Scene:
    ledger, topic = BentLedger("test.example", SystemEntropy()), Topic()
    rows, alarms, told = MemoryWebhooks(), list[int](), list[float]()
    worker = CompletenessWorker(
        accepted=topic,
        ledger=ledger,
        logs=ledger,
        deliveries=rows,
        clock=SystemClock(),
        alarm=alarms.append,
        tell=told.append,
        settled=timedelta(minutes=15),
    )
    return Scene(topic, ledger, worker, rows, alarms, told)


async def test_what_ended_is_recorded_for_its_tenant_and_the_root(scene: Scene) -> None:
    await scene.story("a", "accepted", "screened", "completed")
    await scene.story("b", "accepted", "blocked")
    await scene.story("c", "accepted", "failed", tenant=OTHER)

    more = await scene.worker.round()

    (one,), (two,), (root,) = [await scene.checks(t) for t in (TENANT, OTHER, ROOT)]
    assert more
    assert one.completeness is not None
    assert two.completeness is not None
    assert (2, 1) == (one.completeness.accepted, two.completeness.accepted)
    assert "complete" == one.status
    assert [(0, 0, 3)] == [(r.partition, r.begin, r.end) for r in root.offsets]


async def test_it_goes_on_where_its_record_ended(scene: Scene) -> None:
    await scene.story("a", "accepted", "completed")
    rounds = [await scene.worker.round(), await scene.worker.round()]
    await scene.story("b", "accepted", "completed")
    rounds.append(await scene.worker.round())

    assert [True, False, True] == rounds
    ranges = [each.offsets[0] for each in await scene.checks(ROOT)]
    assert [(0, 1), (1, 2)] == [(each.begin, each.end) for each in ranges]


async def test_what_is_young_is_left_for_later(scene: Scene) -> None:
    await scene.story("a", "accepted", age_s=60)

    assert not await scene.worker.round()
    assert [] == await scene.checks(TENANT)


@pytest.mark.parametrize(
    ("actions", "counts"),
    [
        ((), (1, 1)),
        (("accepted", "screened"), (0, 1)),
        (("screened", "completed"), (1, 0)),
    ],
)
async def test_what_is_missing_is_named_and_raised(
    scene: Scene, actions: tuple[str, ...], counts: tuple[int, int]
) -> None:
    await scene.story("lost", *actions)

    endpoint, secret = bare(TENANT, Kind.LEDGER_INCIDENT)
    await scene.rows.create(endpoint, secret, holder(TENANT))

    await scene.worker.round()

    (due,) = await scene.rows.sweep(SystemClock().now() + timedelta(minutes=2), 9)
    assert ([1], endpoint.id) == (scene.alarms, due.endpoint_id)
    (check,) = await scene.checks(TENANT)
    assert check.completeness is not None
    found = check.completeness
    assert counts == (found.unrecorded, found.unended)
    assert (request_id("lost"),) == found.missing
    assert "incomplete" == check.status
    (incident,) = await scene.checks(TENANT, INCIDENT)
    assert check.completeness == incident.completeness


async def test_a_redelivered_acceptance_counts_once(scene: Scene) -> None:
    await scene.story("a", "accepted", "completed")
    await scene.story("a")

    await scene.worker.round()

    (check,) = await scene.checks(TENANT)
    assert check.completeness is not None
    assert 1 == check.completeness.accepted


async def test_what_is_whole_is_no_incident(scene: Scene) -> None:
    await scene.story("a", "accepted", "completed")

    await scene.worker.round()

    assert [] == [*scene.alarms, *await scene.checks(TENANT, INCIDENT)]
    assert [] == await scene.checks(ROOT, INCIDENT)
    (told,) = scene.told
    assert 900 == pytest.approx(SystemClock().now().timestamp() - told, abs=60)


async def test_of_two_copies_one_records(scene: Scene) -> None:
    """The other reads more, since time went on, and begins again."""
    await scene.story("a", "accepted")
    await scene.story("b", "accepted", "completed", age_s=880)

    async def other() -> None:
        quick = replace(scene.worker, settled=timedelta(seconds=800))
        await quick.round()

    scene.topic.meanwhile = other
    with pytest.raises(RetryableError):
        await scene.worker.round()
    again = await scene.worker.round()

    assert not again
    ranges = [each.offsets[0] for each in await scene.checks(ROOT)]
    assert [(0, 2)] == [(each.begin, each.end) for each in ranges]
    assert 1 == len(await scene.checks(TENANT, INCIDENT))


async def test_what_expired_unread_is_an_incident_of_the_root(scene: Scene) -> None:
    await scene.story("a", "accepted", "completed")
    await scene.worker.round()
    for name in "bcd":
        await scene.story(name, "accepted", "completed")
    scene.topic.first = 3

    await scene.worker.round()
    again = await scene.worker.round()

    (incident,) = await scene.checks(ROOT, INCIDENT)
    assert [("expired", "partition_0")] == [
        (each.verdict, each.rule) for each in incident.decision
    ]
    assert [(0, 1, 3)] == [(r.partition, r.begin, r.end) for r in incident.offsets]
    assert ([1], False) == (scene.alarms, again)


async def test_a_topic_made_anew_is_an_incident_and_is_read_whole(
    scene: Scene,
) -> None:
    for name in "abc":
        await scene.story(name, "accepted", "completed")
    await scene.worker.round()
    scene.topic.records.clear()
    await scene.story("new", "accepted")

    rounds = [await scene.worker.round() for _ in range(2)]

    (incident,) = await scene.checks(ROOT, INCIDENT)
    assert ["made_anew"] == [each.verdict for each in incident.decision]
    (lost,) = await scene.checks(TENANT, INCIDENT)
    assert lost.completeness is not None
    assert (request_id("new"),) == lost.completeness.missing
    assert [True, False] == rounds


async def test_a_worker_that_dies_before_it_appends_has_raised_the_alarm(
    scene: Scene,
) -> None:
    await scene.story("lost", "accepted")

    class Dying(MemoryLedger):
        @override
        async def append(
            self, events: Sequence[Recorded], source: SourceOffsets | None = None
        ) -> Appended:
            raise RetryableError("killed")

    dying = replace(scene.worker, ledger=Dying("test.example", SystemEntropy()))
    with pytest.raises(RetryableError):
        await dying.round()
    await scene.worker.round()

    assert [1, 1] == scene.alarms
    assert 1 == len(await scene.checks(TENANT, INCIDENT))


async def test_a_closed_log_is_told_nothing_more(scene: Scene) -> None:
    await scene.story("a", "accepted")
    await scene.ledger.append([recorded("end", CLOSED, tenant=TENANT)])

    await scene.worker.round()

    assert [] == await scene.checks(TENANT)
    incident = await scene.checks(ROOT, INCIDENT)
    assert [(request_id("a"),)] == [
        each.completeness.missing for each in incident if each.completeness
    ]


async def test_offsets_that_were_moved_on_are_told_and_nothing_is_skipped(
    scene: Scene,
) -> None:
    await scene.story("a", "accepted", "completed")
    await scene.worker.round()
    for name in ("lost", "lost too"):
        await scene.story(name)
    scene.ledger._offsets[TOPIC] = {0: 3}
    await scene.story("b", "accepted", "completed")
    # What is said of other logs stands between, and names no offsets.
    await scene.ledger.append([recorded(str(n), tenant=ROOT) for n in range(6000)])

    rounds = [await scene.worker.round(), await scene.worker.round()]

    assert [True, False] == rounds
    (said,) = [each for each in await incidents(scene, ROOT) if each.offsets]
    assert [(1, 3)] == [(each.begin, each.end) for each in said.offsets]
    assert ["skipped"] == [each.verdict for each in said.decision]
    (lost,) = await incidents(scene, TENANT)
    assert lost.completeness is not None
    assert {*map(request_id, ("lost", "lost too"))} == {*lost.completeness.missing}
    assert [2] == scene.alarms


async def test_offsets_that_were_there_before_the_first_round_are_told(
    scene: Scene,
) -> None:
    await scene.story("lost")
    scene.ledger._offsets[TOPIC] = {0: 1}

    await scene.worker.round()

    assert ["skipped"] == [
        each.verdict for row in await incidents(scene, ROOT) for each in row.decision
    ]
    assert 1 == len(await incidents(scene, TENANT))


async def test_a_copy_that_was_quicker_moved_no_offsets(scene: Scene) -> None:
    """What is stored and what the root log says are two questions."""
    await scene.story("a", "accepted", "completed")
    await scene.worker.round()
    before = deepcopy(scene.ledger)
    await scene.story("b", "accepted", "completed")
    await scene.worker.round()
    await scene.story("c", "accepted", "completed")

    with pytest.raises(RetryableError):
        await replace(scene.worker, ledger=Passing(scene.ledger), logs=before).round()

    assert [] == scene.alarms


class Passing(Ledger):
    """Another copy stores what it read between two looks at the same ledger."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger

    @override
    async def source(self, topic: str) -> SourceOffsets:
        found = await self._ledger.source(topic)
        self._ledger._offsets[topic] = {0: 3}
        return found

    @override
    async def append(
        self, events: Sequence[Recorded], source: SourceOffsets | None = None
    ) -> Appended:
        return await self._ledger.append(events, source)


async def incidents(scene: Scene, tenant: TenantId) -> list[AuditRecord]:
    found = await scene.ledger.find(tenant, Query(action=INCIDENT), 0, 99)
    return [record(each.body) for each in found]


async def test_of_a_bent_log_the_root_log_is_told(scene: Scene) -> None:
    """It takes no record; whoever else asks has an answer."""
    await scene.story("a", "accepted")
    await scene.story("b", "accepted", tenant=OTHER)
    scene.ledger.bent.add(TENANT)

    await scene.worker.round()

    incident = await scene.checks(ROOT, INCIDENT)
    assert [(request_id("a"),)] == [
        each.completeness.missing for each in incident if each.completeness
    ]
    assert 1 == len(await scene.checks(OTHER, INCIDENT))


async def test_of_a_deleted_log_nothing_is_missing(scene: Scene) -> None:
    await scene.story("a", "accepted", "completed")
    kept = Deleted(TENANT, "origin", b"", "", Rooted(bytes(32), 0))
    scene.ledger._deleted[TENANT] = kept
    del scene.ledger._heads[TENANT], scene.ledger._entries[TENANT]

    await scene.worker.round()

    assert [] == await scene.checks(ROOT, INCIDENT)
    assert [] == scene.alarms
