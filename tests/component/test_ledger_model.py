"""Exactly once, against a list: redelivery, reordering, a rebalance, zombies.

The twin and Postgres pass one contract (tests/contract/test_ledger.py); here the twin
meets histories that nobody would write down.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
)

from infra.memory.ledger import MemoryLedger
from infra.system import SystemEntropy
from pipeline.audit import Recorded, empty, record
from pipeline.errors import IntegrityError
from pipeline.sequencing import SECOND_TERMINAL
from pipeline.verification import Verified, verify
from schemas.audit import TERMINAL
from schemas.ids import EventId, RequestId, TenantId
from tests.support.audit import OTHER, TENANT, recorded

TENANTS = (TENANT, OTHER)
ACTIONS = ("request.accepted", "request.screened", "request.completed")

events = st.builds(
    lambda number, action, tenant: recorded(
        f"{number}{action}", action, tenant=tenant, request=str(number)
    ),
    st.integers(0, 8),
    st.sampled_from((*ACTIONS, "request.failed")),
    st.sampled_from(TENANTS),
)


class Partition(RuleBasedStateMachine):
    """A partition that is read by one consumer after another, or by two at once."""

    batches = Bundle("batches")

    def __init__(self) -> None:
        super().__init__()
        self.ledger = MemoryLedger("model.example", SystemEntropy())
        self.model: dict[TenantId, list[EventId]] = {each: [] for each in TENANTS}
        self.ends: dict[TenantId, dict[RequestId, EventId]] = {
            each: {} for each in TENANTS
        }

    @rule(target=batches, batch=st.lists(events, max_size=12))
    def poll(self, batch: list[Recorded]) -> list[Recorded]:
        """A batch as the partition holds it."""
        self.append(batch)
        return batch

    @rule(batch=batches)
    def redeliver(self, batch: list[Recorded]) -> None:
        """The offset was not committed, or a zombie appends what it read before."""
        self.append(batch)

    @rule(batch=batches, order=st.randoms(use_true_random=False))
    def reorder(self, batch: list[Recorded], order: object) -> None:
        """The topic was made anew, from producers that tried again."""
        shuffled = list(batch)
        order.shuffle(shuffled)  # type: ignore[attr-defined]
        self.append(shuffled)

    @rule(one=batches, two=batches, cut=st.integers(0, 12))
    def rebalance(self, one: list[Recorded], two: list[Recorded], cut: int) -> None:
        """Another consumer begins in the middle of what the first one read."""
        self.append([*one[cut:], *two])

    @rule(batch=batches, more=st.lists(events, max_size=4), data=st.data())
    def contradict(
        self, batch: list[Recorded], more: list[Recorded], data: st.DataObject
    ) -> None:
        """One id comes again with another decision: nothing of the batch is kept."""
        if not batch:
            return
        event = data.draw(st.sampled_from(batch))
        other = replace(event, data=event.data.model_copy(update={"status": "other"}))
        before = {each: asyncio.run(self.ledger.head(each)) for each in TENANTS}

        with pytest.raises(IntegrityError):
            asyncio.run(self.ledger.append([*more, other]))

        after = {each: asyncio.run(self.ledger.head(each)) for each in TENANTS}
        assert before == after

    @rule(one=batches, two=batches)
    def interleave(self, one: list[Recorded], two: list[Recorded]) -> None:
        """A zombie and its successor, event after event, at once."""
        for mine, theirs in zip_longest(one, two):
            self.append([each for each in (mine, theirs, mine) if each is not None])

    def append(self, batch: Sequence[Recorded]) -> None:
        appended = asyncio.run(self.ledger.append(batch))
        repeats = 0
        for event in batch:
            tenant, each = event.attributes.tenant, event.attributes.id
            if each in self.model[tenant]:
                repeats += 1
                continue
            self.model[tenant].append(each)
            if event.data.action in TERMINAL and event.data.request_id:
                self.ends[tenant].setdefault(event.data.request_id, each)
        assert repeats == appended.repeats

    @invariant()
    def the_log_is_the_list(self) -> None:
        for tenant in TENANTS:
            head = asyncio.run(self.ledger.head(tenant))
            entries = asyncio.run(self.ledger.read(tenant, 0, 10_000))
            assert self.model[tenant] == [each.event_id for each in entries[1:]]
            if head is None:
                continue
            found = verify(empty(head.origin), entries, head.last)
            assert isinstance(found, Verified)
            assert head == found.head

    @invariant()
    def each_request_ends_once(self) -> None:
        for tenant in TENANTS:
            entries = asyncio.run(self.ledger.read(tenant, 0, 10_000))
            ends = {
                found.request_id: found.event_id
                for found in map(record, [each.body for each in entries])
                if found.action in TERMINAL
            }
            assert self.ends[tenant] == ends
            later = [each for each in entries if each.action == SECOND_TERMINAL]
            assert not {each.event_id for each in later} & set(ends.values())


TestPartition = Partition.TestCase
TestPartition.settings = settings(max_examples=40, stateful_step_count=15)
