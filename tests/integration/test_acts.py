"""Every administrative act is on the ledger: who did what, to what."""

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.keystore.keeper import PostgresKeyKeeper
from infra.keystore.keks import KekCache
from infra.keystore.loader import KekLoader
from infra.keystore.secrets import KekSecrets, PostgresSubjects
from infra.kms.file import FileKms
from infra.kms.folder import KeyFolder
from infra.memory.log import MemoryLog
from infra.memory.publisher import MemoryPublisher
from infra.postgres.admin import Admin
from infra.postgres.ledger import PostgresLedger
from infra.postgres.logs import PostgresLogs
from infra.postgres.outbox import Outbox
from infra.postgres.pool import open_pool
from infra.system import SystemClock, SystemEntropy
from pipeline.audit import ROOT
from pipeline.errors import SluiceError
from pipeline.ports.bus import Record
from schemas.audit import AuditRecorded
from schemas.events import Attributes, Event
from schemas.ids import Actor, TenantId
from schemas.policies import PolicyDocument
from schemas.requests import Route
from schemas.topics import AUDIT_RECORDED, TOPICS
from tests.support.gateway import HeldClock
from tests.support.installation import Installation, new_request_id

pytestmark = pytest.mark.integration

OPERATOR = Actor("user:made-up")
CLOCK, ENTROPY = SystemClock(), SystemEntropy()
LETTER = "01a20d85-9bec-76d9-973f-ec251878f37c"
READS = {"tenants", "routes", "policy", "keys"}
"""What an operator only looks at."""


async def _revoked_key(admin: Admin, tenant: TenantId) -> str:
    made = await admin.create_key(tenant, "live", "one")
    await admin.revoke_key(tenant, made.id)
    return made.id


async def _rotated_key(admin: Admin, tenant: TenantId) -> str:
    made = await admin.create_key(tenant, "live", "one")
    await admin.rotate_key(tenant, made.id, timedelta(hours=1))
    return made.id


async def _revoked_client(admin: Admin, tenant: TenantId) -> str:
    made = await admin.create_client(tenant, "live", "one")
    await admin.revoke_client(tenant, made.id)
    return made.id


async def _created_key(admin: Admin, tenant: TenantId) -> str:
    return (await admin.create_key(tenant, "live", "one")).id


async def _created_client(admin: Admin, tenant: TenantId) -> str:
    return (await admin.create_client(tenant, "live", "one")).id


async def _set_route(admin: Admin, tenant: TenantId) -> str:
    await admin.set_route(
        tenant, "live", "gpt", Route(provider="openai", model="gpt-large")
    )
    return "live:openai"


async def _set_policy(admin: Admin, tenant: TenantId) -> None:
    await admin.set_policy(tenant, PolicyDocument())


async def _erased_request(admin: Admin, tenant: TenantId) -> None:
    await admin.erase_request(tenant, new_request_id())


async def _erased_subject(admin: Admin, tenant: TenantId) -> None:
    await admin.erase_subject(tenant, "made-up@example.org")


async def _replayed(admin: Admin, tenant: TenantId) -> str:
    await admin.record_replay(tenant, LETTER)
    return LETTER


async def _released(admin: Admin, _: TenantId) -> str:
    await admin.release("screening")
    return "screening"


async def _created_tenant(_: Admin, tenant: TenantId) -> str:
    return tenant


Done = Callable[[Admin, TenantId], Awaitable[str | None]]
ACTS: Mapping[str, tuple[str, Done]] = {
    "create_tenant": ("tenant.created", _created_tenant),
    "set_route": ("route.set", _set_route),
    "set_policy": ("policy.set", _set_policy),
    "create_key": ("key.created", _created_key),
    "rotate_key": ("key.rotated", _rotated_key),
    "revoke_key": ("key.revoked", _revoked_key),
    "create_client": ("client.created", _created_client),
    "revoke_client": ("client.revoked", _revoked_client),
    "erase_request": ("erasure.ordered", _erased_request),
    "erase_subject": ("erasure.ordered", _erased_subject),
    "record_replay": ("record.replayed", _replayed),
    "release": ("delivery.released", _released),
}
"""By the method: what the ledger calls it, and doing it; which tells what it was
done to, where the record names that."""


