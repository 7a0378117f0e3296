"""Jobs of forgetting, and the rows that they reach."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from pipeline.keystore import Partition, RetentionClass
from pipeline.ports.keys import KeyRef
from schemas.ids import EventId, RequestId, TenantId
from schemas.requests import Arrival
from schemas.retention import Forgotten, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a job is about to destroy, settled before it touches anything.

    Attributes:
        job: the id of the order's event.
        as_of: what is written later stays.
        probe: a ciphertext under the first of ``keys``, tried again afterwards; None
            where there is no key.
    """

    job: EventId
    tenant: TenantId
    scope: Forgotten
    requested_at: datetime
    as_of: datetime
    keys: tuple[KeyRef, ...]
    probe: bytes | None

    @property
    def requests(self) -> frozenset[RequestId]:
        """Whose content it is about, also where their keys were gone before."""
        named = {ref.request_id for ref in self.keys}
        if self.scope.kind == "request":
            named.add(RequestId(self.scope.ref))
        return frozenset(named)


class Purges(Protocol):
    """Jobs, each resumable: what was settled and what was signed is kept."""

    async def begin(self, plan: Plan) -> Plan:
        """Keep the plan; the first one of a job wins, and is returned."""
        ...

    async def sample(
        self, tenant: TenantId, partition: Partition
    ) -> tuple[KeyRef, bytes] | None:
        """Some sealed answer under a key of this day, and its key; None: none."""
        ...

    async def delete_rows(self, plan: Plan) -> Sequence[Target]:
        """Delete what the requests of the plan left in tables; count what is left.

        Of a class and day: every answer under its keys, and what was found.

        A repeat counts what was deleted before too. What is on the ledger stays: it
        holds commitments, never content.
        """
        ...

    async def arrivals(self, plan: Plan) -> Mapping[Arrival, datetime]:
        """How requests of the plan lay in the inbox; when the last was accepted."""
        ...

    async def finish(self, plan: Plan, receipt: str) -> str:
        """Keep the signed receipt; the first one of a job wins, and is returned."""
        ...

    async def receipts_since(self, tenant: TenantId, since: datetime) -> Sequence[str]:
        """The receipts that were kept since then, whoever signed them."""
        ...

    async def receipts(self, tenant: TenantId) -> Sequence[str]:
        """All receipts of a tenant, oldest first."""
        ...


class ExpiredRows(Protocol):
    """What lies in tables under keys whose time is over.

    Every method may raise ``RetryableError``: Postgres is away, or busy.
    """

    async def answers(
        self, tenant: TenantId, until: Mapping[RetentionClass, date], limit: int
    ) -> int:
        """Delete answers and findings whose keys are of these days or before.

        Returns in how many requests there were some.
        """
        ...

    async def calls(self, tenant: TenantId, before: datetime, limit: int) -> int:
        """Delete results of calls whose lease ended before; how many."""
        ...
