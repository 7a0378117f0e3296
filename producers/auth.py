"""From a request's headers to a principal, or to one answer for every wrong one."""

import re
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import HTTPConnection

from pipeline.admission import API_AUDIENCE, stands
from pipeline.ports.system import Clock
from pipeline.ports.tenants import Credentials, Principal
from pipeline.ports.tokens import TokenVerifier
from producers.faults import (
    CREDENTIAL_IN_QUERY,
    CREDENTIAL_INVALID,
    CREDENTIAL_MISSING,
    FORBIDDEN,
    RATE_LIMITED,
    Fault,
)

WRONG_A_MINUTE: Final = 20
ADDRESSES: Final = 10_000
_WINDOW_S: Final = 60.0
_IN_QUERY: Final = frozenset({"api_key", "api-key", "x-api-key", "access_token", "key"})
_KEY: Final = re.compile(r"sluice_(live|test)_")


@dataclass(slots=True)
class Attempts:
    """Wrong credentials by address, in this process, a minute at a time.

    A right credential always passes: with 256 random bits in a key there is nothing
    to guess, and neighbours behind one address must not lock each other out.
    """

    clock: Clock
    _wrong: dict[str, tuple[float, int]] = field(default_factory=dict)

    def again(self, address: str) -> bool:
        """Count one; True while it may be answered as any other."""
        now = self.clock.monotonic()
        since, count = self._wrong.get(address, (now, 0))
        if now - since >= _WINDOW_S:
            since, count = now, 0
        if len(self._wrong) >= ADDRESSES:
            self._wrong.clear()
        self._wrong[address] = (since, count + 1)
        return count < WRONG_A_MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Who may come in. Every wrong credential gets the same answer."""

    credentials: Credentials
    tokens: TokenVerifier
    clock: Clock
    attempts: Attempts

    async def principal(self, request: HTTPConnection, needs: str) -> Principal | Fault:
        """Who asks, if they hold the capability ``needs``.

        Raises:
            RetryableError: it cannot be known now. Never a yes.
        """
        if _in_query(request):
            return CREDENTIAL_IN_QUERY
        presented = _presented(request)
        if not presented:
            return CREDENTIAL_MISSING
        found = await self._known(presented.pop()) if len(presented) == 1 else None
        if found is None:
            return self.wrong(request)
        return found if needs in found.capabilities else FORBIDDEN

    def wrong(self, request: HTTPConnection) -> Fault:
        """The answer to a wrong credential."""
        address = request.client.host if request.client else ""
        return CREDENTIAL_INVALID if self.attempts.again(address) else RATE_LIMITED

    async def _known(self, presented: str) -> Principal | None:
        if _KEY.match(presented):
            return await self.credentials.api_key(presented)
        return await self._token(presented)

    async def _token(self, presented: str) -> Principal | None:
        claims = self.tokens.verify(presented)
        if claims is None or stands(claims, API_AUDIENCE, self.clock.now()):
            return None
        return await self.credentials.client_now(
            claims.tenant_id, claims.client_id, claims.issued_at
        )


def _in_query(request: HTTPConnection) -> bool:
    return any(
        name.lower() in _IN_QUERY or _KEY.match(value)
        for name, value in request.query_params.multi_items()
    )


def _presented(request: HTTPConnection) -> set[str]:
    bearers = {
        token.strip()
        for each in request.headers.getlist("authorization")
        for scheme, _, token in (each.partition(" "),)
        if scheme.lower() == "bearer"
    }
    return {
        each for each in bearers | set(request.headers.getlist("x-api-key")) if each
    }
