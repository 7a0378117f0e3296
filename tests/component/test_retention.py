"""Orders to forget, carried out on the twins."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from joserfc.jwk import ECKey
from typing_extensions import override

from consumers import retention
from consumers.retention import RetentionConsumer
from infra.memory.inbox import MemoryInboxKeys
from infra.memory.keystore import MemoryKeys
from infra.memory.retention import MemoryPurges
from infra.memory.webhooks import MemoryWebhooks
from infra.system import SystemClock, SystemEntropy
from pipeline.contents import Contents
from pipeline.errors import IntegrityError, RetryableError
from pipeline.inbox import key_at
from pipeline.keystore import KeyId, Partition, class_named
from pipeline.ports.keys import Destroyed, KeyRef, NewKey, OfRequest, OfSubject
from pipeline.receipts import key_set, sign, verified
from pipeline.sealing import DataKey, Purpose, key_id_of
from producers.replay import Replay
from schemas.audit import AuditRecorded
from schemas.events import Attributes, Event, timestamp
from schemas.ids import EventId, RequestId, TenantId, event_id
from schemas.requests import Arrival
from schemas.retention import ErasureOrdered, Receipt
from schemas.topics import AUDIT_RECORDED, RETENTION_DUE, Outgoing
from tests.support.keystore import erase

ENTROPY = SystemEntropy()
CONTENTS = Contents(ENTROPY)
KEY = ECKey.generate_key("P-256")
ORDERED_AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
MONTH = Partition(class_named("30d"), ORDERED_AT.date())
ANNA = b"a" * 32


@dataclass(frozen=True, slots=True)
class CutShort(MemoryKeys):
    """A keystore whose worker dies right after its first destruction."""

    died: list[bool] = field(default_factory=list)

    @override
    async def destroy_keys(
        self, tenant: TenantId, keys: Collection[KeyId]
    ) -> Collection[KeyId]:
        gone = await MemoryKeys.destroy_keys(self, tenant, keys)
        if not self.died:
            self.died.append(True)
            raise RetryableError("the power is cut")
        return gone


@dataclass(frozen=True, slots=True)
class Forgetful(MemoryKeys):
    """A keystore that destroys nothing and says that it did."""

    @override
    async def destroy_keys(
        self, tenant: TenantId, keys: Collection[KeyId]
    ) -> Collection[KeyId]:
        return keys


@dataclass(frozen=True, slots=True)
class Sparing(MemoryKeys):
    """A keystore that spares one key, and says that it did not."""

    spared: list[KeyId] = field(default_factory=list)

    @override
    async def destroy_keys(
        self, tenant: TenantId, keys: Collection[KeyId]
    ) -> Collection[KeyId]:
        left = [key for key in keys if key not in self.spared]
        await MemoryKeys.destroy_keys(self, tenant, left)
        return keys


@dataclass(frozen=True, slots=True)
class Lagging(MemoryKeys):
    """A keystore that answers "destroyed" once, and then from a copy of before."""

    answered: list[bool] = field(default_factory=list)
    before: dict[KeyRef, DataKey | Destroyed] = field(default_factory=dict)

    @override
    async def destroy_keys(
        self, tenant: TenantId, keys: Collection[KeyId]
    ) -> Collection[KeyId]:
        refs = [
            KeyRef(tenant, new.key.request_id, new.key.key_id)
            for new in self._keys.values()
            if new.key.key_id in keys
        ]
        self.before.update(await MemoryKeys.fetch(self, refs))
        return await MemoryKeys.destroy_keys(self, tenant, keys)

    @override
    async def fetch(
        self, wanted: Sequence[KeyRef]
    ) -> Mapping[KeyRef, DataKey | Destroyed]:
        found = await MemoryKeys.fetch(self, wanted)
        if not self.before:
            return found
        if not self.answered:
            self.answered.append(True)
            return found
        return {ref: self.before.get(ref, key) for ref, key in found.items()}


@dataclass(frozen=True, slots=True)
class World:
    """One tenant, and the worker that forgets."""

    tenant: TenantId
    keys: MemoryKeys
    purges: MemoryPurges
    consumer: RetentionConsumer
    inbox: MemoryInboxKeys

    async def request(self, subject: bytes | None = None) -> KeyRef:
        """A request that left a row, and its key."""
        request = RequestId(ENTROPY.uuid7())
        key = CONTENTS.new_key(self.tenant, request, MONTH)
        assert [True] == await self.keys.create([NewKey(key, subject)])
        self.purges.rows.add((self.tenant, request))
        return KeyRef(self.tenant, request, key.key_id)

    async def erase(self, job: int = 1, **order: Any) -> Receipt:
        """Carry out one order; the receipt as it was signed."""
        await self.consumer.handle(ordered(self.tenant, job, **order))
        return (await self.receipts())[-1]

    async def receipts(self) -> list[Receipt]:
        tokens = await self.purges.receipts(self.tenant)
        return [Receipt.model_validate_json(payload(token)) for token in tokens]


def ordered(tenant: TenantId, job: int = 1, **order: Any) -> Event[ErasureOrdered]:
    attributes = Attributes(
        id=EventId(f"018f3c1a-7c00-5000-8000-{job:012}"),
        type=ErasureOrdered.kind,
        source="/sluice/admin",
        subject="an order",
        tenant=tenant,
        time=ORDERED_AT,
    )
    return Event(attributes, ErasureOrdered(actor="user:anna", **order))


def payload(token: str) -> bytes:
    part = token.split(".")[1]
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


async def world(keys: MemoryKeys) -> World:
    tenant = TenantId(ENTROPY.uuid7())
    await keys.enrol(tenant)
    await keys.prepare([MONTH])
    purges, inbox = MemoryPurges(), MemoryInboxKeys()
    consumer = RetentionConsumer(
        keeper=keys,
        keys=keys,
        purges=purges,
        inbox=inbox,
        deliveries=MemoryWebhooks(),
        contents=CONTENTS,
        sign=lambda stated: sign(stated, KEY),
        clock=SystemClock(),
    )
    return World(tenant, keys, purges, consumer, inbox)


@pytest.fixture
async def here() -> World:
    return await world(MemoryKeys(SystemClock()))


async def test_a_request_is_forgotten_and_its_neighbour_is_not(here: World) -> None:
    gone, stays = await here.request(), await here.request()

    receipt = await here.erase(scope="request", ref=gone.request_id)

    found = await here.keys.fetch([gone, stays])
    assert Destroyed() == found[gone]
    assert Destroyed() != found[stays]
    assert {(here.tenant, stays.request_id)} == here.purges.rows
    assert (gone.key_id,) == receipt.keys
    assert ("request", gone.request_id) == (receipt.scope.kind, receipt.scope.ref)
    assert receipt.verification.decrypt_probe is not None


async def test_a_person_is_forgotten_with_all_their_requests(here: World) -> None:
    gone = [await here.request(ANNA) for _ in range(3)]
    stays = await here.request()

    receipt = await here.erase(scope="subject", ref=ANNA.hex())

    found = await here.keys.fetch([*gone, stays])
    assert [Destroyed()] * 3 == [found[ref] for ref in gone]
    assert Destroyed() != found[stays]
    assert tuple(sorted(ref.key_id for ref in gone)) == receipt.keys
    assert {(here.tenant, stays.request_id)} == here.purges.rows


async def test_an_unknown_person_is_no_success(here: World) -> None:
    receipt = await here.erase(scope="subject", ref=ANNA.hex())

    assert () == receipt.keys
    assert {0} == {target.deleted for target in receipt.targets}
    assert receipt.verification.decrypt_probe is None


async def test_rows_of_a_request_whose_key_is_gone_are_deleted_still(
    here: World,
) -> None:
    ref = await here.request()
    await here.keys.forget([ref])

    receipt = await here.erase(scope="request", ref=ref.request_id)

    assert set() == here.purges.rows
    assert [0, 0, 1] == [target.deleted for target in receipt.targets]


async def test_the_ledger_is_told_what_is_covered_and_the_receipt_names_the_record(
    here: World,
) -> None:
    ref = await here.request()

    published = await here.consumer.handle(
        ordered(here.tenant, scope="request", ref=ref.request_id)
    )

    (record,) = published
    (receipt,) = await here.receipts()
    data = record.event.data
    assert isinstance(data, AuditRecorded)
    assert data.erase is not None
    assert AUDIT_RECORDED == record.topic
    assert "erasure.completed" == data.action
    assert ("request", ref.request_id) == (data.erase.scope, data.erase.ref)
    assert receipt.as_of == data.erase.as_of
    assert receipt.ledger.event_id == record.event.attributes.id
    assert here.tenant == record.event.attributes.tenant


async def test_a_redelivered_order_gives_the_same_record_and_receipt(
    here: World,
) -> None:
    ref = await here.request()
    order = ordered(here.tenant, scope="request", ref=ref.request_id)

    first: list[Outgoing[Any]] = list(await here.consumer.handle(order))
    token = await here.purges.receipts(here.tenant)
    again = list(await here.consumer.handle(order))

    assert first == again
    assert token == await here.purges.receipts(here.tenant)


async def test_an_order_that_was_cut_short_is_finished_with_its_first_plan() -> None:
    here = await world(CutShort(SystemClock()))
    ref = await here.request()
    order = ordered(here.tenant, scope="request", ref=ref.request_id)

    with pytest.raises(RetryableError):
        await here.consumer.handle(order)
    before = await here.receipts()
    await here.consumer.handle(order)

    (receipt,) = await here.receipts()
    assert [] == before
    assert (ref.key_id,) == receipt.keys
    assert [1, 0, 1] == [target.deleted for target in receipt.targets]
    assert receipt.verification.decrypt_probe is not None


async def test_an_order_that_comes_again_reaches_nothing_that_was_made_after_it(
    here: World,
) -> None:
    await here.request(ANNA)
    order = ordered(here.tenant, scope="subject", ref=ANNA.hex())
    await here.consumer.handle(order)
    later = await here.request(ANNA)

    await here.consumer.handle(order)

    assert Destroyed() != (await here.keys.fetch([later]))[later]


async def test_what_comes_while_an_order_is_cut_short_is_not_covered_by_it() -> None:
    here = await world(CutShort(SystemClock()))
    gone = await here.request(ANNA)
    order = ordered(here.tenant, scope="subject", ref=ANNA.hex())
    with pytest.raises(RetryableError):
        await here.consumer.handle(order)
    later = await here.request(ANNA)

    await here.consumer.handle(order)

    (receipt,) = await here.receipts()
    assert (gone.key_id,) == receipt.keys
    assert Destroyed() != (await here.keys.fetch([later]))[later]


async def test_there_is_no_receipt_while_a_key_is_still_read() -> None:
    here = await world(Forgetful(SystemClock()))
    ref = await here.request()

    with pytest.raises(RetryableError):
        await here.erase(scope="request", ref=ref.request_id)

    assert [] == await here.receipts()


async def test_there_is_no_receipt_while_any_key_is_still_read() -> None:
    """The canary lay under another."""
    keys = Sparing(SystemClock())
    here = await world(keys)
    refs = [await here.request(ANNA) for _ in range(3)]
    probed = (await here.keys.of(OfSubject(here.tenant, ANNA), 9))[0]
    keys.spared.append(next(ref.key_id for ref in refs if ref != probed))

    with pytest.raises(RetryableError, match="still read"):
        await here.erase(scope="subject", ref=ANNA.hex())

    assert [] == await here.receipts()


async def test_there_is_no_receipt_while_the_canary_opens() -> None:
    keys = Lagging(SystemClock())
    here = await world(keys)
    ref = await here.request()

    with pytest.raises(RetryableError, match="canary opens"):
        await here.erase(scope="request", ref=ref.request_id)
    before = await here.receipts()
    keys.before.clear()
    receipt = await here.erase(scope="request", ref=ref.request_id)

    assert [] == before
    assert receipt.verification.decrypt_probe is not None


async def test_a_day_whose_key_is_there_again_is_tried_again() -> None:
    """What it sealed was no canary: it does not open as one, and that is no proof."""
    keys = Lagging(SystemClock())
    here = await world(keys)
    ref = await here.request()
    key = (await here.keys.fetch([ref]))[ref]
    assert isinstance(key, DataKey)
    answer = CONTENTS.seal(key, Purpose.COMPLETION, b"an answer").sealed
    here.purges.samples[here.tenant, MONTH.name] = ref, answer
    await erase(here.keys, OfRequest(here.tenant, ref.request_id))

    with pytest.raises(RetryableError, match="has a key again"):
        await here.erase(scope="class", ref=MONTH.name, keys=1)

    assert [] == await here.receipts()


async def test_all_keys_of_an_order_go_however_many_batches_they_are(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    gone = [await here.request(ANNA) for _ in range(5)]

    receipt = await here.erase(scope="subject", ref=ANNA.hex())

    found = await here.keys.fetch(gone)
    assert [Destroyed()] * 5 == [found[ref] for ref in gone]
    assert tuple(sorted(ref.key_id for ref in gone)) == receipt.keys
    assert timestamp(ORDERED_AT) == receipt.requested_at


async def test_who_has_more_keys_than_a_job_destroys_is_forgotten_in_several(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PART", 2)
    refs = sorted([await here.request(ANNA) for _ in range(3)], key=lambda r: r.key_id)
    order = ordered(here.tenant, scope="subject", ref=ANNA.hex())

    first = list(await here.consumer.handle(order))
    again = list(await here.consumer.handle(order))
    there = (await here.keys.fetch(refs))[refs[2]]
    (rest,) = [each.event for each in first if each.topic is RETENTION_DUE]
    last = list(await here.consumer.handle(rest))

    assert first == again
    assert Destroyed() != there
    assert Destroyed() == (await here.keys.fetch(refs))[refs[2]]
    assert (order.data, order.attributes.time) == (rest.data, rest.attributes.time)
    assert ["partly", "ok"] == [
        each.event.data.status
        for each in (*first, *last)
        if each.topic is AUDIT_RECORDED
    ]
    ids = [each.event.attributes.id for each in first if each.topic is AUDIT_RECORDED]
    assert [event_id(order.attributes.id, "erasure.completed:partly")] == ids
    receipts = await here.receipts()
    assert [rest.attributes.id, None] == [each.continues for each in receipts]
    assert [2, 1] == [len(each.keys) for each in receipts]
    assert RETENTION_DUE not in [each.topic for each in last]


async def test_the_receipt_names_the_very_canary_that_was_kept(here: World) -> None:
    ref = await here.request()

    receipt = await here.erase(scope="request", ref=ref.request_id)

    (plan,) = here.purges._plans.values()
    assert plan.probe is not None
    assert receipt.verification.decrypt_probe is not None
    digest = receipt.verification.decrypt_probe.ciphertext_sha256
    assert sha256(plan.probe).hexdigest() == digest
    assert ref.key_id == key_id_of(plan.probe)


async def test_what_the_inbox_still_holds_is_an_exception_in_the_receipt(
    here: World,
) -> None:
    now = SystemClock().now()
    ref = await here.request()
    here.purges.arrived[here.tenant, ref.request_id] = Arrival.LETTER, now
    here.inbox.names.add(key_at(now, here.inbox.period))
    other = await here.request()
    here.purges.arrived[here.tenant, other.request_id] = Arrival.LETTER, now

    before = await here.erase(scope="request", ref=ref.request_id)
    here.inbox.names.clear()
    after = await here.erase(job=2, scope="request", ref=other.request_id)

    assert ["inbox_key"] == [each.basis for each in before.exceptions]
    assert () == after.exceptions


async def test_the_end_of_a_day_is_receipted_with_what_lay_under_its_keys(
    here: World,
) -> None:
    gone, stays = await here.request(), await here.request()
    key = (await here.keys.fetch([gone]))[gone]
    assert isinstance(key, DataKey)
    answer = CONTENTS.seal(key, Purpose.COMPLETION, b"an answer").sealed
    here.purges.days[here.tenant, gone.request_id] = MONTH.name
    here.purges.samples[here.tenant, MONTH.name] = gone, answer

    with pytest.raises(RetryableError):
        await here.erase(scope="class", ref=MONTH.name, keys=7)
    before = await here.receipts()
    await erase(here.keys, OfRequest(here.tenant, gone.request_id))
    receipt = await here.erase(scope="class", ref=MONTH.name, keys=7)

    assert [] == before, "the control: the day's keys are read still"
    assert ("class", "30d:2026-11-22") == (receipt.scope.kind, receipt.scope.ref)
    assert () == receipt.keys
    assert ["partition_drop", "crypto_shred", "delete"] == [
        each.method for each in receipt.targets
    ]
    assert [7, 0, 1] == [each.deleted for each in receipt.targets]
    assert {(here.tenant, stays.request_id)} == here.purges.rows
    assert receipt.verification.decrypt_probe is not None
    digest = receipt.verification.decrypt_probe.ciphertext_sha256
    assert sha256(answer).hexdigest() == digest
    assert Destroyed() != (await here.keys.fetch([stays]))[stays]


async def test_a_day_without_rows_is_receipted_too(here: World) -> None:
    receipt = await here.erase(scope="class", ref=MONTH.name, keys=3)

    assert [3, 0, 0] == [each.deleted for each in receipt.targets]
    assert receipt.verification.decrypt_probe is None


async def test_what_a_restored_backup_brings_back_goes_again(here: World) -> None:
    gone, stays = await here.request(), await here.request()
    backup = dict(here.keys._keys)
    await here.erase(scope="request", ref=gone.request_id)
    here.keys._keys.update(backup)
    here.keys._tombstones.clear()
    restored = (await here.keys.fetch([gone]))[gone]

    async def tenants() -> list[TenantId]:
        return [TenantId(ENTROPY.uuid7()), here.tenant]

    more = await replaying(here, tenants).round()

    found = await here.keys.fetch([gone, stays])
    assert Destroyed() != restored, "the control: the backup brought it back"
    assert Destroyed() == found[gone]
    assert Destroyed() != found[stays]
    assert not more


def replaying(
    here: World, tenants: Callable[[], Awaitable[Sequence[TenantId]]]
) -> Replay:
    async def stated(tokens: Sequence[str]) -> Sequence[Receipt | None]:
        return [verified(token, key_set([KEY])) for token in tokens]

    return Replay(
        keeper=here.keys,
        purges=here.purges,
        stated=stated,
        tenants=tenants,
        clock=SystemClock(),
    )


async def test_nothing_is_destroyed_by_a_receipt_that_our_key_did_not_sign(
    here: World,
) -> None:
    """Whoever may write a tenant's rows would have any of its keys destroyed."""
    gone, stays = await here.request(), await here.request()
    backup = dict(here.keys._keys)
    true = await here.erase(scope="request", ref=gone.request_id)
    here.keys._keys.update(backup)
    here.keys._tombstones.clear()
    forged = true.model_copy(update={"keys": (stays.key_id,)})
    here.purges._receipts[here.tenant, EventId(ENTROPY.uuid7())] = sign(
        forged, ECKey.generate_key("P-256")
    )

    async def tenants() -> list[TenantId]:
        return [here.tenant]

    with pytest.raises(IntegrityError):
        await replaying(here, tenants).round()

    found = await here.keys.fetch([gone, stays])
    assert Destroyed() == found[gone], "what ours says is done all the same"
    assert Destroyed() != found[stays]


