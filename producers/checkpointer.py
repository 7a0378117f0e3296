"""The checkpointer: verifies what is new on each log, signs it, publishes it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from infra.log import Log
from pipeline.audit import ROOT, Head
from pipeline.checkpoint import Checkpoint, VerifyKey
from pipeline.closing import Keys, ended
from pipeline.errors import HeadBent, IntegrityError
from pipeline.increments import since
from pipeline.passes import Refused
from pipeline.ports.ledger import Ledger, SignedLogs
from pipeline.ports.signer import Signed, Signer, SignerState
from pipeline.ports.system import Clock
from pipeline.presence import origin_of, vanished
from pipeline.root import Rooted, committed, heartbeat, signed_by
from schemas.ids import TenantId


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpointer:
    """Signs each log that grew, commits to that in the root log, signs the root log.

    Persist, then publish: after a crash in between, the next round publishes what was
    persisted. Of two checkpointers one loses the swap and publishes nothing. What was
    refused stays refused until somebody looks. A signer that lost its memory refuses
    every log with a checkpoint, until ``sluice audit adopt`` gives it back.
    """

    ledger: Ledger
    logs: SignedLogs
    signer: Signer
    state: SignerState
    clock: Clock
    log: Log

    async def round(self) -> bool:
        """Every log once, then the root; False: there is no more to do now.

        Raises:
            IntegrityError: a log was refused or is gone; all others had their turn.
        """
        heads, bent = await self._heads()
        ends = await ended(self.logs, await self._keys())
        held = [await self._one(tenant, head) for tenant, head in heads.items()]
        origins = {*bent, *(head.origin for head in heads.values()), *ends}
        held.append(await self._root(origins))
        if await self._gone(origins, ends) or bent or not all(held):
            raise IntegrityError("a log is not what was signed", "checkpointer")
        return False

    async def _heads(self) -> tuple[Mapping[TenantId, Head], Collection[str]]:
        """The ends of all logs but the root; the origins of those whose end is bent."""
        heads, bent = dict[TenantId, Head](), set[str]()
        for tenant in await self.logs.tenants():
            try:
                head = None if tenant == ROOT else await self.logs.head(tenant)
            except HeadBent as error:
                self.log.error("checkpoint_refused", tenant=tenant)  # noqa: TRY400
                bent.add(error.origin)
            else:
                heads |= {tenant: head} if head else {}
        return heads, bent

    async def _keys(self) -> Keys:
        keys = await self.signer.keys()
        return lambda origin: [VerifyKey(origin, each.public) for each in keys]

    async def _root(self, origins: Collection[str]) -> bool:
        now, keys = self.clock.now(), await self.signer.keys()
        await self.ledger.append([signed_by(keys, now), heartbeat(origins, now)])
        head = await self.logs.head(ROOT)
        return head is not None and await self._one(ROOT, head)

    async def _gone(
        self, origins: Collection[str], ends: Mapping[str, Checkpoint]
    ) -> bool:
        """Was a log signed that is not there, nor among those of this moment?

        One that began after we looked may be signed by another checkpointer. One that
        was closed, and ended where it was signed last, may be deleted.
        """
        known = {*origins, await origin_of(self.logs, ROOT)} - ends.keys()
        missing = set(await self.state.origins()) - known
        signed = [await self.state.last(each) for each in missing]
        left = [each.checkpoint for each in signed if each]
        return bool(left and await vanished(self.logs, left, ends))

    async def _one(self, tenant: TenantId, head: Head) -> bool:
        try:
            signed = await self.checkpoint(tenant, head)
        except Refused as refused:
            seq = refused.broken.seq
            # Its text is ours, but a trace says nothing that the seq does not.
            self.log.error("checkpoint_refused", tenant=tenant, seq=seq)  # noqa: TRY400
            return False
        if signed is not None:
            size = signed.checkpoint.size
            self.log.info("checkpoint_signed", tenant=tenant, size=size)
        return True

    async def checkpoint(self, tenant: TenantId, head: Head) -> Signed | None:
        """Sign and publish what one log is now; None where there is nothing new.

        Raises:
            Refused: the log is not what was signed before, grown.
        """
        before = await self.state.last(head.origin)
        if before is not None:
            await self._publish(tenant, before)
            if before.checkpoint.size > head.size:
                # Another signer was quicker, or the log went back: what is it now?
                head = await self.logs.head(tenant) or head
        if before is not None and _unchanged(before, head):
            return None
        return await self._sign(tenant, head, before)

    async def _sign(
        self, tenant: TenantId, head: Head, before: Signed | None
    ) -> Signed | None:
        if before is None and await self._forgotten(tenant, head):
            # Without a memory there is nothing to hold the log against: whoever put an
            # old ledger here, or another one, would have it signed.
            raise Refused(head.size, "the signer does not remember what it signed")
        old = before.checkpoint if before else None
        new = await since(self.logs, tenant, old, head)
        signed = Signed(new, await self.signer.sign(new))
        if not await self.state.swap(before, signed):
            return None
        await self._publish(tenant, signed)
        return signed

    async def _forgotten(self, tenant: TenantId, head: Head) -> bool:
        """Is there a checkpoint that the signer knows nothing of?"""
        if await self.logs.latest(tenant) is None:
            return False
        # Another signer may have signed since we looked.
        return await self.state.last(head.origin) is None

    async def _publish(self, tenant: TenantId, signed: Signed) -> None:
        if await self.logs.latest(tenant) == signed.note:
            return
        rooted = None if tenant == ROOT else await self._commit(signed)
        await self.logs.publish(tenant, signed.note, self.clock.now(), rooted)
        if await self.logs.latest(tenant) == signed.note:
            return
        # Another signer may have gone on from what we remembered.
        if await self.state.last(signed.checkpoint.origin) == signed:
            raise Refused(signed.checkpoint.size, "another checkpoint was published")

    async def _commit(self, signed: Signed) -> Rooted:
        """Commit to a checkpoint in the root log; again, it is found there."""
        salt = await self.signer.salt(signed.note)
        event = committed(signed.note, salt, self.clock.now())
        appended = await self.ledger.append([event])
        return Rooted(salt, appended.places[event.attributes.id].seq)


def _unchanged(before: Signed, head: Head) -> bool:
    old = before.checkpoint
    return (old.size, old.root) == (head.size, head.tree.root())
