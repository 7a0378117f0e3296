"""The boundary: every address is checked when it is resolved and when it is dialled."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import AsyncResolver
from typing_extensions import override

from pipeline.egress import EgressRules, all_allowed, is_loopback

OpenSocket = Callable[[int, int, int], socket.socket]
RESOLVE_S: Final = 5.0
"""A name takes no longer, however many servers and tries there are."""
_TRY_S: Final = 2.0
_TRIES: Final = 2
_HOST_INDEX: Final = 0


def names(servers: Sequence[str] = ()) -> AbstractResolver:
    """DNS alone, by no thread: a name server that stalls holds up its own names.

    Needs a running loop. Neither ``/etc/hosts`` nor search domains are asked.

    Args:
        servers: ``address[:port]``; empty: those of ``/etc/resolv.conf``.
    """
    chosen: dict[str, Any] = {"servers": list(servers)} if servers else {}
    return AsyncResolver(timeout=_TRY_S, tries=_TRIES, lookups="b", **chosen)


class TargetForbidden(OSError):
    """A name led, or an address lies, where we must not dial; it names neither."""

    def __init__(self) -> None:
        super().__init__("the webhook's target is forbidden")


class GuardedResolver(AbstractResolver):
    """Resolves absolute names; one denied address refuses the whole answer."""

    def __init__(self, rules: EgressRules, resolver: AbstractResolver) -> None:
        self._rules = rules
        self._resolver = resolver

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        # The final dot keeps search domains out: "kafka" must not become our own.
        name = host if host.endswith(".") else host + "."
        async with asyncio.timeout(RESOLVE_S):
            found = await self._resolver.resolve(name, port, family)
        if not all_allowed([result["host"] for result in found], self._rules):
            raise TargetForbidden
        return [{**result, "hostname": host} for result in found]

    @override
    async def close(self) -> None:
        await self._resolver.close()


class GuardedSockets:
    """Makes the sockets; literals in a URL skip the resolver, but not this.

    Args:
        make: family, kind and protocol to a socket.
    """

    def __init__(self, rules: EgressRules, make: OpenSocket = socket.socket) -> None:
        self._rules = rules
        self._make = make

    def __call__(
        self, info: tuple[int, int, int, str, tuple[object, ...]]
    ) -> socket.socket:
        """A socket for one address.

        Raises:
            TargetForbidden: the address must not be dialled.
        """
        family, kind, protocol, _, address = info
        host = str(address[_HOST_INDEX])
        # No name gets here with loopback: the resolver refuses it whatever is set.
        if not (is_loopback(host, self._rules) or all_allowed([host], self._rules)):
            raise TargetForbidden
        return self._make(family, kind, protocol)
