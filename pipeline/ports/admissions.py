"""Admitting a request: its data key, then its row."""

from typing import Protocol

from pipeline.ports.keys import Destroyed, NewKey
from pipeline.ports.requests import Fresh, Known, NewRequest


class Admissions(Protocol):
    """Two stores; no row is ever without its key."""

    async def admit(
        self, key: NewKey, request: NewRequest
    ) -> Fresh | Known | Destroyed:
        """Keep the key; once it is durable, insert the row that names it.

        The row's ``accepted_at`` is set when the key is durable. So an order to forget
        finds the key of everything that was accepted before it looked.

        ``Known``: the id was admitted before; the new key is not used, and expires.
        ``Destroyed``: the tenant has no key, so nothing of it can be accepted.

        Raises:
            RetryableError: one of the stores is away; the same again is safe.
        """
        ...
