"""A consumer whose stop ends, and ends well.

Who joins a group waits until all others let go of what they have, and aiokafka's stop
waits for that. Here it waits a while; then it hangs up, and the join fails. Where no
broker answers, aiokafka's stop ends half done, as if its caller had been cancelled.
"""

import asyncio

from aiokafka import AIOKafkaConsumer
from typing_extensions import override

STOPS_WITHIN_S = 5.0


class Consumer(AIOKafkaConsumer):  # type: ignore[misc]
    """aiokafka's, but for its stop."""

    @override
    async def stop(self) -> None:
        """Leave the group, where there is one, and hang up."""
        stopping = asyncio.ensure_future(super().stop())
        await asyncio.wait({stopping}, timeout=STOPS_WITHIN_S)
        if not stopping.done():
            await self._client.close()
            await asyncio.wait({stopping})
        if stopping.cancelled():
            await self._client.close()
        else:
            stopping.result()
