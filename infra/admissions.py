"""Admitting requests: two group commits side by side."""

import asyncio

from typing_extensions import override

from infra.group import GroupCommit
from pipeline.ports.admissions import Admissions
from pipeline.ports.keys import Destroyed, KeyStore, NewKey
from pipeline.ports.requests import Fresh, Known, NewRequest, Requests


class GroupedAdmissions(Admissions):
    """A crowd of callers costs two round trips, not two each."""

    def __init__(self, keys: KeyStore, requests: Requests) -> None:
        """``requests`` groups its admissions itself."""
        self._keys = GroupCommit(keys.create)
        self._requests = requests

    @override
    async def admit(
        self, key: NewKey, request: NewRequest
    ) -> Fresh | Known | Destroyed:
        kept, admitted = await asyncio.gather(
            self._keys.add(key), self._requests.admit(request)
        )
        return admitted if kept else Destroyed()
