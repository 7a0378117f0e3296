"""Any upstream that speaks OpenAI's HTTP API."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self

import aiohttp
from aiohttp import DummyCookieJar
from typing_extensions import override

from infra import retry_after
from pipeline.ports.providers import Answered, Providers, Refused, Unanswered
from pipeline.ports.system import Clock
from pipeline.reasons import Reason
from schemas.requests import Dialect, Route

MAX_ANSWER_BYTES: Final = 2 * 1024 * 1024
CONNECT_S: Final = 5.0
PATHS: Final = {
    Dialect.OPENAI_CHAT: "/chat/completions",
    Dialect.OPENAI_RESPONSES: "/responses",
}
_OK: Final = range(200, 300)
_REFUSED: Final = range(400, 500)
_AGAIN: Final[Mapping[int, Reason]] = {
    HTTPStatus.REQUEST_TIMEOUT: Reason.UPSTREAM_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS: Reason.UPSTREAM_RATE_LIMITED,
}
_LONGEST: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """One configured provider.

    Attributes:
        base_url: up to and with the version segment, without a final slash.
        api_key: ours, sent to this upstream alone; never a caller's.
    """

    base_url: str
    api_key: str | None = field(default=None, repr=False)
    max_in_flight: int = 64


class OpenAIProviders(Providers):
    """Calls over kept-alive connections; nothing of a caller's headers goes along."""

    def __init__(self, upstreams: Mapping[str, Upstream], clock: Clock) -> None:
        self._upstreams = upstreams
        self._clock = clock
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        self._sessions = {
            name: _session(upstream) for name, upstream in self._upstreams.items()
        }
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for session in self._sessions.values():
            await session.close()

    @override
    def knows(self, provider: str) -> bool:
        return provider in self._upstreams

    @override
    async def call(
        self, route: Route, dialect: Dialect, body: bytes, timeout_s: float
    ) -> Answered | Refused | Unanswered:
        if route.provider not in self._upstreams:
            return Unanswered(Reason.UPSTREAM_UNREACHABLE, retry=False)
        url = self._upstreams[route.provider].base_url + PATHS[dialect]
        limit = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_S)
        session = self._sessions[route.provider]
        try:
            async with session.post(
                url, data=body, timeout=limit, allow_redirects=False
            ) as answer:
                return await _judged(answer, self._clock.now())
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            return Unanswered(Reason.UPSTREAM_UNREACHABLE, retry=True)
        except TimeoutError:
            return Unanswered(Reason.UPSTREAM_TIMEOUT, retry=False)
        except (aiohttp.ClientPayloadError, aiohttp.ClientResponseError):
            # It answered, so the work may be done; nobody is told to ask again.
            return Unanswered(Reason.UPSTREAM_GARBAGE, retry=False)
        except aiohttp.ClientError:
            return Unanswered(Reason.UPSTREAM_UNREACHABLE, retry=False)


def _session(upstream: Upstream) -> aiohttp.ClientSession:
    headers = {"content-type": "application/json", "user-agent": "sluice"}
    if upstream.api_key is not None:
        headers["authorization"] = f"Bearer {upstream.api_key}"
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=upstream.max_in_flight),
        headers=headers,
        cookie_jar=DummyCookieJar(),
        trust_env=False,
    )


async def _judged(
    answer: aiohttp.ClientResponse, now: datetime
) -> Answered | Refused | Unanswered:
    if answer.status in _REFUSED and answer.status not in _AGAIN:
        return Refused(answer.status)
    if answer.status not in _OK:
        # A 5xx may come after the work was done and paid for; one repeat is ours.
        why = _AGAIN.get(answer.status, Reason.UPSTREAM_ERROR)
        told = retry_after.asked(answer.headers.get("retry-after"), now, _LONGEST)
        return Unanswered(
            why, retry=True, after_s=(told or timedelta()).total_seconds()
        )
    raw = await answer.content.read(MAX_ANSWER_BYTES + 1)
    while len(raw) <= MAX_ANSWER_BYTES and not answer.content.at_eof():
        raw += await answer.content.read(MAX_ANSWER_BYTES + 1 - len(raw))
    if len(raw) > MAX_ANSWER_BYTES:
        return Unanswered(Reason.UPSTREAM_GARBAGE, retry=False)
    return Answered(raw)
