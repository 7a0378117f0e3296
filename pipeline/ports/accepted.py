"""The topic of accepted requests, read by itself: what the ledger is held against."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from schemas.ids import RequestId, TenantId


@dataclass(frozen=True, slots=True)
class Span:
    """Some accepted requests, and what nobody can read any more.

    Attributes:
        requests: whose and which, in no order, each once or more.
        begins: where each partition was read from.
        ends: the next offset of each partition.
        until: every record that is older was read.
        expired: by partition, offsets whose records went before they were read.
        anew: partitions of a topic that is another than the one that was read.
    """

    requests: tuple[tuple[TenantId, RequestId], ...]
    begins: Mapping[int, int]
    ends: Mapping[int, int]
    until: datetime
    expired: Mapping[int, range] = field(default_factory=dict)
    anew: frozenset[int] = frozenset()


class AcceptedRequests(Protocol):
    """Accepted requests, apart from the group that handles them."""

    async def read(
        self, begin: Mapping[int, int], before: datetime, since: datetime | None = None
    ) -> Span:
        """What lies behind ``begin`` and is older than ``before``; some of it.

        A partition that ``begin`` leaves out is read from its start, and so is one
        that is another by now: it is shorter than ``begin``, or what lies just before
        ``begin`` is no older than ``since``, though all that was read is.

        Raises:
            RetryableError: Kafka is away.
        """
        ...
