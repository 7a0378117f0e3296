"""A tenant that goes: frozen, closed with its log, and the log deleted."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typing_extensions import override

from infra.keystore.keeper import PostgresKeyKeeper
from infra.keystore.keks import KekCache
from infra.keystore.loader import KekLoader
from infra.keystore.secrets import KekSecrets, PostgresSubjects
from infra.kms.file import FileKms
from infra.kms.folder import KeyFolder
from infra.log import Log
from infra.memory.log import MemoryLog
from infra.memory.publisher import MemoryPublisher
from infra.postgres.admin import Admin
from infra.postgres.closing import SETTLED, Closing
from infra.postgres.ledger import PostgresLedger
from infra.postgres.logs import PostgresLogs
from infra.postgres.outbox import Outbox
from infra.postgres.pool import open_pool
from infra.postgres.requests import PostgresRequests
from infra.postgres.sweep import PostgresSweep
from infra.postgres.tenants import PostgresTenants
from infra.signer.ed25519 import FileSigner, PublicKeys, ensure_key
from infra.signer.state import STATE, FileState
from infra.system import SystemClock, SystemEntropy
from pipeline.audit import ROOT, record
from pipeline.errors import (
    IntegrityError,
    KeyDestroyed,
    LogClosed,
    RetryableError,
    SluiceError,
)
from pipeline.ports.keys import Terminated
from producers.checkpointer import Checkpointer
from schemas.audit import CLOSED, AuditRecorded
from schemas.events import Attributes, Event
from schemas.ids import Actor, TenantId
from schemas.policies import PolicyDocument
from schemas.requests import Retention
from schemas.topics import AUDIT_RECORDED, TOPICS
from tests.support.audit import recorded
from tests.support.gateway import HeldClock
from tests.support.installation import (
    Installation,
    admitted,
    ended,
    new_request_id,
    terms,
)

pytestmark = pytest.mark.integration

ENTROPY = SystemEntropy()


@dataclass(frozen=True, kw_only=True)
class Scene:
    """An operator, the ledger's writer, and the checkpointer."""

    clock: HeldClock
    admin: Admin
    ledger: PostgresLedger
    logs: PostgresLogs
    requests: PostgresRequests
    checkpointer: Checkpointer
    keys: PublicKeys

    @property
    def closing(self) -> Closing:
        return Closing(self.admin)

    async def drain(self) -> None:
        """What the outbox holds comes onto the ledger."""
        await self.ledger.append(await self.published())

    async def published(self) -> Sequence[Event[AuditRecorded]]:
        """What the outbox held: it is on its way, and not on the ledger yet."""
        log = MemoryLog(TOPICS, self.clock)
        publisher = MemoryPublisher(log)
        await Outbox(pool=self.admin.pool, publisher=publisher).round()
        return [
            Event(
                Attributes.from_headers(each.headers),
                AuditRecorded.model_validate_json(each.value or b""),
            )
            for each in log.records(AUDIT_RECORDED.name)
        ]

    async def frozen(self) -> TenantId:
        """A tenant that was frozen long enough ago."""
        tenant = await self.admin.create_tenant("Acme")
        assert await self.closing.freeze(tenant)
        await self.drain()
        await self.clock.sleep(SETTLED.total_seconds())
        return tenant

    async def actions(self, tenant: TenantId) -> list[str]:
        return [each.action for each in await self.logs.read(tenant, 0, 99)]


