"""Every group is declared to FastStream with our policy, parser and decoder."""

from collections.abc import Sequence
from typing import Any

import pytest
from faststream.kafka import KafkaBroker
from faststream.middlewares import AckPolicy
from typing_extensions import override

from consumers.delivery import (
    Delivery,
    Subscription,
    concurrent,
    ordered,
    ordered_batch,
)
from consumers.delivery.member import LINGER_BYTES, as_is, without_headers
from infra.kafka.clients import KafkaClients
from pipeline.ports.bus import Record
from schemas.events import Event
from schemas.requests import RequestAccepted
from schemas.topics import REQUESTS_ACCEPTED, Outgoing
from tests.support.delivery import Bench


class Watched(KafkaClients):
    """Keeps what was declared."""

    declared: KafkaBroker

    @override
    def broker(self) -> KafkaBroker:
        Watched.declared = super().broker()
        return Watched.declared


async def prepare(_: Sequence[Event[RequestAccepted]]) -> None:
    """Nothing is needed."""


async def handle(_: Event[RequestAccepted], __: None) -> Sequence[Outgoing[Any]]:
    return ()


async def whole(
    _: Sequence[tuple[Record, Event[RequestAccepted]]],
) -> Sequence[Outgoing[Any]]:
    return ()


@pytest.mark.parametrize(
    "subscription",
    [
        ordered(REQUESTS_ACCEPTED, handle),
        concurrent(REQUESTS_ACCEPTED, handle, prepare=prepare, lane=lambda _: "one"),
    ],
)
async def test_a_group_is_declared_as_delivery_needs_it(
    subscription: Subscription,
) -> None:
    Delivery([subscription], kafka=Watched("127.0.0.1:1"), means=Bench().means)
    found: Any = Watched.declared.subscribers[0]

    assert (AckPolicy.MANUAL, "screening") == (found.ack_policy, found.group_id)
    assert (1_000, 500) == (found.batch_timeout_ms, found.max_records)
    assert without_headers is found._call_options.parser
    assert as_is is found._call_options.decoder
    assert found._no_reply
    assert not found._connection_args["enable_auto_commit"]
    assert "earliest" == found._connection_args["auto_offset_reset"]
    assert not Watched.declared.config.broker_config.allow_auto_create_topics


async def test_what_nobody_waits_for_may_linger_at_the_broker() -> None:
    subscription = ordered_batch(REQUESTS_ACCEPTED, whole, linger_s=0.25)
    Delivery([subscription], kafka=Watched("127.0.0.1:1"), means=Bench().means)
    found: Any = Watched.declared.subscribers[0]
    told = found._connection_args

    assert (250, LINGER_BYTES) == (told["fetch_max_wait_ms"], told["fetch_min_bytes"])


async def test_all_else_comes_with_the_first_record() -> None:
    subscription = ordered(REQUESTS_ACCEPTED, handle)
    Delivery([subscription], kafka=Watched("127.0.0.1:1"), means=Bench().means)
    found: Any = Watched.declared.subscribers[0]

    assert 1 == found._connection_args["fetch_min_bytes"]
