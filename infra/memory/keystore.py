"""The keystore in memory."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from typing_extensions import override

from infra.keystore.batches import batch, request_uuid
from pipeline.errors import IntegrityError, KeyDestroyed, RetryableError
from pipeline.keystore import KeyId, Partition, partition_of
from pipeline.ports.keys import (
    Destroyed,
    KeyKeeper,
    KeyPartitions,
    KeyRef,
    KeyStore,
    NewKey,
    OfRequest,
    OfSubject,
    Terminated,
)
from pipeline.ports.kms import DestroyEvidence, KekRef, KeyState, Reason
from pipeline.ports.system import Clock
from pipeline.sealing import DataKey
from schemas.ids import TenantId

Name = tuple[TenantId, KeyId]


@dataclass(frozen=True, slots=True)
class MemoryKeys(KeyStore, KeyKeeper, KeyPartitions):
    """All three ports of the keystore over one set of dictionaries."""

    clock: Clock
    _keys: dict[Name, NewKey] = field(default_factory=dict)
    _tombstones: set[Name] = field(default_factory=set)
    _versions: dict[TenantId, int] = field(default_factory=dict)
    _terminated: dict[TenantId, tuple[DestroyEvidence, ...]] = field(
        default_factory=dict
    )
    _partitions: set[Partition] = field(default_factory=set)
    _detached: dict[Partition, Mapping[TenantId, int]] = field(default_factory=dict)
    _remains: set[Partition] = field(default_factory=set)

    @override
    async def create(self, keys: Sequence[NewKey]) -> Sequence[bool]:
        for new in keys:
            request_uuid(new.key.request_id)
            if partition_of(new.key.key_id) not in self._open:
                raise RetryableError("no partition for this day")
        return [self._create(new) for new in keys]

    @override
    async def fetch(
        self, wanted: Sequence[KeyRef]
    ) -> Mapping[KeyRef, DataKey | Destroyed]:
        batch(wanted)
        return {ref: self._fetch(ref) for ref in wanted}

    @override
    async def forget(self, keys: Sequence[KeyRef]) -> int:
        batch(keys)
        names = {(ref.tenant_id, ref.key_id) for ref in keys}
        return sum(self._keys.pop(name, None) is not None for name in names)

    @override
    async def enrol(self, tenant: TenantId) -> None:
        if tenant in self._terminated:
            raise KeyDestroyed("the tenant was terminated")
        self._versions.setdefault(tenant, 1)

    @override
    async def rotate(self, tenant: TenantId) -> int:
        if not self.active(tenant):
            raise KeyDestroyed("the tenant has no key")
        self._versions[tenant] += 1
        return self._versions[tenant]

    @override
    async def of(self, selector: OfRequest | OfSubject, most: int) -> Sequence[KeyRef]:
        chosen = _chooser(selector)
        keys = [new.key for new in self._keys.values() if chosen(new)]
        keys.sort(key=lambda key: key.key_id)
        return [
            KeyRef(key.tenant_id, key.request_id, key.key_id) for key in keys[:most]
        ]

    @override
    async def destroy_keys(
        self, tenant: TenantId, keys: Collection[KeyId]
    ) -> Collection[KeyId]:
        back = [key_id for key_id in keys if (tenant, key_id) in self._keys]
        for key_id in back:
            self._tombstones.add((tenant, key_id))
            self._drop((tenant, key_id))
        return back

    @override
    async def terminate(self, tenant: TenantId) -> Terminated:
        versions = range(1, self._versions.get(tenant, 0) + 1)
        evidence = tuple(self._evidence(KekRef(tenant, each)) for each in versions)
        gone = [name for name in self._keys if name[0] == tenant]
        for name in gone:
            self._drop(name)
        evidence = self._terminated.setdefault(tenant, evidence)
        return Terminated(evidence=evidence, deleted=len(gone))

    @override
    async def prepare(self, wanted: Sequence[Partition]) -> int:
        before = len(self._partitions)
        self._partitions.update(wanted)
        return len(self._partitions) - before

    @override
    async def there(self) -> Sequence[Partition]:
        return sorted(
            self._partitions, key=lambda each: (each.retention_class.code, each.day)
        )

    @override
    async def detach(self, partition: Partition) -> Mapping[TenantId, int]:
        if partition in self._partitions and partition not in self._detached:
            gone = [name for name in self._keys if partition_of(name[1]) == partition]
            self._detached[partition] = Counter(tenant for tenant, _ in gone)
            for name in gone:
                del self._keys[name]
        return self._detached.get(partition, {})

    @override
    async def retire(self, partition: Partition) -> None:
        if partition not in self._partitions:
            return
        if self._detached.pop(partition, None) is None:
            raise IntegrityError("expected a day of keys that was detached")
        self._partitions.remove(partition)
        self._remains.discard(partition)

    @override
    async def rewrite(self) -> int:
        count = len(self._remains)
        self._remains.clear()
        return count

    @property
    def _open(self) -> set[Partition]:
        return self._partitions - self._detached.keys()

    def active(self, tenant: TenantId) -> bool:
        """Was it enrolled, and not terminated?"""
        return tenant in self._versions and tenant not in self._terminated

    def _create(self, new: NewKey) -> bool:
        name = new.key.tenant_id, new.key.key_id
        if not self.active(new.key.tenant_id) or name in self._tombstones:
            return False
        self._keys.setdefault(name, new)
        return True

    def _fetch(self, ref: KeyRef) -> DataKey | Destroyed:
        new = self._keys.get((ref.tenant_id, ref.key_id))
        if new is None:
            return Destroyed()
        return DataKey(ref.key_id, ref.tenant_id, ref.request_id, new.key.dek)

    def _drop(self, name: Name) -> None:
        del self._keys[name]
        partition = partition_of(name[1])
        if partition.retention_class.period:
            self._remains.add(partition)

    def _evidence(self, ref: KekRef) -> DestroyEvidence:
        return DestroyEvidence(
            ref=ref,
            reason=Reason.TERMINATION,
            state=KeyState.DESTROYED,
            effective_at=self.clock.now(),
            provider="memory",
            provider_ref=f"{ref.tenant_id}.{ref.version}",
        )


def _chooser(selector: OfRequest | OfSubject) -> Callable[[NewKey], bool]:
    match selector:
        case OfRequest(tenant_id=tenant, request_id=request):
            return lambda new: (
                (new.key.tenant_id, new.key.request_id)
                == (
                    tenant,
                    request,
                )
            )
        case OfSubject(tenant_id=tenant, subject=subject):
            return lambda new: (new.key.tenant_id, new.subject) == (tenant, subject)
