"""The clients of the tour: the official SDK, a plain Kafka producer, plain HTTP."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import aiohttp
import jwt
from aiokafka import AIOKafkaProducer
from joserfc import jwe
from joserfc.jwk import JWKRegistry
from openai import APIStatusError, AsyncOpenAI

from demo.tour.stories import Story

POLL_S = 0.1
ANSWER_WITHIN_S = 30.0
INBOX = "sluice.requests.inbox.v1"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller got: an answer, or an error in the SDK's shape."""

    request_id: str
    status: int
    text: str
    code: str | None


async def ask(sdk: AsyncOpenAI, story: Story) -> Answer:
    """Send a story as any application would."""
    try:
        raw = await sdk.chat.completions.with_raw_response.create(
            model=story.model,
            messages=[{"role": "user", "content": story.text}],
        )
    except APIStatusError as error:
        request_id = error.response.headers["x-request-id"]
        return Answer(request_id, error.status_code, error.message, error.code)
    completion = raw.parse()
    text = completion.choices[0].message.content or ""
    return Answer(raw.headers["x-request-id"], raw.status_code, text, None)


@dataclass(frozen=True, slots=True)
class Sluice:
    """Plain HTTP to the gateway."""

    session: aiohttp.ClientSession
    url: str
    api_key: str

    async def get(self, path: str) -> dict[str, Any]:
        """A JSON document; raises for anything but 200."""
        headers = {"authorization": f"Bearer {self.api_key}"}
        async with self.session.get(self.url + path, headers=headers) as answer:
            answer.raise_for_status()
            found: dict[str, Any] = await answer.json()
            return found

    async def ended(self, request_id: str) -> dict[str, Any]:
        """The request's document once it has ended."""
        return await self._until(f"/v1/requests/{request_id}")

    async def _until(self, path: str) -> dict[str, Any]:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            while True:
                try:
                    found = await self.get(path)
                except aiohttp.ClientResponseError as error:
                    if error.status != 404:
                        raise
                else:
                    if found["state"] != "in_progress":
                        return found
                await asyncio.sleep(POLL_S)  # noqa: TID251 - polls another process

    async def ended_event(self, client_id: str, event: str) -> dict[str, Any]:
        """As :meth:`ended`, for a record that was put into the inbox."""
        return await self._until(f"/v1/requests?client_id={client_id}&event_id={event}")

    async def token(self, client_id: str, client_secret: str) -> str:
        """A token for the inbox (RFC 6749, client credentials)."""
        form = {"grant_type": "client_credentials", "scope": "inbox"}
        basic = aiohttp.encode_basic_auth(client_id, client_secret)
        headers = {"authorization": basic}
        url = self.url + "/oauth/token"
        async with self.session.post(url, data=form, headers=headers) as answer:
            answer.raise_for_status()
            return str((await answer.json())["access_token"])

    async def sealed(self, body: bytes) -> bytes:
        """``body`` encrypted to the key that the gateway publishes (RFC 7516)."""
        keys = (await self.get("/.well-known/jwks.json"))["keys"]
        published = next(key for key in keys if key["use"] == "enc")
        header = {"alg": published["alg"], "enc": "A256GCM", "kid": published["kid"]}
        key = JWKRegistry.import_key(published)
        return jwe.encrypt_compact(header, body, key).encode()


def signed_by(token: str, keys: dict[str, Any]) -> dict[str, Any]:
    """What a receipt states; nothing where none of the keys signed it."""
    try:
        name = jwt.get_unverified_header(token)["kid"]
        key = next(e for e in jwt.PyJWKSet.from_dict(keys).keys if e.key_id == name)
        raw = jwt.PyJWS().decode(token, key.key, algorithms=["ES256"])
    except (jwt.PyJWTError, StopIteration):
        return {}
    found: dict[str, Any] = json.loads(raw)
    return found


async def produce(
    bootstrap: str,
    value: bytes,
    *,
    headers: list[tuple[str, bytes]],
    topic: str = INBOX,
) -> None:
    """One record by a producer that knows nothing of us."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    try:
        await producer.send_and_wait(topic, value, headers=headers)
    finally:
        await producer.stop()
