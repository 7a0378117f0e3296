"""``sluice dead``: what could not be handled, told without content, and put back."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

import click

from infra.kafka.clients import KafkaClients
from infra.kafka.letters import DeadLetters
from infra.kafka.publisher import KafkaPublisher
from infra.postgres.admin import Admin
from infra.postgres.requests import PostgresRequests
from pipeline.letters import Letter, Refusal, again, dead_topics, letter
from pipeline.ports.bus import RawOutgoing
from producers.cli.brokers import brokers
from producers.cli.desk import Undone, at_kafka, at_the_desk, expected
from schemas.topics import TOPICS

TOPIC_NAMES: Final = sorted(topic.name for topic in TOPICS if topic.dead)
GROUPS: Final = sorted(topic.group for topic in TOPICS if topic.group)
ENDED: Final = "its request has ended: send it again as a new one"
CLOSED: Final = "its tenant was closed: it stays where it is"
DONE: Final = "put back"
ABSENT: Final = "there is none"

of_topic = click.option(
    "--topic", type=click.Choice(TOPIC_NAMES), help="Of this topic alone."
)
of_group = click.option(
    "--group", type=click.Choice(GROUPS), help="Of this consumer group alone."
)


@click.group()
def dead() -> None:
    """Dead letters: what could not be handled, and putting it back."""


@dead.command(name="list")
@of_topic
@of_group
@click.option("--count", is_flag=True, help="How many, by topic, group and reason.")
@at_kafka
async def list_all(
    clients: KafkaClients, topic: str | None, group: str | None, *, count: bool
) -> Sequence[Mapping[str, Any]]:
    """What was buried and is still kept, oldest first, without content."""
    letters = await _letters(clients, topic, group)
    return _counted(letters) if count else [_row(each) for each in letters]


@dead.command()
@click.argument("letter_id", type=click.UUID)
@at_kafka
async def show(clients: KafkaClients, letter_id: object) -> Mapping[str, Any]:
    """One letter: why it died, its safe headers, sizes and digest; never its body."""
    for each in await _letters(clients, None, None):
        if each.id == str(letter_id):
            return _told(each)
    raise expected("the id of a dead letter, as `sluice dead list` shows it")


@dead.command()
@click.argument("letter_ids", type=click.UUID, nargs=-1)
@of_topic
@of_group
@click.option("--all", "every", is_flag=True, help="All of --topic or --group.")
@at_the_desk
async def replay(
    admin: Admin,
    letter_ids: tuple[object, ...],
    topic: str | None,
    group: str | None,
    *,
    every: bool,
) -> Sequence[Mapping[str, Any]]:
    """Put letters back where they came from: equal bytes, key and headers.

    What is derived from them has the ids that it had, so nothing happens twice. Each
    is first recorded in its tenant's ledger. A letter whose request has ended stays,
    and so does one of a tenant that was closed: where one that was named stays, the
    command ends with 1.
    """
    if every == bool(letter_ids) or (every and not (topic or group)):
        raise click.UsageError(
            "expected letters' ids, or --all with --topic or --group"
        )
    wanted = None if every else {str(each) for each in letter_ids}
    clients = brokers(click.get_current_context().params["kafka"])
    async with AsyncExitStack() as stack:
        publisher = await stack.enter_async_context(KafkaPublisher(clients))
        desk = Replays(admin=admin, publisher=publisher)
        found = dead_topics(TOPICS, topic=topic, group=group)
        async for record in DeadLetters(clients).read(found):
            each = letter(record)
            if each is not None and (wanted is None or each.id in wanted):
                await desk.one(each, again(record, each))
    absent = sorted((wanted or set()) - desk.seen)
    if absent and not desk.rows:
        raise expected("ids of dead letters, as `sluice dead list` shows them")
    rows = [
        *desk.rows,
        *({"id": each, "topic": "", "became": ABSENT} for each in absent),
    ]
    stays = any(row["became"] != DONE for row in rows)
    return Undone(rows) if stays and not every else rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Replays:
    """Puts letters back, each once, and notes what became of each."""

    admin: Admin
    publisher: KafkaPublisher
    seen: set[str] = field(default_factory=set)
    rows: list[Mapping[str, Any]] = field(default_factory=list)

    async def one(self, found: Letter, record: RawOutgoing | Refusal) -> None:
        """Record it, then publish: no record comes back without a trace."""
        if found.id in self.seen:
            return
        self.seen.add(found.id)
        became = await self._became(found, record)
        self.rows.append({"id": found.id, "topic": found.topic, "became": became})

    async def _became(self, found: Letter, record: RawOutgoing | Refusal) -> str:
        tenant = found.tenant
        if isinstance(record, Refusal) or tenant is None:
            return str(record)
        if found.request is not None:
            requests = PostgresRequests(self.admin.pool)
            state = await requests.get(tenant, found.request)
            if state is None or state.finished is not None:
                return ENDED
        if not await self.admin.record_replay(tenant, found.id):
            return CLOSED
        await self.publisher.publish_raw(record)
        return DONE


async def _letters(
    clients: KafkaClients, topic: str | None, group: str | None
) -> list[Letter]:
    """Each once, though it may have been buried twice; oldest first."""
    found: dict[str, Letter] = {}
    topics = dead_topics(TOPICS, topic=topic, group=group)
    async for record in DeadLetters(clients).read(topics):
        each = letter(record)
        if each is not None:
            found.setdefault(each.id, each)
    return sorted(found.values(), key=lambda each: each.at)


def _row(each: Letter) -> Mapping[str, Any]:
    return {
        "id": each.id,
        "at": each.at,
        "topic": each.topic,
        "record": f"{each.partition}:{each.offset}",
        "group": each.group,
        "reason": each.reason,
        "where": each.where,
        "attempts": each.attempts,
        "bytes": each.value_bytes or each.omitted_bytes,
    }


def _counted(letters: Sequence[Letter]) -> Sequence[Mapping[str, Any]]:
    counts = Counter((each.topic, each.group, each.reason) for each in letters)
    return [
        {"topic": topic, "group": group, "reason": reason, "count": count}
        for (topic, group, reason), count in sorted(counts.items())
    ]


def _told(each: Letter) -> Mapping[str, Any]:
    return {
        **_row(each),
        "letter": f"{each.topic}.dead {each.place[0]}:{each.place[1]}",
        "version": each.version,
        "key_bytes": each.key_bytes,
        "value_bytes": each.value_bytes,
        "omitted_bytes": each.omitted_bytes,
        "value_sha256": each.sha256,
        **each.headers,
    }
