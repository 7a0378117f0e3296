"""Every group is declared to FastStream with our policy, parser and decoder."""

from collections.abc import Sequence
from typing import Any

import pytest
from faststream.kafka import KafkaBroker
from faststream.middlewares import AckPolicy
from typing_extensions import override

from consumers.delivery import Delivery, Subscription, concurrent, ordered
from consumers.delivery.serving import as_is, without_headers
from infra.kafka.clients import KafkaClients
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
