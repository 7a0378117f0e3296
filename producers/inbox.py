"""Destroys keys of letters once nothing is left for them to open."""

from dataclasses import dataclass

from pipeline.ports.inbox import InboxKeys, InboxProgress
from pipeline.ports.system import Clock
from pipeline.receipts import KAFKA_BOUND


@dataclass(frozen=True, slots=True, kw_only=True)
class OldInboxKeys:
    """A timed worker, safe in several copies: a key is destroyed once."""

    keys: InboxKeys
    progress: InboxProgress
    clock: Clock

    async def round(self) -> bool:
        """Destroy every key whose letters were all handled.

        A key waits for an admission that is behind, but not longer than what was
        sealed to it can lie in the topic.

        Raises:
            RetryableError: Kafka or the disk is away; the next round does it.
        """
        now = self.clock.now()
        for key in await self.keys.there():
            end = key.last_use(self.keys.period)
            if now < end:
                break
            if now >= end + KAFKA_BOUND or await self.progress.handled(end):
                await self.keys.destroy(key)
        return False
