"""Anchors in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from typing_extensions import override

from pipeline.ports.anchors import Anchored, Anchors, Kind
from schemas.ids import TenantId


@dataclass(frozen=True, slots=True)
class MemoryAnchors(Anchors):
    """Anchors in a dictionary."""

    _kept: dict[TenantId, dict[tuple[int, Kind, str], Anchored]] = field(
        default_factory=dict
    )

    @override
    async def anchored(self, tenant: TenantId) -> Sequence[Anchored]:
        kept = self._kept.get(tenant, {})
        return [kept[place] for place in sorted(kept)]

    @override
    async def keep(self, tenant: TenantId, anchored: Anchored) -> None:
        place = (anchored.size, anchored.kind, anchored.by)
        self._kept.setdefault(tenant, {}).setdefault(place, anchored)