def test_no_act_is_missing_here() -> None:
    public = {name for name in vars(Admin) if not name.startswith("_")}
    fields = {"pool", "keeper", "subjects", "clock", "entropy", "actor", "teller"}

    assert public - fields - READS == set(ACTS)


@pytest.mark.parametrize("method", ACTS)
async def test_it_is_on_the_ledger(
    installation: Installation, tmp_path: Path, method: str
) -> None:
    action, act = ACTS[method]
    async with AsyncExitStack() as opened:
        admin = await _admin(opened, installation, tmp_path)
        tenant = await admin.create_tenant("Acme")
        about = await act(admin, tenant)
        whose = ROOT if method == "release" else tenant
        records = await _on_the_ledger(opened, installation, admin, whose)

    told = [each for each in records if each["action"] == action]
    assert told
    assert OPERATOR == told[-1]["actor"]
    assert ("gpt" if action == "route.set" else None) == told[-1].get("model")
    if about is not None:
        assert about == told[-1]["decision"][0]["rule"]


async def test_nobody_orders_for_a_tenant_that_is_not_there(
    installation: Installation, tmp_path: Path
) -> None:
    """The order would be carried out by nobody, and begin a log of no tenant."""
    nobody = TenantId(ENTROPY.uuid7())
    async with AsyncExitStack() as opened:
        admin = await _admin(opened, installation, tmp_path)
        with pytest.raises(SluiceError, match="tenant"):
            await admin.erase_request(nobody, new_request_id())

        assert [] == await _on_the_ledger(opened, installation, admin, nobody)


async def _admin(
    opened: AsyncExitStack, installation: Installation, folder: Path
) -> Admin:
    urls = installation.urls
    pool = await opened.enter_async_context(
        await open_pool(urls["sluice_operator"], size=1)
    )
    keystore = await opened.enter_async_context(
        await open_pool(urls["sluice_keystore_keeper"], size=1)
    )
    keys = KeyFolder(
        directory=folder / "keys",
        root=folder / "root" / "root.key",
        entropy=ENTROPY,
        clock=CLOCK,
    )
    kms = FileKms(folder=keys, entropy=ENTROPY)
    keks = KekLoader(keystore, kms, KekCache(CLOCK))
    return Admin(
        pool=pool,
        keeper=PostgresKeyKeeper(pool=keystore, kms=kms, entropy=ENTROPY),
        subjects=PostgresSubjects(
            pool=keystore,
            secrets=KekSecrets(keks=keks, entropy=ENTROPY),
            entropy=ENTROPY,
            clock=CLOCK,
        ),
        clock=CLOCK,
        entropy=ENTROPY,
        actor=OPERATOR,
    )


async def _on_the_ledger(
    opened: AsyncExitStack, installation: Installation, admin: Admin, whose: TenantId
) -> list[dict[str, Any]]:
    """What the tenant's log holds, once the outbox was published and read."""
    log = MemoryLog(TOPICS, HeldClock())
    await Outbox(pool=admin.pool, publisher=MemoryPublisher(log)).round()
    worker = await opened.enter_async_context(
        await open_pool(installation.urls["sluice_worker"], size=1)
    )
    ledger = PostgresLedger(pool=worker, domain="test", entropy=ENTROPY)
    await ledger.append([_event(record) for record in log.records(AUDIT_RECORDED.name)])
    logs = PostgresLogs(pool=worker, role="sluice_tenant")
    return [json.loads(each.body) for each in await logs.read(whose, 0, 1_000)]


def _event(record: Record) -> Event[AuditRecorded]:
    data = AuditRecorded.model_validate_json(record.value or b"")
    return Event(Attributes.from_headers(record.headers), data)
