"""One POST to somebody outside, bounded in time and size."""

from dataclasses import dataclass
from typing import Final

import aiohttp

from pipeline.errors import RetryableError

WITHIN_S: Final = 30.0
MAX_ANSWER_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    kind: str
    body: bytes


async def post(url: str, body: bytes, kind: str) -> Answer:
    """POST ``body``; redirects are not followed.

    Raises:
        RetryableError: there is no whole answer of at most 65,536 bytes, or it says
            that the server failed.
    """
    limit = aiohttp.ClientTimeout(total=WITHIN_S)
    headers = {"content-type": kind, "user-agent": "sluice"}
    try:
        async with (
            aiohttp.ClientSession(
                timeout=limit, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
            ) as session,
            session.post(
                url, data=body, headers=headers, allow_redirects=False
            ) as answer,
        ):
            found = await _read(answer)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise RetryableError(f"an anchor is away: {type(error).__name__}") from None
    if found.status >= 500 or found.status == 429:  # noqa: PLR2004 - HTTP's numbers
        raise RetryableError(f"an anchor is away: {found.status}")
    return found


async def _read(answer: aiohttp.ClientResponse) -> Answer:
    body = await answer.content.read(MAX_ANSWER_BYTES + 1)
    while len(body) <= MAX_ANSWER_BYTES and not answer.content.at_eof():
        body += await answer.content.read(MAX_ANSWER_BYTES + 1 - len(body))
    if len(body) > MAX_ANSWER_BYTES:
        raise RetryableError("an anchor's answer is too long")
    return Answer(answer.status, answer.content_type, body)
