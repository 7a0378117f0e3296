"""What a batch of requests needs before any of them is handled: keys and policies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pipeline.keystore import KeyId
from pipeline.ports.keys import Destroyed, KeyRef, KeyStore
from pipeline.ports.tenants import Tenants
from pipeline.reasons import Reason
from pipeline.sealing import DataKey
from schemas.events import Attributes, Event
from schemas.ids import RequestId
from schemas.policies import PolicyDocument
from schemas.requests import (
    PolicyRef,
    RequestAccepted,
    RequestRedacted,
    RequestScreened,
    Terms,
)

OpenRequest = RequestAccepted | RequestScreened | RequestRedacted


def key_ref(attributes: Attributes, terms: Terms) -> KeyRef:
    """Which key an event says it needs; the seal judges the claim."""
    return KeyRef(attributes.tenant, RequestId(attributes.subject), KeyId(terms.key_id))


@dataclass(frozen=True, slots=True)
class Work:
    """Keys and policies of one batch; they die with it."""

    keys: Mapping[KeyRef, DataKey | Destroyed]
    policies: Mapping[PolicyRef, PolicyDocument]

    def key(self, event: Event[OpenRequest], now: datetime) -> DataKey | Reason:
        """The event's data key, or why the request cannot go on."""
        terms = event.data.terms
        if now >= terms.deadline:
            return Reason.DEADLINE_EXCEEDED
        found = self.keys[key_ref(event.attributes, terms)]
        return Reason.KEY_DESTROYED if isinstance(found, Destroyed) else found

    def policy(self, event: Event[OpenRequest]) -> PolicyDocument:
        """The policy with which the event's request was admitted."""
        return self.policies[event.data.terms.policy]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where a batch's work is laid out: one query for all its keys."""

    keystore: KeyStore
    tenants: Tenants

    async def work(self, events: Sequence[Event[OpenRequest]]) -> Work:
        """Keys and policies; a policy version is asked for once a process.

        Raises:
            RetryableError: the keystore or the database is away.
        """
        refs = [key_ref(event.attributes, event.data.terms) for event in events]
        wanted = [(e.attributes.tenant, e.data.terms.policy) for e in events]
        return Work(
            keys=await self.keystore.fetch(refs),
            policies=await self.tenants.policies(wanted),
        )
