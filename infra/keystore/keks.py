"""Tenants' keys in memory: for minutes, for a bounded number of uses, by epoch."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from pipeline.ports.system import Clock
from schemas.ids import TenantId

MAX_AGE_S = 300.0
MAX_USES = 1_000_000
MAX_KEKS = 10_000


@dataclass(frozen=True, slots=True)
class Kek:
    """One version of a tenant's key, as it stood at an epoch.

    Attributes:
        present: new data keys are wrapped under it.
    """

    tenant_id: TenantId
    version: int
    epoch: int
    present: bool
    key: bytes = field(repr=False)


@dataclass(slots=True)
class _Kept:
    kek: Kek
    until: float
    uses: int = 0


class KekCache:
    """Unsealed keys of tenants; never written anywhere.

    A destruction raises the tenant's epoch, and whoever reads a row of the keystore
    reads the epoch with it; so a key of an older one is dropped at its next use.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        max_age_s: float = MAX_AGE_S,
        max_uses: int = MAX_USES,
        max_keks: int = MAX_KEKS,
    ) -> None:
        self._clock = clock
        self._max_age_s = max_age_s
        self._max_uses = max_uses
        self._max_keks = max_keks
        self._kept: OrderedDict[tuple[TenantId, int | None], _Kept] = OrderedDict()

    def keep(self, kek: Kek) -> None:
        """Remember a key; the least lately used is forgotten beyond the bound."""
        until = self._clock.monotonic() + self._max_age_s
        self._kept[kek.tenant_id, kek.version] = _Kept(kek, until)
        if kek.present:
            self._kept[kek.tenant_id, None] = _Kept(kek, until)
        while len(self._kept) > self._max_keks:
            self._kept.popitem(last=False)

    def present(self, tenant: TenantId) -> Kek | None:
        """The key that wraps new data keys, if it is remembered."""
        return self._use((tenant, None), 0)

    def version(self, tenant: TenantId, version: int, epoch: int) -> Kek | None:
        """A version of the tenant's key, if it is known from ``epoch`` or later."""
        return self._use((tenant, version), epoch)

    def drop_present(self, tenants: Iterable[TenantId]) -> None:
        """Forget which version is the present one."""
        for tenant in tenants:
            self._kept.pop((tenant, None), None)

    def _use(self, slot: tuple[TenantId, int | None], epoch: int) -> Kek | None:
        kept = self._kept.get(slot)
        if kept is None:
            return None
        kept.uses += 1
        over = kept.uses > self._max_uses or self._clock.monotonic() >= kept.until
        if over or kept.kek.epoch < epoch:
            del self._kept[slot]
            return None
        self._kept.move_to_end(slot)
        return kept.kek
