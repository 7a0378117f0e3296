"""What happens to a ``transient`` answer once its caller has it."""

from collections.abc import Sequence
from contextlib import suppress

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from infra.group import GroupCommit
from pipeline.errors import RetryableError
from pipeline.keystore import TRANSIENT, partition_of
from pipeline.ports.keys import KeyRef, KeyStore
from pipeline.sealing import DataKey
from producers.gateway.bodies import repeats


class Transients:
    """Destroys a transient key when its answer has left.

    An ``Idempotency-Key`` announces retries: until the deadline each gets the answer
    again, and then the sweeper destroys the key. Without one nobody can ask again.
    """

    def __init__(self, keystore: KeyStore) -> None:
        self._keystore = keystore
        self._forgets: GroupCommit[KeyRef, None] = GroupCommit(self._forget)

    def leaving(self, request: Request, answer: Response, key: DataKey) -> Response:
        """``answer``, after which the key goes unless a retry may still need it."""
        transient = partition_of(key.key_id).retention_class == TRANSIENT
        if transient and not repeats(request):
            answer.background = BackgroundTask(self._taken, key)
        return answer

    async def _taken(self, key: DataKey) -> None:
        with suppress(RetryableError):  # the sweeper does it later
            await self._forgets.add(KeyRef(key.tenant_id, key.request_id, key.key_id))

    async def _forget(self, keys: Sequence[KeyRef]) -> Sequence[None]:
        await self._keystore.forget(keys)
        return [None] * len(keys)