@pytest.fixture
async def scene(installation: Installation, tmp_path: Path) -> AsyncIterator[Scene]:
    urls, clock = installation.urls, HeldClock()
    async with (
        await open_pool(urls["sluice_operator"], size=1) as operator,
        await open_pool(urls["sluice_keystore_keeper"], size=1) as keystore,
        await open_pool(urls["sluice_worker"], size=1) as worker,
        await open_pool(urls["sluice_checkpointer"], size=1) as signer,
    ):
        folder = KeyFolder(
            directory=tmp_path / "keys",
            root=tmp_path / "root" / "root.key",
            entropy=ENTROPY,
            clock=clock,
        )
        kms = FileKms(folder=folder, entropy=ENTROPY)
        keks = KekLoader(keystore, kms, KekCache(clock))
        secrets = KekSecrets(keks=keks, entropy=ENTROPY)
        logs = PostgresLogs(pool=signer, role="sluice_ledger_signer")
        keys = ensure_key(tmp_path / "signer", bytes(32), clock.now())
        yield Scene(
            clock=clock,
            admin=Admin(
                pool=operator,
                keeper=PostgresKeyKeeper(pool=keystore, kms=kms, entropy=ENTROPY),
                subjects=PostgresSubjects(
                    pool=keystore, secrets=secrets, entropy=ENTROPY, clock=clock
                ),
                clock=clock,
                entropy=ENTROPY,
                actor=Actor("user:made-up"),
            ),
            ledger=PostgresLedger(pool=worker, domain="test", entropy=ENTROPY),
            logs=logs,
            requests=PostgresRequests(pool=worker),
            checkpointer=Checkpointer(
                ledger=PostgresLedger(pool=signer, domain="test", entropy=ENTROPY),
                logs=logs,
                signer=FileSigner(tmp_path / "signer", clock),
                state=FileState(tmp_path / "signer" / STATE),
                clock=clock,
                log=Log("test"),
            ),
            keys=keys,
        )


async def sign(scene: Scene, tenant: TenantId) -> None:
    """One log and the root: other cases of this module signed with keys of theirs."""
    head = await scene.logs.head(tenant)
    assert head is not None
    await scene.checkpointer.checkpoint(tenant, head)


async def test_a_tenant_goes(scene: Scene) -> None:
    tenant = await scene.frozen()
    tenants = PostgresTenants(pool=scene.admin.pool, clock=scene.clock)
    before = await tenants.closed(tenant)

    await scene.closing.close(tenant)
    await scene.drain()

    assert (False, True) == (before, await tenants.closed(tenant))
    assert CLOSED == (await scene.actions(tenant))[-1]
    with pytest.raises(KeyDestroyed):
        await scene.admin.keeper.enrol(tenant)
    with pytest.raises(LogClosed):
        await scene.ledger.append([recorded("late", tenant=tenant)])
    with pytest.raises(IntegrityError):  # nobody signed its end
        await scene.closing.delete_log(tenant, scene.keys.named)

    await sign(scene, tenant)
    kept = await scene.closing.delete_log(tenant, scene.keys.named)
    await scene.drain()

    assert None is await scene.logs.head(tenant)
    assert kept in await scene.logs.deleted()
    erased = record(kept.record).erase
    assert erased is not None
    assert ("tenant", tenant) == (erased.scope, erased.ref)
    assert "log.deleted" in await scene.actions(ROOT)
    with pytest.raises(SluiceError):
        await scene.closing.delete_log(tenant, scene.keys.named)
    with pytest.raises(SluiceError, match="closed already"):
        await scene.closing.close(tenant)


class Torn(SystemEntropy):
    """Where an act gets its id: there the connection is lost."""

    @override
    def uuid7(self) -> str:
        raise ConnectionResetError


async def test_no_log_is_deleted_that_the_root_log_is_not_told_of(scene: Scene) -> None:
    """Said again, it would be a tenant without a log, and nothing would tell."""
    tenant = await scene.frozen()
    await scene.closing.close(tenant)
    await scene.drain()
    await sign(scene, tenant)
    before = (await scene.actions(ROOT)).count("log.deleted")
    torn = Closing(replace(scene.admin, entropy=Torn()))

    with pytest.raises(RetryableError):
        await torn.delete_log(tenant, scene.keys.named)
    assert None is not await scene.logs.head(tenant)
    await scene.closing.delete_log(tenant, scene.keys.named)
    await scene.drain()

    assert None is await scene.logs.head(tenant)
    assert before + 1 == (await scene.actions(ROOT)).count("log.deleted")


