"""Admitting requests: the key, then the row that names it; each by group commit."""

from dataclasses import replace

from typing_extensions import override

from infra.group import GroupCommit
from pipeline.ports.admissions import Admissions
from pipeline.ports.keys import Destroyed, KeyStore, NewKey
from pipeline.ports.requests import Fresh, Known, NewRequest, Requests
from pipeline.ports.system import Clock


class GroupedAdmissions(Admissions):
    """A crowd of callers costs two round trips, not two each.

    Not side by side: a row whose key was never kept would look, to every retry, like a
    request whose content was destroyed.
    """

    def __init__(self, keys: KeyStore, requests: Requests, clock: Clock) -> None:
        """``requests`` groups its admissions itself."""
        self._keys = GroupCommit(keys.create)
        self._requests = requests
        self._clock = clock

    @override
    async def admit(
        self, key: NewKey, request: NewRequest
    ) -> Fresh | Known | Destroyed:
        if not await self._keys.add(key):
            return Destroyed()
        now = self._clock.now()
        return await self._requests.admit(replace(request, accepted_at=now))
