"""A member that kills itself: ``python member.py BOOTSTRAP SOURCE SINK MOMENT``."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from aiokafka import AIOKafkaConsumer
from typing_extensions import override

from consumers.delivery import ordered
from infra.kafka.clients import KafkaClients
from infra.kafka.partitions import KafkaPartitions
from schemas.audit import AuditRecorded
from schemas.events import Event
from schemas.topics import AUDIT_RECORDED, Outgoing
from tests.support.kafka import QUICK, delivering


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


async def main(bootstrap: str, source: str, sink: str, moment: str) -> None:
    """Handle until the moment comes."""
    topic = replace(AUDIT_RECORDED, name=source, group=source)
    other = replace(AUDIT_RECORDED, name=sink, group=sink)
    handled = 0

    async def handle(event: Event[AuditRecorded], _: None) -> Sequence[Outgoing[Any]]:
        nonlocal handled
        handled += 1
        if moment == "before_publish" and handled == 50:
            die()
        return [Outgoing(other, event)]

    made = DyingClients(bootstrap, QUICK)
    async with delivering(bootstrap, ordered(topic, handle), made=made):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
