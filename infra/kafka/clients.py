"""Clients of one Kafka cluster, and the settings that differ from their defaults."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.client import AIOKafkaClient
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import KafkaError

from infra.kafka.connections import end_connections_well
from infra.kafka.consumer import Consumer
from infra.kafka.partitioner import KeyPartitioner
from infra.kafka.partitions import KafkaPartitions
from infra.kafka.records import tolerate_header_names
from pipeline.ports.bus import Record
from schemas.topics import DEAD_LETTER_MARGIN_BYTES, MAX_RECORD_BYTES

if TYPE_CHECKING:
    from faststream.kafka import KafkaBroker

ANSWERS_WITHIN_S = 10.0
"""aiokafka bounds each request, but neither a bootstrap nor a close as a whole."""
ENVELOPE_BYTES = 1024
"""Above the record itself: a batch's header and the request's own fields."""
LOG_APPEND_TIME = 1

PRODUCER: Mapping[str, Any] = {
    "enable_idempotence": True,  # so acks="all"
    # Measured over four hops: 5 ms cost 9.5 ms a hop, and 10 % of the throughput.
    "linger_ms": 0,
    "max_batch_size": 128 * 1024,
    "max_request_size": MAX_RECORD_BYTES + DEAD_LETTER_MARGIN_BYTES + ENVELOPE_BYTES,
}
"""No compression: sealed bytes do not compress."""

CONSUMER: Mapping[str, Any] = {
    "auto_offset_reset": "earliest",
    "session_timeout_ms": 30_000,
    # How long a rebalance waits for a member that finishes what it has.
    "rebalance_timeout_ms": 45_000,
    "max_poll_interval_ms": 300_000,
    "max_partition_fetch_bytes": MAX_RECORD_BYTES,
    # The sticky assignor stalls: aiokafka #1175, #1176.
    "partition_assignment_strategy": (RoundRobinPartitionAssignor,),
}


def consuming(
    session_timeout_s: float, max_poll_interval_s: float = 300
) -> Mapping[str, Any]:
    """:data:`CONSUMER` with other limits, and heartbeats to match."""
    timeout = int(session_timeout_s * 1000)
    heartbeat = min(3_000, timeout // 3)
    return {
        **CONSUMER,
        "session_timeout_ms": timeout,
        "heartbeat_interval_ms": heartbeat,
        "max_poll_interval_ms": int(max_poll_interval_s * 1000),
    }


@dataclass(frozen=True, slots=True)
class KafkaClients:
    """Makes clients of the cluster at ``bootstrap`` (``host:port[,…]``).

    Attributes:
        consumer: differences from :data:`CONSUMER`; tests shorten its timeouts.
        security: how brokers are spoken to (``infra/kafka/security.py``).
    """

    bootstrap: str
    consumer: Mapping[str, Any] = field(default_factory=lambda: CONSUMER)
    security: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Mend aiokafka in this process, once and for all that is made here."""
        tolerate_header_names()
        end_connections_well()

    @property
    def connection(self) -> Mapping[str, Any]:
        """What each client of aiokafka is given to reach the brokers."""
        return {"bootstrap_servers": self.bootstrap, **self.security}

    def broker(self) -> "KafkaBroker":
        """FastStream's broker, for delivery: it consumes only, and creates nothing."""
        # Half of what an operator's command would wait for, and it consumes nothing.
        from infra.kafka.patient import PatientBroker  # noqa: PLC0415

        return PatientBroker(
            self.bootstrap,
            secured=self.security,
            client_id="sluice",
            consumer_only=True,
            allow_auto_create_topics=False,
            graceful_timeout=15.0,
            apply_types=False,
            # It logs failed records with their headers.
            logger=None,
        )

    def producer(self) -> AIOKafkaProducer:
        """A producer that was not started yet."""
        return AIOKafkaProducer(
            **self.connection,
            client_id="sluice",
            partitioner=KeyPartitioner(),
            **PRODUCER,
        )

    def reader(self) -> Consumer:
        """A consumer of no group, that was not started yet."""
        return Consumer(
            **self.connection,
            client_id="sluice",
            enable_auto_commit=False,
            auto_offset_reset="latest",
            max_partition_fetch_bytes=MAX_RECORD_BYTES,
        )

    def partitions(
        self, consumer: Callable[[], AIOKafkaConsumer | None], topic: str
    ) -> KafkaPartitions:
        """The hand on ``topic`` of a consumer that may be made later."""
        return KafkaPartitions(consumer, topic)

    def record(self, raw: "ConsumerRecord[Any, Any]") -> Record:
        """A consumed record in our words."""
        return Record(
            topic=raw.topic,
            partition=raw.partition,
            offset=raw.offset,
            key=raw.key,
            value=raw.value,
            headers=tuple(raw.headers),
            timestamp_ms=raw.timestamp,
            appended=raw.timestamp_type == LOG_APPEND_TIME,
        )

    async def answers(self) -> bool:
        """Does a broker answer a fresh connection?"""
        client = AIOKafkaClient(**self.connection, request_timeout_ms=5_000)
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                await client.bootstrap()
        except (KafkaError, TimeoutError):
            return False
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(ANSWERS_WITHIN_S):
                    await client.close()
        return True