async def test_a_round_reads_and_destroys_in_parts() -> None:
    """However much was forgotten in eight days: no memory and no lock is that long."""
    read, destroyed = list[int](), list[int]()

    class Counted(MemoryKeys):
        @override
        async def destroy_keys(
            self, tenant: TenantId, keys: Collection[KeyId]
        ) -> Collection[KeyId]:
            destroyed.append(len(keys))
            return await super().destroy_keys(tenant, keys)

    here = await world(Counted(SystemClock()))
    receipt = await here.erase(scope="class", ref=MONTH.name, keys=0)
    keys = tuple(KeyId(ENTROPY.bytes(16).hex()) for _ in range(100))
    receipt = receipt.model_copy(update={"keys": keys})
    for _ in range(120):
        token = here.tenant, EventId(ENTROPY.uuid7())
        here.purges._receipts[token] = sign(receipt, KEY)

    async def tenants() -> list[TenantId]:
        return [here.tenant]

    async def stated(tokens: Sequence[str]) -> Sequence[Receipt | None]:
        read.append(len(tokens))
        return [receipt for _ in tokens]

    await replace(replaying(here, tenants), stated=stated).round()

    assert ([50, 50, 21], 1_000) == (read, max(destroyed))


async def test_a_receipt_holds_no_content_and_no_key(here: World) -> None:
    ref = await here.request(ANNA)
    key = (await here.keys.fetch([ref]))[ref]
    assert not isinstance(key, Destroyed)

    await here.erase(scope="request", ref=ref.request_id)

    (token,) = await here.purges.receipts(here.tenant)
    stated = json.dumps(json.loads(payload(token)))
    assert key.dek.hex() not in stated
    assert ANNA.hex() not in stated
    assert "canary" not in stated
