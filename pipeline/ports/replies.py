"""Replies: the ends of requests, for whoever waits for them."""

from collections.abc import Awaitable
from typing import Protocol

from schemas.events import Event
from schemas.ids import RequestId
from schemas.requests import RequestReplied


class Waiting(Awaitable[Event[RequestReplied]], Protocol):
    """A reply that is on its way, as an event loop's future is."""

    def cancel(self) -> bool:
        """Stop waiting."""
        ...


class Replies(Protocol):
    """This gateway's partition of the replies. A reply may be lost: read the row."""

    def expect(self, request: RequestId) -> Waiting:
        """The reply, once it comes. Call before the request is published."""
        ...
