"""The boundary: every address is checked when it is resolved and when it is dialled."""

import socket
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from typing_extensions import override

from pipeline.egress import EgressRules, all_allowed

_HOST_INDEX: Final = 0


class TargetForbidden(OSError):
    """A name led, or an address lies, where we must not dial; it names neither."""

    def __init__(self) -> None:
        super().__init__("the webhook's target is forbidden")


class GuardedResolver(AbstractResolver):
    """Resolves absolute names; one denied address refuses the whole answer."""

    def __init__(
        self, rules: EgressRules, resolver: AbstractResolver | None = None
    ) -> None:
        self._rules = rules
        self._resolver = resolver or ThreadedResolver()

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        # The final dot keeps search domains out: "kafka" must not become our own.
        name = host if host.endswith(".") else host + "."
        found = await self._resolver.resolve(name, port, family)
        if not all_allowed([result["host"] for result in found], self._rules):
            raise TargetForbidden
        return [{**result, "hostname": host} for result in found]

    @override
    async def close(self) -> None:
        await self._resolver.close()


class GuardedSockets:
    """Makes the sockets; literals in a URL skip the resolver, but not this."""

    def __init__(self, rules: EgressRules) -> None:
        self._rules = rules

    def __call__(
        self, info: tuple[int, int, int, str, tuple[object, ...]]
    ) -> socket.socket:
        """A socket for one address.

        Raises:
            TargetForbidden: the address must not be dialled.
        """
        family, kind, protocol, _, address = info
        if not all_allowed([str(address[_HOST_INDEX])], self._rules):
            raise TargetForbidden
        return socket.socket(family, kind, protocol)
