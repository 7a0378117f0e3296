"""What others gave us for checkpoints, in Postgres."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
from typing_extensions import override

from infra.postgres.logs import Role, reading_as
from pipeline.ports.anchors import Anchored, Anchors, Kind
from schemas.ids import TenantId

ANCHORED = """
select size, kind, given_by, evidence, at from sluice.ledger_anchor
 where tenant_id = $1 order by size, kind, given_by
"""
KEEP = """
insert into sluice.ledger_anchor (size, kind, given_by, evidence, at)
values ($1, $2, $3, $4, $5) on conflict do nothing
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresAnchors(Anchors):
    """One log at a time, with the rights of ``role``."""

    pool: asyncpg.Pool
    role: Role

    @override
    async def anchored(self, tenant: TenantId) -> Sequence[Anchored]:
        async with reading_as(self.pool, self.role, tenant) as connection:
            rows = await connection.fetch(ANCHORED, tenant)
        return [
            Anchored(
                size=row["size"],
                kind=Kind(row["kind"]),
                by=row["given_by"],
                evidence=row["evidence"],
                at=row["at"],
            )
            for row in rows
        ]

    @override
    async def keep(self, tenant: TenantId, anchored: Anchored) -> None:
        row = (anchored.size, anchored.kind.value, anchored.by)
        async with reading_as(
            self.pool, self.role, tenant, readonly=False
        ) as connection:
            await connection.execute(KEEP, *row, anchored.evidence, anchored.at)
