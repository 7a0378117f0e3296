"""Tenants, their credentials, routes and policies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from schemas.ids import Actor, TenantId
from schemas.policies import PolicyDocument
from schemas.requests import PolicyRef, Route

Environment = Literal["live", "test"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks, settled once from a credential.

    Attributes:
        capabilities: ``noun:verb`` words, never role names.
        routes: model names that the credential may use; None: all of its tenant's.
    """

    tenant_id: TenantId
    actor: Actor
    environment: Environment
    capabilities: frozenset[str]
    routes: frozenset[str] | None
    authenticated_at: datetime
    methods: tuple[str, ...]


class Credentials(Protocol):
    """From a presented secret to a principal."""

    async def api_key(self, presented: str) -> Principal | None:
        """Who holds this API key now; None for every way of being wrong.

        Raises:
            RetryableError: it cannot be known now. Never a yes.
        """
        ...

    async def client(self, client_id: str, secret: str) -> Principal | None:
        """Who holds these client credentials now (RFC 6749 section 4.4)."""
        ...

    async def client_now(
        self, tenant: TenantId, client_id: str, issued_at: datetime
    ) -> Principal | None:
        """Who holds a token that this client got at ``issued_at``; None: revoked."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantTerms:
    """What admission needs to know of a tenant: its routes and its policy in force."""

    tenant_id: TenantId
    routes: Mapping[str, Route]
    policy: PolicyDocument
    policy_ref: PolicyRef


class Tenants(Protocol):
    """What was configured for a tenant."""

    async def terms(self, tenant: TenantId, environment: Environment) -> TenantTerms:
        """Routes and the policy in force; at most 5 s old."""
        ...

    async def closed(self, tenant: TenantId) -> bool:
        """Has its log ended? Nothing is told of it any more."""
        ...

    async def policies(
        self, wanted: Sequence[tuple[TenantId, PolicyRef]]
    ) -> Mapping[PolicyRef, PolicyDocument]:
        """Policy versions by reference: one round trip for what is not cached.

        Versions never change, so what was read once is kept.

        Raises:
            IntegrityError: a stored version is missing or is not what its hash says.
        """
        ...
