"""Places of those that wait for their answers, shared by all tenants.

A tenant may hold up to ``SHARE`` times what is free. So alone it takes three quarters
of all; the more tenants fill the gateway, the less each may hold, and what comes free
goes to those who hold less.

Source: A. K. Choudhury, E. L. Hahne, "Dynamic Queue Length Thresholds for Shared-Memory
Packet Switches", IEEE/ACM Transactions on Networking 6(2), 1998.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from schemas.ids import TenantId

SHARE: Final = 3


class Places:
    """So many may wait at once."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._taken = Counter[TenantId]()

    def open_to(self, tenant: TenantId) -> bool:
        """May one more of this tenant's wait?"""
        return self._taken.get(tenant, 0) < SHARE * self._free

    @contextmanager
    def taken(self, tenant: TenantId) -> Iterator[None]:
        """One place, for the length of a block."""
        self._free -= 1
        self._taken[tenant] += 1
        try:
            yield
        finally:
            self._free += 1
            self._taken[tenant] -= 1
            if not self._taken[tenant]:
                del self._taken[tenant]
