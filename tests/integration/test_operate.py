"""``sluice dead``, ``lag`` and ``webhook`` on a real broker and a real database."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from click.testing import CliRunner, Result

from consumers.delivery.attempts import Bury, Reason
from consumers.delivery.dead import Burial, Corpse
from demo.stack import Stack
from infra.kafka import topics
from infra.kafka.clients import KafkaClients
from infra.kafka.publisher import KafkaPublisher
from infra.postgres.deliveries import PostgresDeliveries
from infra.postgres.endpoints import PostgresEndpoints
from infra.postgres.pool import open_pool
from infra.postgres.requests import PostgresRequests
from infra.system import SystemClock, SystemEntropy
from pipeline.ports.bus import Record
from pipeline.ports.webhooks import Due
from pipeline.webhooks import SCHEDULE, Attempt
from producers.cli import main
from producers.cli.desk import operator
from schemas.events import Attributes
from schemas.ids import EventId, RequestId, TenantId
from schemas.topics import (
    AUDIT_RECORDED,
    REQUESTS_ACCEPTED,
    REQUESTS_SCREENED,
    RETENTION_DUE,
    Outgoing,
    Topic,
)
from tests.support.audit import NOON, recorded
from tests.support.installation import (
    PASSWORD,
    Installation,
    admitted,
    ended,
    installed,
    new_request_id,
    new_tenant,
)
from tests.support.kafka import everything
from tests.support.webhooks import bare, holder, message

pytestmark = pytest.mark.integration
CLOCK = SystemClock()
TENANT_ROW = "insert into sluice.tenant (tenant_id, name) values ($1, 'one')"
CLOSED = "update sluice.tenant set state = 'closed' where tenant_id = $1"
SECRET = b'{"action": "nobody may read this'


@dataclass(frozen=True, slots=True)
class Scene:
    """Where everything is, and the operator's shell there."""

    kafka: str
    installation: Installation
    folder: Path

    def run(self, *words: str, **changed: str) -> Result:
        env = {
            "SLUICE_DATABASE__ADMIN_URL": self.installation.urls["sluice_operator"],
            "SLUICE_DATABASE__KEYSTORE_ADMIN_URL": self.installation.urls[
                "sluice_keystore_keeper"
            ],
            "SLUICE_KEYS__DIRECTORY": str(self.folder / "keys"),
            "SLUICE_KEYS__ROOT": str(self.folder / "root.key"),
            "SLUICE_KAFKA__BOOTSTRAP": self.kafka,
            "COLUMNS": "300",
            **changed,
        }
        return CliRunner().invoke(main, words, env=env)

    def ask(self, *words: str) -> Any:
        done = self.run(*words, "--json")
        assert 0 == done.exit_code, done.output
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def scene(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    asyncio.run(topics.create(stack.kafka_bootstrap, replication=1))
    with installed(stack.postgres_url) as made:
        yield Scene(stack.kafka_bootstrap, made, tmp_path_factory.mktemp("desk"))


@dataclass(frozen=True, slots=True)
class Buried:
    id: str
    record: Record


async def bury(scene: Scene, topic: Topic[Any], attributes: Attributes) -> Buried:
    """A record that nobody can read, sent to its topic and buried from there."""
    async with KafkaPublisher(KafkaClients(scene.kafka)) as publisher:
        key, headers = topic.key(attributes), attributes.headers()
        producer = publisher._producer
        assert producer is not None
        sent = await producer.send_and_wait(
            topic.name, SECRET, key=key, partition=1, headers=headers
        )
        record = Record(
            topic=topic.name,
            partition=sent.partition,
            offset=sent.offset,
            key=key,
            value=SECRET,
            headers=tuple(headers),
            timestamp_ms=sent.timestamp,
            appended=True,
        )
        corpse = Corpse(
            topic=topic,
            group=str(topic.group),
            record=record,
            verdict=Bury(Reason.INVALID_MESSAGE, "RequestAccepted.terms"),
            attempts=1,
            first_at=CLOCK.now(),
            stranger=False,
        )
        burial = Burial(
            publisher=publisher, clock=CLOCK, version="0.1.0", seal_stranger=bytes
        )
        await burial.bury(corpse)
    return Buried(corpse.dead_id, record)


def attributes(tenant: TenantId, subject: str) -> Attributes:
    return replace(recorded("x", tenant=tenant).attributes, subject=subject, time=NOON)


def test_letters_are_listed_and_shown_without_content(scene: Scene) -> None:
    tenant = new_tenant()
    buried = asyncio.run(bury(scene, RETENTION_DUE, attributes(tenant, "job")))

    rows = scene.ask("dead", "list", "--group", "retention")
    shown = scene.ask("dead", "show", buried.id)
    counts = scene.ask("dead", "list", "--count")
    text = scene.run("dead", "show", buried.id).output

    (row,) = [row for row in rows if row["id"] == buried.id]
    assert f"1:{buried.record.offset}" == row["record"]
    assert "invalid_message" == row["reason"]
    assert len(SECRET) == shown["value_bytes"]
    assert tenant == shown["ce_tenant"]
    assert "(3 bytes)" == shown["ce_subject"]
    assert [r["count"] for r in counts if r["group"] == "retention"] == [len(rows)]
    assert "nobody may read" not in f"{rows}{shown}{text}"


def test_a_letter_goes_back_as_it_came_and_the_ledger_is_told(scene: Scene) -> None:
    tenant = new_tenant()
    buried = asyncio.run(bury(scene, AUDIT_RECORDED, attributes(tenant, "job")))

    rows = scene.ask("dead", "replay", buried.id)

    back = asyncio.run(everything(scene.kafka, AUDIT_RECORDED.name))
    *_, last = [r for r in back if r.partition == 1 and r.value == SECRET]
    assert [("put back", buried.id)] == [(row["became"], row["id"]) for row in rows]
    assert buried.record.offset < last.offset
    assert buried.record.key == last.key
    marker = ("replay_of", buried.id.encode())
    assert (*buried.record.headers, marker) == last.headers
    replays = [r for r in back if (r.value or b"").startswith(b'{"action":"record.rep')]
    assert [tenant.encode()] == [r.key for r in replays]
    assert buried.id.encode() in (replays[0].value or b"")


def test_what_follows_from_a_replayed_record_has_the_ids_that_it_had(
    scene: Scene,
) -> None:
    found = attributes(new_tenant(), new_request_id())
    buried = asyncio.run(bury(scene, RETENTION_DUE, found))
    scene.ask("dead", "replay", buried.id)
    back = asyncio.run(everything(scene.kafka, RETENTION_DUE.name))
    *_, last = [r for r in back if ("replay_of", buried.id.encode()) in r.headers]

    again = Attributes.from_headers(last.headers)

    assert found == again


async def admit(
    scene: Scene, tenant: TenantId, request: RequestId, *, end: bool
) -> None:
    superuser = await asyncpg.connect(scene.installation.superuser)
    await superuser.execute(TENANT_ROW, tenant)
    await superuser.close()
    url = scene.installation.urls["sluice_worker"]
    async with await open_pool(url, size=2) as pool:
        requests = PostgresRequests(pool)
        await requests.admit(admitted(tenant, request))
        if end:
            await requests.finish([ended(tenant, request)])


@pytest.mark.parametrize(
    ("has", "became"),
    [
        ("begun", "put back"),
        ("ended", "its request has ended: send it again as a new one"),
    ],
)
def test_a_request_that_has_ended_is_not_handled_again(
    scene: Scene, has: str, became: str
) -> None:
    tenant, request = new_tenant(), new_request_id()
    asyncio.run(admit(scene, tenant, request, end=has == "ended"))
    buried = asyncio.run(bury(scene, REQUESTS_ACCEPTED, attributes(tenant, request)))

    done = scene.run("dead", "replay", buried.id, "--json")

    rows = json.loads(done.stdout.splitlines()[-1])
    assert [became] == [row["became"] for row in rows]
    assert (has == "ended") == done.exit_code


async def closed(scene: Scene, tenant: TenantId) -> None:
    superuser = await asyncpg.connect(scene.installation.superuser)
    await superuser.execute(TENANT_ROW, tenant)
    await superuser.execute(CLOSED, tenant)
    await superuser.close()


def test_a_letter_of_a_closed_tenant_stays_and_breeds_no_other(scene: Scene) -> None:
    """Its log takes no record, so what tells of the replay would be buried too."""
    tenant = new_tenant()
    asyncio.run(closed(scene, tenant))
    buried = asyncio.run(bury(scene, AUDIT_RECORDED, attributes(tenant, "job")))

    done = scene.run("dead", "replay", buried.id, "--json")

    rows = json.loads(done.stdout.splitlines()[-1])
    back = asyncio.run(everything(scene.kafka, AUDIT_RECORDED.name))
    assert 1 == done.exit_code
    assert ["its tenant was closed: it stays where it is"] == [
        row["became"] for row in rows
    ]
    told = [r for r in back if (r.value or b"").startswith(b'{"action":"record.rep')]
    assert tenant.encode() not in [each.key for each in told]


def test_what_was_put_back_is_told_beside_an_id_that_is_none(scene: Scene) -> None:
    tenant, stranger = new_tenant(), str(EventId(new_request_id()))
    buried = asyncio.run(bury(scene, AUDIT_RECORDED, attributes(tenant, "job")))

    done = scene.run("dead", "replay", buried.id, stranger, "--json")

    rows = json.loads(done.stdout.splitlines()[-1])
    assert 1 == done.exit_code
    assert {buried.id: "put back", stranger: "there is none"} == {
        row["id"]: row["became"] for row in rows
    }


def test_a_replay_needs_ids_or_a_topic(scene: Scene) -> None:
    nothing = scene.run("dead", "replay")
    everything_there_is = scene.run("dead", "replay", "--all")
    unknown = scene.run("dead", "replay", str(EventId(new_request_id())))

    assert [2, 2, 1] == [
        done.exit_code for done in (nothing, everything_there_is, unknown)
    ]


async def failed(scene: Scene, tenant: TenantId, *causes: str) -> list[Due]:
    """Deliveries that failed for good, to an endpoint that holds a canary."""
    superuser = await asyncpg.connect(scene.installation.superuser)
    await superuser.execute(TENANT_ROW, tenant)
    await superuser.close()
    now = CLOCK.now()
    url = scene.installation.urls["sluice_worker"]
    async with await open_pool(url, size=2) as pool:
        deliveries = PostgresDeliveries(pool=pool)
        endpoints = PostgresEndpoints(pool=pool, clock=CLOCK, entropy=SystemEntropy())
        made, secret = bare(tenant, made=now - timedelta(days=1), url=SECRET)
        made = replace(made, name=SECRET.decode())
        secret = replace(secret, sealed=SECRET)
        assert await endpoints.create(made, secret, holder(tenant))
        told = [
            replace(message(tenant, each), body=SECRET, created_at=now)
            for each in causes
        ]
        dues = [*await deliveries.announce(told)]
        for due in dues:
            for number in range(1, len(SCHEDULE) + 1):
                await deliveries.settle(
                    replace(due, attempt=number),
                    Attempt(status=503),
                    took=timedelta(milliseconds=len(SCHEDULE) - number),
                    now=now,
                    jitter=0.0,
                )
    return dues


def test_deliveries_are_listed_page_by_page_without_what_was_sent(
    scene: Scene,
) -> None:
    tenant = new_tenant()
    dues = asyncio.run(failed(scene, tenant, "one", "two", "three"))
    of = ("webhook", "deliveries", "--tenant", tenant)

    first, text = scene.ask(*of, "--limit", "2"), scene.run(*of, "--limit", "2").output
    last = scene.ask(*of, "--limit", "2", "--after", first[-1]["id"])

    rows = [*first, *last]
    assert (2, 1) == (len(first), len(last))
    assert {due.delivery for due in dues} == {row["id"] for row in rows}
    assert {("exhausted", 10, "503", None)} == {
        (row["state"], row["attempts"], row["last"], row["next_at"]) for row in rows
    }
    assert {due.endpoint_id for due in dues} == {row["endpoint"] for row in rows}
    assert f"there are more: --after {first[-1]['id']}" == text.splitlines()[-1]
    assert "there are more" not in scene.run(*of, "--limit", "3").output
    assert "nobody may read" not in f"{rows}{text}"
    assert [] == scene.ask(*of, "--state", "due", "--state", "delivered")
    assert 1 == scene.run(*of, "--after", tenant).exit_code


def test_what_failed_is_due_again_and_the_ledger_is_told_by_whom(
    scene: Scene,
) -> None:
    tenant = new_tenant()
    one, two = asyncio.run(failed(scene, tenant, "one", "two"))
    event = str(two.message_id).replace("msg_", "evt_")
    absent = f"msg_{26 * 'Z'}"

    rows = scene.ask(
        "webhook", "retry", "--tenant", tenant, one.delivery, event, absent
    )
    again = scene.ask("webhook", "retry", "--tenant", tenant, one.delivery)
    listed = scene.ask("webhook", "deliveries", "--tenant", tenant, "--state", "due")

    assert [(one.delivery, "due again"), (two.delivery, "due again")] == [
        (row["id"], row["became"]) for row in rows[:2]
    ]
    assert [absent] == [row["id"] for row in rows if "there is none" in row["became"]]
    assert ["due now"] == [row["became"] for row in again]
    assert {one.delivery, two.delivery} == {row["id"] for row in listed}
    records = asyncio.run(everything(scene.kafka, AUDIT_RECORDED.name))
    told = [
        json.loads(each.value or b"")
        for each in records
        if each.key == tenant.encode() and b"webhook.retried" in (each.value or b"")
    ]
    assert 3 == len(told)
    assert {operator()} == {each["actor"] for each in told}
    assert {f"{due.endpoint_id}:{due.delivery}" for due in (one, two)} == {
        each["decision"][0]["rule"] for each in told
    }


async def behind(scene: Scene, records: int, committed: int) -> None:
    """Nobody reads this topic here, so its group is behind."""
    topic = replace(AUDIT_RECORDED, name=REQUESTS_SCREENED.name)
    async with KafkaPublisher(KafkaClients(scene.kafka)) as publisher:
        outs = [Outgoing(topic, recorded(str(n)), 2) for n in range(records)]
        await publisher.publish(outs)
    async with AIOKafkaConsumer(
        bootstrap_servers=scene.kafka, group_id="redaction", enable_auto_commit=False
    ) as consumer:
        part = TopicPartition(topic.name, 2)
        consumer.assign([part])
        await consumer.commit({part: committed})


def test_lag_is_told_by_partition_and_judged_by_group(scene: Scene) -> None:
    asyncio.run(behind(scene, records=5, committed=2))

    rows = scene.ask("lag")

    (row,) = [row for row in rows if row["group"] == "redaction"]
    found = (row["partition"], row["committed"], row["end"], row["lag"])
    assert (2, 2, 5, 3) == found
    assert 0 <= row["oldest_s"] < 60
    assert 1 == scene.run("lag", "--over", "2").exit_code
    assert 1 == scene.run("lag", "--watch", "0.1", "--over", "2").exit_code
    assert 0 == scene.run("lag", "--over", "100000").exit_code
    assert "redaction" in scene.run("lag").output


def test_a_broker_that_is_away_is_told_from_lag(scene: Scene) -> None:
    done = scene.run("lag", "--kafka", "127.0.0.1:1", "--over", "0")

    assert 3 == done.exit_code


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("route set {nobody} m --provider openai", "expected a tenant's id"),
        ("route list {nobody}", "expected a tenant's id"),
        ("key list {nobody}", "expected a tenant's id"),
        ("receipts {nobody}", "expected a tenant's id"),
        ("key create {nobody}", "expected a tenant's id"),
        ("key rotate {nobody} {id}", "expected a live key of this tenant"),
        ("key revoke {nobody} {id}", "expected a live key of this tenant"),
        ("client create {nobody}", "expected a tenant's id"),
        ("client revoke {nobody} never", "expected a live client of this tenant"),
        ("policy show {nobody}", "expected a tenant with a policy"),
        ("policy set {nobody} {garbage}", "expected a policy document"),
        ("tenant freeze {id}", "expected a tenant that is active"),
        ("tenant thaw {id}", "expected a tenant that is frozen"),
        ("tenant delete-log {id} --yes --signed-by {garbage}", "keys of a log"),
        ("tenant create " + "n" * 129, "expected names of 1 to 128 characters\n"),
        ("erase subject {nobody} anna", "the tenant has no key"),
        ("webhook deliveries {nobody}", "expected a tenant's id"),
        ("webhook deliveries {nobody} --after {id}", "expected --after"),
        ("webhook retry {nobody} {id}", "expected the id of a delivery"),
    ],
)
def test_what_is_not_there_is_told_in_a_line(
    scene: Scene, line: str, said: str
) -> None:
    garbage = scene.folder / "garbage"
    garbage.write_text("no document")
    stranger = new_tenant()
    known = {"nobody": f"--tenant {stranger}", "id": stranger, "garbage": garbage}

    done = scene.run(*line.format(**known).split())

    assert done.exception is None or isinstance(done.exception, SystemExit), (
        done.exception
    )
    assert said in done.output
    assert 1 == done.exit_code, done.output


@pytest.mark.parametrize(
    ("line", "login", "password", "code"),
    [
        ("tenant list", "sluice_gateway", PASSWORD, 1),
        ("audit verify", "sluice_gateway", PASSWORD, 3),
        ("tenant list", "sluice_operator", "wrong", 2),
        ("audit verify", "sluice_operator", "wrong", 2),
    ],
)
def test_a_login_that_may_not_is_told_so(
    scene: Scene, line: str, login: str, password: str, code: int
) -> None:
    url = scene.installation.urls[login].replace(f":{PASSWORD}@", f":{password}@")

    done = scene.run(*line.split(), SLUICE_DATABASE__ADMIN_URL=url)

    assert isinstance(done.exception, SystemExit), done.exception
    assert code == done.exit_code, done.output
    assert "login" in done.output
    assert PASSWORD not in done.output
