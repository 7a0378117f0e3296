"""Tenants' routes and policies, read through the tenant's own door."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, TypeVar

import asyncpg
import orjson
from typing_extensions import override

from infra.postgres.pool import as_tenant
from pipeline.errors import IntegrityError
from pipeline.ports.system import Clock
from pipeline.ports.tenants import Environment, Tenants, TenantTerms
from schemas.ids import TenantId
from schemas.policies import PolicyDocument
from schemas.requests import PolicyRef, Route

K = TypeVar("K")
V = TypeVar("V")

FRESH_S = 5.0
"""How old routes and the policy in force may be."""
KEPT: Final = 4_096
"""Entries of each cache; beyond it the one that was used longest ago goes."""

TERMS = """
select (select document from sluice.policy order by version desc limit 1) as document,
       (select coalesce(json_agg(r), '[]')::text from
         (select model, provider, upstream_model from sluice.route
           where environment = $1) r) as routes
"""
OPEN = "select state <> 'closed' from sluice.tenant"
POLICY = "select document from sluice.policy where version = $1"


@dataclass(slots=True)
class PostgresTenants(Tenants):
    """Keeps what it read: versions as they never change, terms for seconds."""

    pool: asyncpg.Pool
    clock: Clock
    _terms: dict[tuple[TenantId, Environment], tuple[float, TenantTerms]] = field(
        default_factory=dict
    )
    _policies: dict[tuple[TenantId, PolicyRef], PolicyDocument] = field(
        default_factory=dict
    )

    @override
    async def terms(self, tenant: TenantId, environment: Environment) -> TenantTerms:
        now = self.clock.monotonic()
        found = self._terms.get((tenant, environment))
        if found is not None and now - found[0] < FRESH_S:
            return found[1]
        terms = await self._read(tenant, environment)
        _keep(self._terms, (tenant, environment), (now, terms))
        return terms

    async def _read(self, tenant: TenantId, environment: Environment) -> TenantTerms:
        async with as_tenant(self.pool, tenant, readonly=True) as connection:
            row = await connection.fetchrow(TERMS, environment)
        if row is None or row["document"] is None:
            raise IntegrityError("a tenant has no policy")
        policy = PolicyDocument.model_validate_json(row["document"])
        return TenantTerms(
            tenant_id=tenant,
            routes=_routes(row["routes"]),
            policy=policy,
            policy_ref=reference(policy, row["document"]),
        )

    @override
    async def closed(self, tenant: TenantId) -> bool:
        async with as_tenant(self.pool, tenant, readonly=True) as connection:
            return await connection.fetchval(OPEN) is not True

    @override
    async def policies(
        self, wanted: Sequence[tuple[TenantId, PolicyRef]]
    ) -> Mapping[PolicyRef, PolicyDocument]:
        found = {
            key: self._policies.get(key) or await self._version(*key)
            for key in dict.fromkeys(wanted)
        }
        for key, document in found.items():
            _keep(self._policies, key, document)
        return {ref: found[tenant, ref] for tenant, ref in wanted}

    async def _version(self, tenant: TenantId, ref: PolicyRef) -> PolicyDocument:
        async with as_tenant(self.pool, tenant, readonly=True) as connection:
            document = await connection.fetchval(POLICY, ref.version)
        if document is None or sha256(document).hexdigest() != ref.sha256:
            raise IntegrityError("a policy version is not what its hash says")
        return PolicyDocument.model_validate_json(document)


def _keep(cache: dict[K, V], key: K, value: V) -> None:
    cache.pop(key, None)
    cache[key] = value
    while len(cache) > KEPT:
        del cache[next(iter(cache))]


def reference(policy: PolicyDocument, document: bytes) -> PolicyRef:
    """How events name a stored version."""
    digest = sha256(document).hexdigest()
    return PolicyRef(id=policy.id, version=policy.version, sha256=digest)


def _routes(text: str) -> dict[str, Route]:
    return {
        row["model"]: Route(provider=row["provider"], model=row["upstream_model"])
        for row in orjson.loads(text)
    }