async def test_closing_again_closes_once(scene: Scene) -> None:
    tenant = await scene.frozen()

    await scene.closing.close(tenant)
    await scene.drain()
    await scene.closing.close(tenant)
    await scene.drain()

    assert 1 == (await scene.actions(tenant)).count(CLOSED)


async def test_who_is_not_frozen_is_not_closed(scene: Scene) -> None:
    tenant = await scene.admin.create_tenant("Acme")
    await scene.drain()

    with pytest.raises(SluiceError, match="frozen"):
        await scene.closing.close(tenant)


async def test_what_is_on_its_way_is_waited_for(scene: Scene) -> None:
    tenant = await scene.admin.create_tenant("Acme")
    assert await scene.closing.freeze(tenant)
    with pytest.raises(SluiceError, match="no event"):
        await scene.closing.close(tenant)

    await scene.drain()
    with pytest.raises(SluiceError, match="15 minutes"):
        await scene.closing.close(tenant)
    await scene.clock.sleep(SETTLED.total_seconds())
    request = new_request_id()
    await scene.requests.admit(admitted(tenant, request))
    with pytest.raises(SluiceError, match="no request"):
        await scene.closing.close(tenant)

    await scene.requests.finish([ended(tenant, request)])
    await scene.closing.close(tenant)


async def test_who_is_thawed_is_admitted_again(scene: Scene) -> None:
    tenant = await scene.frozen()
    assert not await scene.closing.freeze(tenant)

    assert await scene.closing.thaw(tenant)
    assert not await scene.closing.thaw(tenant)
    await scene.drain()

    assert ["tenant.frozen", "tenant.thawed"] == (await scene.actions(tenant))[-2:]
    with pytest.raises(SluiceError, match="frozen"):
        await scene.closing.close(tenant)


async def test_who_is_frozen_again_waits_again(scene: Scene) -> None:
    """What was admitted since the thaw may still be on its way to the log."""
    tenant = await scene.frozen()
    assert await scene.closing.thaw(tenant)
    assert await scene.closing.freeze(tenant)
    await scene.drain()

    with pytest.raises(SluiceError, match="15 minutes"):
        await scene.closing.close(tenant)


@pytest.mark.parametrize("earlier", [False, True], ids=["by us", "by an earlier one"])
@pytest.mark.parametrize("before", [False, True], ids=["first", "again"])
async def test_a_freeze_that_its_log_does_not_tell_of_is_waited_for(
    scene: Scene, installation: Installation, *, before: bool, earlier: bool
) -> None:
    """The workers are behind: so are records of what it did before it was frozen."""
    tenant = await scene.admin.create_tenant("Acme")
    if before:
        assert await scene.closing.freeze(tenant)
        await scene.clock.sleep(1)
        assert await scene.closing.thaw(tenant)
    await scene.drain()
    assert await scene.closing.freeze(tenant)
    late = await scene.published()
    if earlier:
        root = await asyncpg.connect(installation.superuser)
        await root.execute("update sluice.tenant set frozen_by = null")
        await root.close()
    await scene.clock.sleep(2 * SETTLED.total_seconds())

    with pytest.raises(SluiceError, match="15 minutes"):
        await scene.closing.close(tenant)

    await scene.ledger.append(late)
    await scene.closing.close(tenant)


async def test_a_thaw_that_its_log_does_not_tell_of_undoes_the_freeze_before_it(
    scene: Scene,
) -> None:
    """All that the log says is the first freeze, which was long ago."""
    tenant = await scene.frozen()
    assert await scene.closing.thaw(tenant)
    assert await scene.closing.freeze(tenant)
    late = await scene.published()

    with pytest.raises(SluiceError, match="15 minutes"):
        await scene.closing.close(tenant)

    await scene.ledger.append(late)
    with pytest.raises(SluiceError, match="15 minutes"):
        await scene.closing.close(tenant)
    await scene.clock.sleep(SETTLED.total_seconds())
    await scene.closing.close(tenant)


