"""Endpoints, what they are to be told, and how telling them goes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol

from pipeline.ports.tenants import Environment
from pipeline.webhooks import Attempt, Next, Why
from schemas.ids import Actor, EndpointId, TenantId

MAX_ENDPOINTS: Final = 50
"""Of a tenant, in each environment."""
SWEPT_AFTER: Final = timedelta(seconds=60)
"""A delivery that lies on a topic is swept after so long: who held it died."""
PROBE: Final = timedelta(seconds=20)
"""A half-open breaker lets one attempt through, and the next after so long."""


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """One of an endpoint's secrets, as it is kept.

    Attributes:
        id: the row that it is sealed for.
        hint: its last characters, to tell secrets apart.
        not_after: until when it also signs; None: the current one.
    """

    id: str
    sealed: bytes
    hint: str
    not_after: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a tenant wants to be told of which kinds of event.

    Attributes:
        url_sealed: a path or a query may be a password.
        disabled_reason: None: it is enabled.
        hint: of the current secret.
    """

    tenant_id: TenantId
    id: EndpointId
    environment: Environment
    name: str
    url_sealed: bytes
    event_types: tuple[str, ...]
    hint: str
    created_at: datetime
    updated_at: datetime
    disabled_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be otherwise; None: stays."""

    name: str | None = None
    url_sealed: bytes | None = None
    event_types: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose endpoints, and who acts."""

    tenant_id: TenantId
    environment: Environment
    actor: Actor


class Endpoints(Protocol):
    """Endpoints by id, each under its tenant and environment.

    Every change is recorded on the tenant's log, in the transaction that makes it.
    Another tenant's endpoint, another environment's, and one that never was, are None.
    """

    async def create(
        self, endpoint: Endpoint, secret: SealedSecret, by: Holder
    ) -> bool:
        """Keep a new endpoint; False: there are as many as there may be."""
        ...

    async def all(self, of: Holder) -> Sequence[Endpoint]:
        """All of them, newest first."""
        ...

    async def get(self, endpoint: EndpointId, of: Holder) -> Endpoint | None:
        """One of them."""
        ...

    async def update(
        self, endpoint: EndpointId, change: Change, now: datetime, by: Holder
    ) -> Endpoint | None:
        """Change it. A new URL, and any change of a disabled one, enables it again."""
        ...

    async def delete(self, endpoint: EndpointId, by: Holder) -> bool:
        """Forget it and its deliveries; False: it is not there."""
        ...

    async def rotate(
        self,
        endpoint: EndpointId,
        secret: SealedSecret,
        *,
        now: datetime,
        old_until: datetime,
        by: Holder,
    ) -> Endpoint | None:
        """A new current secret; the one before signs until then, older ones no more."""
        ...

    async def secrets(
        self, tenant: TenantId, endpoint: EndpointId, now: datetime
    ) -> Sequence[SealedSecret]:
        """Those that sign now, newest first."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is told, in the exact bytes that are signed and sent.

    Attributes:
        id: ``msg_…``; the same for every endpoint, on every retry.
    """

    tenant_id: TenantId
    environment: Environment
    id: str
    kind: str
    body: bytes
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """One attempt of one delivery.

    Attributes:
        message_id: what is delivered, where that is known.
    """

    tenant_id: TenantId
    endpoint_id: EndpointId
    delivery: str
    attempt: int
    message_id: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A delivery that is ours to attempt until the lease ends."""

    due: Due
    message_id: str
    body: bytes
    url_sealed: bytes
    secrets: Sequence[SealedSecret]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What followed from an attempt.

    Attributes:
        disabled: why the endpoint was disabled by it; None: it was not.
        told: deliveries to the others who hear of that.
    """

    next: Next
    disabled: Why | None = None
    told: Sequence[Due] = ()


Ended = Literal["skipped", "erased"]
"""How a delivery is over that nobody attempted."""


class Deliveries(Protocol):
    """Deliveries: kept once, attempted until they are over."""

    async def announce(self, messages: Sequence[Message]) -> Sequence[Due]:
        """Keep messages and their deliveries; what is to be attempted first.

        Law: announcing again changes nothing, and names what nobody attempted yet.
        """
        ...

    async def claim(self, due: Due, now: datetime, lease: timedelta) -> Claimed | None:
        """Lease a delivery.

        None: this attempt is over or is another's, the endpoint is disabled (it is
        skipped), or its breaker is open (it waits, and loses no attempt).
        """
        ...

    async def settle(
        self,
        due: Due,
        seen: Attempt,
        *,
        took: timedelta,
        now: datetime,
        jitter: float,
        asked: bytes | None = None,
    ) -> Settled:
        """Keep how an attempt went, what follows, and what it says of the endpoint.

        One transaction. Where it disables the endpoint, the record of that is in it,
        and so are the messages to the others.

        ``asked``: the sealed address that was. Where the endpoint has another by now,
        the attempt says nothing of it. None: the endpoint's.
        """
        ...

    async def park(self, due: Due, until: datetime) -> None:
        """Hand a delivery over to the sweeper; it loses no attempt.

        Nothing changes where it is leased for longer than that.
        """
        ...

    async def end(self, due: Due, state: Ended) -> None:
        """It is over without an attempt."""
        ...

    async def sweep(self, now: datetime, limit: int) -> Sequence[Due]:
        """What is due and in nobody's hands; ``limit`` of each tenant at most.

        What is answered is not answered again for a minute.
        """
        ...

    async def forget(self, before: datetime) -> int:
        """Delete messages that were kept before then, with all that hangs on them."""
        ...


class Sender(Protocol):
    """Sends one attempt to where an address check lets it go."""

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Attempt:
        """POST; how it went. It never raises for what the other side does."""
        ...

    async def reaches(self, host: str, port: int) -> bool:
        """Does the name lead to addresses, all of which may be dialled?"""
        ...
