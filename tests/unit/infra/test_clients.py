"""Clients' settings: promises rest on some, and some must fit to each other."""

import pytest

from consumers.delivery.concurrent import LEAVE_WITHIN_S as CALLS_S
from consumers.delivery.ordered import LEAVE_WITHIN_S as RECORD_S
from infra.kafka.clients import CONSUMER, PRODUCER, consuming
from infra.kafka.partitions import COMMIT_WITHIN_S


def test_a_rebalance_waits_for_whoever_finishes_what_it_has() -> None:
    """Its calls or its record, a commit that is on its way, and its last one."""
    longest = max(CALLS_S, RECORD_S)

    assert longest + 2 * COMMIT_WITHIN_S < CONSUMER["rebalance_timeout_ms"] / 1000


@pytest.mark.parametrize("seconds", [1, 6, 30, 300])
def test_a_session_outlives_two_heartbeats_that_are_lost(seconds: float) -> None:
    made = consuming(seconds)

    assert 3 * made["heartbeat_interval_ms"] <= made["session_timeout_ms"]


def test_a_send_that_is_repeated_is_one_record_of_all_replicas() -> None:
    """Idempotence implies acknowledgements by all."""
    assert PRODUCER["enable_idempotence"] is True
    assert "all" == PRODUCER.get("acks", "all")
