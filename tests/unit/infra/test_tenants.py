"""The cache of policy versions: bounded, and right beyond its bound."""

from typing import Any

from typing_extensions import override

from infra.postgres import tenants
from infra.postgres.tenants import PostgresTenants
from infra.system import SystemClock
from schemas.ids import TenantId
from schemas.policies import PolicyDocument
from schemas.requests import PolicyRef
from tests.support.audit import OTHER, TENANT


class Read(PostgresTenants):
    """Counts instead of asking Postgres."""

    asked: list[int]

    @override
    async def _version(self, tenant: TenantId, ref: PolicyRef) -> PolicyDocument:
        self.asked.append(ref.version)
        return PolicyDocument(version=ref.version)


def made() -> Read:
    found = Read(pool=None, clock=SystemClock())  # type: ignore[arg-type]  # not asked
    found.asked = []
    return found


def ref(version: int) -> PolicyRef:
    return PolicyRef(id="default", version=version, sha256="0" * 64)


async def versions(read: Read, tenant: TenantId, *wanted: int) -> list[int]:
    found = await read.policies([(tenant, ref(each)) for each in wanted])
    return [found[ref(each)].version for each in wanted]


async def test_a_version_is_read_once() -> None:
    read = made()
    for _ in range(3):
        assert [1, 2] == await versions(read, TENANT, 1, 2)

    assert [1, 2] == read.asked


async def test_one_tenants_version_is_not_anothers() -> None:
    read = made()
    await versions(read, TENANT, 1)
    await versions(read, OTHER, 1)

    assert [1, 1] == read.asked


async def test_it_is_bounded_and_what_was_used_last_stays(monkeypatch: Any) -> None:
    monkeypatch.setattr(tenants, "KEPT", 2)
    read = made()
    for wanted in (1, 2, 1, 3, 1):
        await versions(read, TENANT, wanted)

    assert [1, 2, 3] == read.asked
    assert 2 == len(read._policies)


async def test_a_batch_larger_than_the_bound_is_answered(monkeypatch: Any) -> None:
    monkeypatch.setattr(tenants, "KEPT", 2)
    read = made()

    assert [1, 2, 3, 4] == await versions(read, TENANT, 1, 2, 3, 4)
    assert 2 == len(read._policies)
