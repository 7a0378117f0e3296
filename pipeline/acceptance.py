"""From a draft to an accepted request: key, row, seal, event; for both ways in."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest

from pipeline.admission import Draft, No, Refused, retention_class
from pipeline.contents import Contents
from pipeline.dialects import written
from pipeline.errors import KeyDestroyed
from pipeline.keystore import KeyId, Partition
from pipeline.ports.admissions import Admissions
from pipeline.ports.keys import Destroyed, KeyRef, KeyStore, NewKey, Subjects
from pipeline.ports.requests import Fresh, Known, NewRequest, Requests, RequestState
from pipeline.ports.system import Clock
from pipeline.ports.tenants import Principal, TenantTerms
from pipeline.sealing import DataKey, Purpose, fingerprint
from schemas.events import Attributes, Event
from schemas.ids import RequestId, event_id
from schemas.requests import Arrival, RequestAccepted, Retention, Terms
from schemas.topics import REQUESTS_ACCEPTED, Outgoing


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A draft, and what is known of who asks.

    Attributes:
        origin: W3C traceparent of where the story begins.
        arrival: how its body lies in the inbox; None: it came by HTTP.
    """

    principal: Principal
    draft: Draft
    terms: TenantTerms
    request_id: RequestId
    origin: str | None
    arrival: Arrival | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """Accepted once ``outgoing`` is durable. ``key`` opens the answer."""

    key: DataKey
    outgoing: Outgoing[RequestAccepted]


@dataclass(frozen=True, slots=True)
class Ended:
    """A retry of a request that has ended; ``key`` opens the answer."""

    key: DataKey
    state: RequestState


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """One way in.

    Attributes:
        source: how its events name it, e.g. ``/sluice/gateway``.
        reply_partition: where it waits for replies; None: nobody waits.
    """

    admissions: Admissions
    requests: Requests
    keystore: KeyStore
    subjects: Subjects
    contents: Contents
    clock: Clock
    source: str
    reply_partition: int | None

    async def accept(self, asked: Asked) -> Accepted | Ended | Refused:
        """Make the request's key and row, and seal its body.

        Law: a retry (equal id, equal bytes) is the same request: equal event id, equal
        terms. Equal id and other bytes: refused.

        Raises:
            RetryableError: keystore or database are away; nothing was accepted.
        """
        now = self.clock.now()
        try:
            subject = await self._subject(asked)
        except KeyDestroyed:
            return Refused(No.TENANT_ENDED)
        key, terms = self._offer(asked, now)
        row = NewRequest(
            tenant_id=asked.principal.tenant_id,
            request_id=asked.request_id,
            terms=terms,
            fingerprint=fingerprint(key, asked.draft.raw),
            accepted_at=now,
        )
        match await self.admissions.admit(NewKey(key, subject), row):
            case Fresh():
                return self._accepted(asked, key, terms)
            case Known() as known:
                return await self._again(asked, known)
            case Destroyed():
                return Refused(No.TENANT_ENDED)

    async def _subject(self, asked: Asked) -> bytes | None:
        if asked.draft.person is None:
            return None
        tenant = asked.principal.tenant_id
        return await self.subjects.pseudonym(tenant, asked.draft.person)

    def _offer(self, asked: Asked, now: datetime) -> tuple[DataKey, Terms]:
        policy, principal = asked.terms.policy, asked.principal
        kept = retention_class(policy, waits=self.reply_partition is not None)
        partition = Partition(kept, now.date())
        key = self.contents.new_key(principal.tenant_id, asked.request_id, partition)
        return key, Terms(
            actor=principal.actor,
            environment=principal.environment,
            dialect=asked.draft.dialect,
            model=asked.draft.model,
            route=asked.draft.route,
            policy=asked.terms.policy_ref,
            guards_required=policy.guards_required,
            retention=Retention(retention_class=kept.name, day=now.date().isoformat()),
            key_id=key.key_id,
            deadline=now + timedelta(seconds=policy.deadline_s),
            reply_partition=self.reply_partition,
            arrival=asked.arrival,
        )

    async def _again(self, asked: Asked, known: Known) -> Accepted | Ended | Refused:
        tenant, request = asked.principal.tenant_id, asked.request_id
        ref = KeyRef(tenant, request, KeyId(known.terms.key_id))
        key = (await self.keystore.fetch([ref]))[ref]
        if isinstance(key, Destroyed):
            return Refused(No.CONTENT_DESTROYED)
        same = known.terms.dialect is asked.draft.dialect
        raw = fingerprint(key, asked.draft.raw)
        if not same or not compare_digest(raw, known.fingerprint):
            return Refused(No.ID_REUSED)
        state = await self.requests.get(tenant, request)
        late = self.clock.now() >= known.terms.deadline
        if state is not None and (state.finished or late):
            return Ended(key, state)
        terms = known.terms.model_copy(update={"reply_partition": self.reply_partition})
        return self._accepted(asked, key, terms)

    def _accepted(self, asked: Asked, key: DataKey, terms: Terms) -> Accepted:
        """Its time is later than its key: see ``Admissions``."""
        request = asked.request_id
        attributes = Attributes(
            id=event_id(request, RequestAccepted.kind),
            type=RequestAccepted.kind,
            source=self.source,
            subject=request,
            tenant=asked.principal.tenant_id,
            time=self.clock.now(),
            origin=asked.origin,
            traceparent=asked.origin,
        )
        content = self.contents.seal(key, Purpose.REQUEST, written(asked.draft.body))
        data = RequestAccepted(terms=terms, content=content)
        return Accepted(key, Outgoing(REQUESTS_ACCEPTED, Event(attributes, data)))
