"""Webhook endpoints and deliveries in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from typing_extensions import override

from pipeline.announcements import of_disabled
from pipeline.ports.repeats import Repeats
from pipeline.ports.webhooks import (
    MAX_ENDPOINTS,
    PROBE,
    SWEPT_AFTER,
    Change,
    Claimed,
    Deliveries,
    Due,
    Ended,
    Endpoint,
    Endpoints,
    Holder,
    Message,
    SealedSecret,
    Settled,
)
from pipeline.repeats import (
    DONE,
    Delivery,
    Repeated,
    Standing,
    State,
    Wanted,
    number,
    repeat,
)
from pipeline.webhooks import (
    MAX_LIVE_SECRETS,
    Again,
    Attempt,
    Delivered,
    Health,
    Next,
    Why,
    by_topic,
    judge,
    opens_at,
)
from schemas.ids import Actor, EndpointId, TenantId, derived

Name = tuple[TenantId, EndpointId]


@dataclass(slots=True)
class _Place:
    endpoint: Endpoint
    secrets: list[SealedSecret]
    health: Health = field(default_factory=Health)
    probing_until: datetime | None = None


@dataclass(slots=True)
class _Row:
    due: Due
    message: Message
    state: State
    at: datetime
    lease_until: datetime | None = None
    tried: list[tuple[datetime, Attempt]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class MemoryWebhooks(Endpoints, Deliveries, Repeats):
    """All three ports over one set of dictionaries."""

    acts: list[tuple[Holder, str]] = field(default_factory=list)
    attempts: list[tuple[Due, Attempt]] = field(default_factory=list)
    _places: dict[Name, _Place] = field(default_factory=dict)
    _messages: dict[tuple[TenantId, str], Message] = field(default_factory=dict)
    _rows: dict[str, _Row] = field(default_factory=dict)

    @override
    async def create(
        self, endpoint: Endpoint, secret: SealedSecret, by: Holder
    ) -> bool:
        if len(await self.all(by)) >= MAX_ENDPOINTS:
            return False
        self._places[by.tenant_id, endpoint.id] = _Place(endpoint, [secret])
        self.acts.append((by, "endpoint.created"))
        return True

    @override
    async def all(self, of: Holder) -> Sequence[Endpoint]:
        found = [
            place.endpoint
            for (tenant, _), place in self._places.items()
            if (tenant, place.endpoint.environment) == (of.tenant_id, of.environment)
        ]
        newest = sorted(found, key=lambda each: (each.created_at, each.id))
        return newest[::-1]

    @override
    async def get(self, endpoint: EndpointId, of: Holder) -> Endpoint | None:
        place = self._place(endpoint, of)
        return place.endpoint if place else None

    @override
    async def update(
        self, endpoint: EndpointId, change: Change, now: datetime, by: Holder
    ) -> Endpoint | None:
        place = self._place(endpoint, by)
        if place is None:
            return None
        old = place.endpoint
        if change.url_sealed is not None or old.disabled_reason is not None:
            place.health = Health()
        place.endpoint = replace(
            old,
            name=change.name or old.name,
            url_sealed=change.url_sealed or old.url_sealed,
            event_types=change.event_types or old.event_types,
            updated_at=now,
            disabled_reason=None,
        )
        self.acts.append((by, "endpoint.updated"))
        return place.endpoint

    @override
    async def delete(self, endpoint: EndpointId, by: Holder) -> bool:
        if self._place(endpoint, by) is None:
            return False
        del self._places[by.tenant_id, endpoint]
        for name, row in [*self._rows.items()]:
            if row.due.endpoint_id == endpoint:
                del self._rows[name]
        self.acts.append((by, "endpoint.deleted"))
        return True

    @override
    async def rotate(
        self,
        endpoint: EndpointId,
        secret: SealedSecret,
        *,
        now: datetime,
        old_until: datetime,
        by: Holder,
    ) -> Endpoint | None:
        place = self._place(endpoint, by)
        if place is None:
            return None
        old = [
            replace(
                each,
                not_after=old_until
                if each.not_after is None
                else min(each.not_after, now),
            )
            for each in place.secrets
        ]
        place.secrets = [
            secret,
            *(e for e in old if e.not_after is not None and e.not_after > now),
        ]
        place.endpoint = replace(place.endpoint, hint=secret.hint, updated_at=now)
        self.acts.append((by, "endpoint.rotated"))
        return place.endpoint

    @override
    async def secrets(
        self, tenant: TenantId, endpoint: EndpointId, now: datetime
    ) -> Sequence[SealedSecret]:
        found = self._places[tenant, endpoint].secrets
        live = [e for e in found if e.not_after is None or e.not_after > now]
        return live[:MAX_LIVE_SECRETS]

    @override
    async def announce(self, messages: Sequence[Message]) -> Sequence[Due]:
        return [due for message in messages for due in self._announced(message)]

    def _announced(self, message: Message) -> Sequence[Due]:
        tenant = message.tenant_id
        wanting = [
            place.endpoint
            for (owner, _), place in self._places.items()
            if owner == tenant
            and place.endpoint.environment == message.environment
            and message.kind in place.endpoint.event_types
            and place.endpoint.created_at <= message.created_at
        ]
        if wanting:
            self._messages.setdefault((tenant, message.id), message)
        for endpoint in wanting:
            name = derived(tenant, message.id, endpoint.id)
            state: State = "skipped" if endpoint.disabled_reason else "due"
            due = Due(tenant, endpoint.id, name, 1, message.id)
            at = message.created_at + SWEPT_AFTER
            self._rows.setdefault(name, _Row(due, message, state, at))
        rows = [r for r in self._rows.values() if r.message.id == message.id]
        return [r.due for r in rows if r.state == "due" and r.due.attempt == 1]

    @override
    async def claim(self, due: Due, now: datetime, lease: timedelta) -> Claimed | None:
        row = self._rows.get(due.delivery)
        if row is None or row.state != "due" or row.due != due:
            return None
        if row.lease_until is not None and row.lease_until > now:
            return None
        place = self._places[due.tenant_id, due.endpoint_id]
        if place.endpoint.disabled_reason is not None:
            row.state = "skipped"
            return None
        breaker = place.health.breaker
        until = opens_at(breaker, place.probing_until, now)
        if until is not None:
            row.at = until
            return None
        if breaker.open_until is not None:
            place.probing_until = now + PROBE
        row.lease_until = row.at = now + lease
        return Claimed(
            due=due,
            message_id=row.message.id,
            body=row.message.body,
            url_sealed=place.endpoint.url_sealed,
            secrets=await self.secrets(due.tenant_id, due.endpoint_id, now),
        )

    @override
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
        place = self._places.get((due.tenant_id, due.endpoint_id))
        moved = place is not None and asked not in {None, place.endpoint.url_sealed}
        follows = judge(due.attempt, seen, jitter, moved=moved)
        self.attempts.append((due, seen))
        row = self._rows.get(due.delivery)
        if row is not None:
            row.tried.append((now - took, seen))
        if row is not None and (row.state, row.due.attempt) == ("due", due.attempt):
            self._follow(row, follows, now)
        why = self._fares(place, now, follows) if place and not moved else None
        tenant, endpoint = due.tenant_id, due.endpoint_id
        messages = of_disabled(tenant, endpoint, why, now) if why else ()
        told = [each for message in messages for each in self._announced(message)]
        return Settled(next=follows, disabled=why, told=told)

    @staticmethod
    def _follow(row: _Row, follows: Next, now: datetime) -> None:
        row.lease_until, row.at = None, now
        if isinstance(follows, Again):
            row.due = replace(row.due, attempt=follows.attempt)
            late = SWEPT_AFTER if by_topic(follows) else timedelta()
            row.at = now + follows.delay + late
        else:
            done = isinstance(follows, Delivered)
            row.state = "delivered" if done else "exhausted"

    @staticmethod
    def _fares(place: _Place, now: datetime, follows: Next) -> Why | None:
        success = isinstance(follows, Delivered)
        place.health = place.health.after(now, success=success)
        place.probing_until = None
        why = place.health.gives_up(follows, now, place.endpoint.updated_at)
        if why is None or place.endpoint.disabled_reason is not None:
            return None
        place.endpoint = replace(place.endpoint, disabled_reason=why)
        return why

    @override
    async def park(self, due: Due, until: datetime) -> None:
        row = self._rows.get(due.delivery)
        if row is None or (row.state, row.due.attempt) != ("due", due.attempt):
            return
        if row.lease_until is None or row.lease_until <= until:
            row.at, row.lease_until = until, None

    @override
    async def end(self, due: Due, state: Ended) -> None:
        row = self._rows.get(due.delivery)
        if row and row.state == "due" and row.due.attempt == due.attempt:
            row.state, row.lease_until = state, None

    @override
    async def sweep(self, now: datetime, limit: int) -> Sequence[Due]:
        found = [r for r in self._rows.values() if r.state == "due" and r.at <= now]
        for row in found[:limit]:
            row.at, row.lease_until = now + SWEPT_AFTER, None
        return [row.due for row in found[:limit]]

    @override
    async def forget(self, before: datetime) -> int:
        old = [n for n, each in self._messages.items() if each.created_at < before]
        for tenant, message in old:
            del self._messages[tenant, message]
            for name, row in [*self._rows.items()]:
                if (row.due.tenant_id, row.message.id) == (tenant, message):
                    del self._rows[name]
        return len(old)

    @override
    async def page(self, tenant: TenantId, wanted: Wanted) -> Sequence[Delivery] | None:
        mine = [row for row in self._rows.values() if row.due.tenant_id == tenant]
        mine.sort(key=_age, reverse=True)
        if wanted.after is not None:
            ids = [row.due.delivery for row in mine]
            if wanted.after not in ids:
                return None
            mine = mine[ids.index(wanted.after) + 1 :]
        found = [
            _listed(row)
            for row in mine
            if row.state in wanted.states
            and wanted.endpoint in {None, row.due.endpoint_id}
        ]
        return found[: wanted.limit]

    @override
    async def retry(
        self, tenant: TenantId, name: str, endpoint: EndpointId | None, now: datetime
    ) -> Sequence[Repeated]:
        found = [
            row
            for row in self._rows.values()
            if row.due.tenant_id == tenant
            and name in {row.due.delivery, row.message.id}
            and endpoint in {None, row.due.endpoint_id}
        ]
        found.sort(key=lambda row: row.due.delivery)
        return [self._repeated(row, now) for row in found]

    def _repeated(self, row: _Row, now: datetime) -> Repeated:
        endpoint = row.due.endpoint_id
        place = self._places[row.due.tenant_id, endpoint].endpoint
        stands = Standing(
            state=row.state,
            attempt=row.due.attempt,
            age=now - row.message.created_at,
            leased=row.lease_until is not None and row.lease_until > now,
            disabled=place.disabled_reason is not None,
        )
        became = repeat(stands)
        if became in DONE:
            row.due = replace(row.due, attempt=number(stands))
            row.state, row.at, row.lease_until = "due", now, None
            by = Holder(place.tenant_id, place.environment, Actor("user:operator"))
            self.acts.append((by, "webhook.retried"))
        return Repeated(row.due.delivery, endpoint, became)

    def state(self, due: Due) -> State:
        """How a delivery stands."""
        return self._rows[due.delivery].state

    def _place(self, endpoint: EndpointId, of: Holder) -> _Place | None:
        place = self._places.get((of.tenant_id, endpoint))
        if place is None or place.endpoint.environment != of.environment:
            return None
        return place


def _age(row: _Row) -> tuple[datetime, str]:
    return row.message.created_at, row.due.delivery


def _listed(row: _Row) -> Delivery:
    tried = sorted(row.tried, key=lambda each: each[0])
    at, last = tried[-1] if tried else (None, None)
    word = None
    if last is not None:
        word = last.error if last.status is None else str(last.status)
    return Delivery(
        id=row.due.delivery,
        message_id=row.message.id,
        kind=row.message.kind,
        endpoint_id=row.due.endpoint_id,
        created_at=row.message.created_at,
        state=row.state,
        attempts=len(tried),
        last=word,
        last_at=at,
        next_at=row.at if row.state == "due" else None,
    )
