"""Admitting a request: its data key and its row, side by side."""

from typing import Protocol

from pipeline.ports.keys import Destroyed, NewKey
from pipeline.ports.requests import Fresh, Known, NewRequest


class Admissions(Protocol):
    """Two stores, one wait."""

    async def admit(
        self, key: NewKey, request: NewRequest
    ) -> Fresh | Known | Destroyed:
        """Keep the key and insert the row, at the same time.

        ``Known``: the id was admitted before; the new key is not used, and expires.
        ``Destroyed``: the tenant has no key, so nothing of it can be accepted.

        Raises:
            RetryableError: one of the stores is away; the other may have it.
        """
        ...
