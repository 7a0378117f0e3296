"""The topic of accepted requests, read by itself: what the ledger is held against."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from schemas.ids import RequestId, TenantId


@dataclass(frozen=True, slots=True)
class Span:
    """Some accepted requests.

    Attributes:
        requests: whose and which, in no order, each once or more.
        begins: where each partition was read from.
        ends: the next offset of each partition.
    """

    requests: tuple[tuple[TenantId, RequestId], ...]
    begins: Mapping[int, int]
    ends: Mapping[int, int]


class AcceptedRequests(Protocol):
    """Accepted requests, apart from the group that handles them."""

    async def read(self, begin: Mapping[int, int], before: datetime) -> Span:
        """What lies behind ``begin`` and is older than ``before``; some of it.

        A partition that ``begin`` leaves out is read from its start.

        Raises:
            RetryableError: Kafka is away.
        """
        ...
