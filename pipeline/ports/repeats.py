"""A tenant's deliveries, for its operator."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from pipeline.repeats import Delivery, Repeated, Wanted
from schemas.ids import EndpointId, TenantId


class Repeats(Protocol):
    """What became of deliveries, and one more attempt of those that failed."""

    async def page(self, tenant: TenantId, wanted: Wanted) -> Sequence[Delivery] | None:
        """Newest first; None: it was to begin behind one that is not there."""
        ...

    async def retry(
        self, tenant: TenantId, name: str, endpoint: EndpointId | None, now: datetime
    ) -> Sequence[Repeated]:
        """Have one more attempt made, soon, and under the same ``webhook-id``.

        ``name``: a delivery's id, or that of a message, which is each delivery of it,
        or the one to ``endpoint`` where that is given. Empty: there is none.

        Each that is due then is recorded on the tenant's log, in the transaction that
        makes it due. It goes the way of any other: lanes, breaker, guard and keys are
        those of that moment.

        Raises:
            SluiceError: the tenant was closed.
        """
        ...
