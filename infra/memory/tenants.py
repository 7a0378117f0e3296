"""Tenants and their credentials in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from typing_extensions import override

from pipeline.credentials import parse
from pipeline.errors import IntegrityError
from pipeline.ports.tenants import (
    Credentials,
    Environment,
    Principal,
    Tenants,
    TenantTerms,
)
from schemas.ids import TenantId
from schemas.policies import PolicyDocument
from schemas.requests import PolicyRef, Route


@dataclass(frozen=True, slots=True)
class MemoryTenants(Tenants):
    """Routes and policies, as they were put here."""

    _routes: dict[tuple[TenantId, Environment], Mapping[str, Route]] = field(
        default_factory=dict
    )
    _policies: dict[TenantId, dict[PolicyRef, PolicyDocument]] = field(
        default_factory=dict
    )

    _closed: set[TenantId] = field(default_factory=set)

    def close(self, tenant: TenantId) -> None:
        """Its log has ended."""
        self._closed.add(tenant)

    def put(
        self,
        tenant: TenantId,
        environment: Environment,
        routes: Mapping[str, Route],
        policy: PolicyDocument,
    ) -> None:
        """Routes of an environment; the policy is in force from now on."""
        self._routes[tenant, environment] = routes
        self._policies.setdefault(tenant, {})[reference(policy)] = policy

    @override
    async def terms(self, tenant: TenantId, environment: Environment) -> TenantTerms:
        versions = self._policies.get(tenant)
        if not versions:
            raise IntegrityError("a tenant has no policy")
        ref = max(versions, key=lambda each: each.version)
        return TenantTerms(
            tenant_id=tenant,
            routes=self._routes.get((tenant, environment), {}),
            policy=versions[ref],
            policy_ref=ref,
        )

    @override
    async def closed(self, tenant: TenantId) -> bool:
        return tenant in self._closed

    @override
    async def policies(
        self, wanted: Sequence[tuple[TenantId, PolicyRef]]
    ) -> Mapping[PolicyRef, PolicyDocument]:
        try:
            return {ref: self._policies[tenant][ref] for tenant, ref in wanted}
        except KeyError:
            raise IntegrityError("a policy version is missing") from None


def reference(policy: PolicyDocument) -> PolicyRef:
    """How events name a version."""
    digest = sha256(policy.model_dump_json().encode()).hexdigest()
    return PolicyRef(id=policy.id, version=policy.version, sha256=digest)


@dataclass(frozen=True, slots=True)
class MemoryCredentials(Credentials):
    """Keys and clients by what is kept of them."""

    _keys: dict[bytes, Principal] = field(default_factory=dict)
    _clients: dict[str, tuple[bytes, Principal]] = field(default_factory=dict)
    _valid_after: dict[str, datetime] = field(default_factory=dict)

    def put_key(self, text: str, principal: Principal) -> None:
        """Let a well-formed API key in."""
        self._keys[sha256(text.encode()).digest()] = principal

    def put_client(self, client_id: str, secret: str, principal: Principal) -> None:
        """Let a client in."""
        digest = sha256(secret.encode()).digest()
        self._clients[client_id] = digest, principal

    def revoke(self, client_id: str, at: datetime) -> None:
        """Refuse tokens that were issued up to ``at``."""
        self._valid_after[client_id] = at

    @override
    async def api_key(self, presented: str) -> Principal | None:
        key = parse(presented)
        return self._keys.get(key.digest) if key else None

    @override
    async def client(self, client_id: str, secret: str) -> Principal | None:
        digest, principal = self._clients.get(client_id, (b"", None))
        return principal if digest == sha256(secret.encode()).digest() else None

    @override
    async def client_now(
        self, tenant: TenantId, client_id: str, issued_at: datetime
    ) -> Principal | None:
        _, principal = self._clients.get(client_id, (b"", None))
        if principal is None or principal.tenant_id != tenant:
            return None
        revoked = self._valid_after.get(client_id)
        return None if revoked and issued_at <= revoked else principal
