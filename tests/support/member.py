"""A member of a group in a process of its own.

``python member.py BOOTSTRAP SOURCE SINK MODE MOMENT [SUBJECT]``, where MODE is
``ordered``, ``batch`` or ``concurrent``, and MOMENT says how it ends: it kills itself
``before_publish`` or ``before_commit``, or it works on, slowly, until SIGTERM:
``never``. A record about SUBJECT is not due for an hour.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aiokafka import AIOKafkaConsumer
from typing_extensions import override

from consumers.delivery import Subscription, concurrent, ordered, ordered_batch
from infra.kafka.clients import KafkaClients
from infra.kafka.partitions import KafkaPartitions
from pipeline.errors import NotYet
from pipeline.ports.bus import Record
from schemas.audit import AuditRecorded
from schemas.events import Event
from schemas.topics import AUDIT_RECORDED, Outgoing, Topic
from tests.support.kafka import QUICK, delivering

Audited = Event[AuditRecorded]
DIES_AT = 50
SLOWLY_S = 0.01


def die() -> None:
    """As a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


class DyingPartitions(KafkaPartitions):
    """Dies when it should commit."""

    @override
    async def commit(self, offsets: Mapping[int, int]) -> bool:
        die()
        return False


class DyingClients(KafkaClients):
    """Hands out partitions that die."""

    @override
    def partitions(
        self, consumer: Callable[[], AIOKafkaConsumer | None], topic: str
    ) -> KafkaPartitions:
        return DyingPartitions(consumer, topic)


@dataclass
class Work:
    """What this member does with its records: it passes them on."""

    sink: Topic[AuditRecorded]
    moment: str
    later: str
    handled: int = 0

    async def one(self, event: Audited, _: None) -> Sequence[Outgoing[Any]]:
        """Pass one on."""
        self.handled += 1
        if self.moment == "before_publish" and self.handled == DIES_AT:
            die()
        if event.attributes.subject == self.later:
            raise NotYet(3_600)
        if self.moment == "never":
            await asyncio.sleep(SLOWLY_S)  # noqa: TID251 - so that rebalances meet work
        return [Outgoing(self.sink, event)]

    async def many(
        self, pairs: Sequence[tuple[Record, Audited]]
    ) -> Sequence[Outgoing[Any]]:
        """Pass a batch on."""
        found = [await self.one(event, None) for _, event in pairs]
        return [out for outs in found for out in outs]

    def subscription(self, mode: str, source: Topic[AuditRecorded]) -> Subscription:
        """In this mode."""
        if mode == "ordered":
            return ordered(source, self.one)
        if mode == "batch":
            return ordered_batch(source, self.many)

        async def nothing(_: Sequence[Audited]) -> None:
            return None

        return concurrent(source, self.one, prepare=nothing, lane=lambda _: "one")


async def main(bootstrap: str, source: str, sink: str, *words: str) -> None:
    """Handle until the moment comes, or somebody asks it to stop."""
    mode, moment, later = (*words, "")[:3]
    topic = replace(AUDIT_RECORDED, name=source, group=source)
    work = Work(replace(AUDIT_RECORDED, name=sink, group=sink), moment, later)
    kind = DyingClients if moment == "before_commit" else KafkaClients
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    made = kind(bootstrap, QUICK)
    async with delivering(bootstrap, work.subscription(mode, topic), made=made):
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
