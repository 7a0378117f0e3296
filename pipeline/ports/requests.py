"""The state of requests, and the claim on a provider call."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from pipeline.ports.keys import KeyRef
from schemas.events import Event
from schemas.ids import EventId, RequestId, TenantId
from schemas.requests import Outcome, RequestFinished, Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRequest:
    """What is known of a request when it is admitted.

    Attributes:
        fingerprint: 32 bytes, HMAC of the body under a key derived from the data key:
            equal for a true retry, and meaningless once the key is destroyed.
    """

    tenant_id: TenantId
    request_id: RequestId
    terms: Terms
    fingerprint: bytes
    accepted_at: datetime


@dataclass(frozen=True, slots=True)
class Fresh:
    """The request is new; its row is ours."""


@dataclass(frozen=True, slots=True)
class Known:
    """The same id was admitted before, on these terms."""

    terms: Terms
    fingerprint: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestState:
    """One row: how a request stands."""

    tenant_id: TenantId
    request_id: RequestId
    accepted_at: datetime
    terms: Terms
    finished_at: datetime | None
    finished_by: EventId | None
    finished: RequestFinished | None

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None while it is open."""
        return self.finished.outcome if self.finished else None


class Requests(Protocol):
    """Requests by id, each under its tenant."""

    async def admit(self, request: NewRequest) -> Fresh | Known:
        """Insert once; a second insert of the same id is told the first's terms."""
        ...

    async def finish(self, events: Sequence[Event[RequestFinished]]) -> Sequence[bool]:
        """End requests, first end wins; one answer per event, in order.

        True: this event is the request's end (also when it said so before).
        An end of a request that was never admitted here admits and ends it.
        """
        ...

    async def get(self, tenant: TenantId, request: RequestId) -> RequestState | None:
        """One request; None for another tenant's as for one that never was."""
        ...


@dataclass(frozen=True, slots=True)
class Overdue:
    """A request that has not ended, though its deadline passed."""

    tenant_id: TenantId
    request_id: RequestId
    terms: Terms


class Sweep(Protocol):
    """What time has passed over, whosever it is."""

    async def overdue(self, before: datetime, limit: int) -> Sequence[Overdue]:
        """Open requests whose deadline was before; ``limit`` of each tenant at most."""
        ...

    async def passing(self, since: datetime, until: datetime) -> Sequence[KeyRef]:
        """The ``transient`` keys of requests with a deadline in (since, until]."""
        ...

    async def transient(self, since: datetime, until: datetime) -> Sequence[TenantId]:
        """Whose ``transient`` requests have a deadline in (since, until].

        A tenant whose log was closed is left out: nothing is told of it any more.
        """
        ...


@dataclass(frozen=True, slots=True)
class Taken:
    """The call is ours to make.

    Attributes:
        again: an earlier lease ran out without a result: the provider may have been
            called before, and the audit record says so.
    """

    again: bool


@dataclass(frozen=True, slots=True)
class Held:
    """Another worker's lease runs until then."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Done:
    """The call was made; this is its sealed result."""

    result: bytes


@dataclass(frozen=True, slots=True)
class Spent:
    """Nobody may call any more.

    Two leases ran out without a result; or the request has ended, and its claim, if
    there was one, went with its content.
    """


class ProviderCalls(Protocol):
    """Claims on provider calls: a call is claimed before it is made."""

    async def take(
        self, tenant: TenantId, request: RequestId, lease: timedelta
    ) -> Taken | Held | Done | Spent:
        """Claim a call, or learn why not."""
        ...

    async def renew(
        self, tenant: TenantId, request: RequestId, lease: timedelta
    ) -> bool:
        """Move the end of our lease; False: a result stands, or the claim is gone."""
        ...

    async def done(self, tenant: TenantId, request: RequestId, result: bytes) -> bytes:
        """Store the sealed result; return the one that stands (first wins)."""
        ...

    async def begun(self, tenant: TenantId, request: RequestId) -> bool:
        """Was the call claimed, ever?"""
        ...
