"""One attempt over HTTP/1.1: a fresh connection, to an address that was checked."""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

import aiohttp
from aiohttp import DummyCookieJar
from aiohttp.abc import AbstractResolver
from typing_extensions import override
from yarl import URL

from infra import retry_after
from infra.webhooks.guard import (
    GuardedResolver,
    GuardedSockets,
    OpenSocket,
    TargetForbidden,
    names,
)
from pipeline.egress import EgressRules, is_loopback
from pipeline.ports.system import Clock
from pipeline.ports.webhooks import Sender
from pipeline.webhooks import RETRY_AFTER_LIMIT, Attempt

CONNECT_S: Final = 5.0
TOTAL_S: Final = 15.0
READ_BYTES: Final = 4096
"""So much of a response's body is read; nothing of it is kept."""


class HttpSender(Sender):
    """Never follows, never reuses a connection, never goes through a proxy.

    Args:
        resolver: who is asked for addresses; None: the system's name servers.
        open_socket: what dials where the guard lets it.
        tls: what certificates are checked against; None: the system's.
    """

    def __init__(
        self,
        rules: EgressRules,
        clock: Clock,
        *,
        resolver: AbstractResolver | None = None,
        open_socket: OpenSocket = socket.socket,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._rules = rules
        self._clock = clock
        self._guard = GuardedResolver(rules, resolver or names())
        self._sockets = GuardedSockets(rules, open_socket)
        self._tls = tls

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            resolver=self._guard,
            socket_factory=self._sockets,
            ssl=self._tls or True,
            use_dns_cache=False,
            force_close=True,
            limit=0,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=TOTAL_S, sock_connect=CONNECT_S),
            headers={"user-agent": "sluice", "accept-encoding": "identity"},
            max_line_size=8190,
            max_field_size=8190,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()
        await self._guard.close()  # the connector closes only what it made

    @override
    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Attempt:
        try:
            # The body's time is inside the limit: an endless one ends here too.
            async with asyncio.timeout(TOTAL_S):
                return await self._sent(url, headers, body)
        except TimeoutError:
            return _failed("timeout")
        except aiohttp.ClientSSLError:
            return _failed("tls")
        except TargetForbidden:
            return _failed("target_forbidden")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            forbidden = _forbidden(error)
            return _failed("target_forbidden" if forbidden else "connection")

    @override
    async def reaches(self, host: str, port: int) -> bool:
        if is_loopback(host, self._rules):
            return True
        try:
            return bool(await self._guard.resolve(host, port))
        except (OSError, ValueError):
            return False

    async def _sent(self, url: str, headers: Mapping[str, str], body: bytes) -> Attempt:
        async with self._session.post(
            URL(url, encoded=True),
            data=body,
            headers=dict(headers),
            allow_redirects=False,
        ) as answer:
            await answer.content.read(READ_BYTES)
            told, now = answer.headers.get("retry-after"), self._clock.now()
            after = retry_after.asked(told, now, RETRY_AFTER_LIMIT)
            return Attempt(status=answer.status, retry_after=after)


def _failed(error: str) -> Attempt:
    return Attempt(status=None, error=error)


def _forbidden(error: BaseException | None) -> bool:
    """Was it the guard, below what the client made of it?"""
    while error is not None:
        if isinstance(error, TargetForbidden):
            return True
        error = error.__cause__ or error.__context__
    return False