async def test_who_was_thawed_while_it_was_closed_is_not_told_as_closed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its keys are gone by then: frozen again, it can be closed."""
    tenant = await scene.frozen()
    terminate = PostgresKeyKeeper.terminate

    async def beside(keeper: PostgresKeyKeeper, tenant: TenantId) -> Terminated:
        assert await scene.closing.thaw(tenant)
        return await terminate(keeper, tenant)

    with monkeypatch.context() as patched:
        patched.setattr(PostgresKeyKeeper, "terminate", beside)
        with pytest.raises(SluiceError, match="freeze"):
            await scene.closing.close(tenant)

    await scene.drain()
    assert CLOSED not in await scene.actions(tenant)
    assert await scene.closing.freeze(tenant)
    await scene.drain()
    await scene.clock.sleep(SETTLED.total_seconds())
    await scene.closing.close(tenant)
    await scene.drain()
    assert CLOSED == (await scene.actions(tenant))[-1]


async def test_who_is_closed_stays_closed(scene: Scene) -> None:
    tenant = await scene.frozen()
    await scene.closing.close(tenant)

    assert not await scene.closing.thaw(tenant)
    assert not await scene.closing.freeze(tenant)


async def test_a_log_under_another_key_is_not_deleted(
    scene: Scene, tmp_path: Path
) -> None:
    tenant = await scene.frozen()
    await scene.closing.close(tenant)
    await scene.drain()
    await sign(scene, tenant)
    strange = ensure_key(tmp_path / "strange", bytes([1] * 32), scene.clock.now())

    with pytest.raises(SluiceError):
        await scene.closing.delete_log(tenant, strange.named)

    assert None is not await scene.logs.head(tenant)


async def test_no_other_role_deletes(scene: Scene, installation: Installation) -> None:
    tenant = await scene.frozen()
    await scene.closing.close(tenant)
    await scene.drain()
    await sign(scene, tenant)
    connection = await asyncpg.connect(installation.urls["sluice_worker"])
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("set role sluice_ledger_deleter")
    finally:
        await connection.close()


async def test_who_is_closed_is_owed_no_receipt_of_a_day(
    scene: Scene, installation: Installation
) -> None:
    """Its log would never hold the record that the receipt names."""
    tenants = [await scene.frozen() for _ in range(2)]
    retained = Retention(retention_class="transient", day="2026-01-01")
    past = SystemClock().now() - timedelta(days=1)
    for tenant in tenants:
        known = terms(deadline=past, retention=retained)
        request = new_request_id()
        await scene.requests.admit(replace(admitted(tenant, request), terms=known))
        await scene.requests.finish([ended(tenant, request, known=known)])
    gone, stays = tenants
    await scene.closing.close(gone)

    async with await open_pool(installation.urls["sluice_worker"], size=1) as pool:
        sweep = PostgresSweep(pool)
        owed = set(await sweep.transient(past - timedelta(seconds=1), past))

    assert stays in owed
    assert gone not in owed


async def test_nothing_more_is_done_to_who_is_closed(scene: Scene) -> None:
    """Its log takes no record of it any more."""
    tenant = await scene.frozen()
    made = await scene.admin.create_key(tenant, "live", "one")
    await scene.drain()
    await scene.closing.close(tenant)
    await scene.drain()
    admin = scene.admin
    acts: list[Callable[[], Awaitable[Any]]] = [
        lambda: admin.create_key(tenant, "live", "two"),
        lambda: admin.create_client(tenant, "live", "two"),
        lambda: admin.rotate_key(tenant, made.id, timedelta()),
        lambda: admin.revoke_key(tenant, made.id),
        lambda: admin.set_policy(tenant, PolicyDocument()),
        lambda: admin.erase_request(tenant, new_request_id()),
    ]

    for act in acts:
        with pytest.raises(SluiceError, match="closed"):
            await act()

    await scene.drain()
    assert CLOSED == (await scene.actions(tenant))[-1]
    assert 1 == len(await admin.keys(tenant))
