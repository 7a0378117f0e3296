"""A stand-in for a model provider: no model, deterministic, and it says so.

It speaks OpenAI's chat completions and responses. The model's name tells what it does:
``echo`` repeats the last message, ``slow-<seconds>`` waits first, ``failing`` answers
500, ``failing-<status>`` that status, ``hanging`` never answers, ``garbage`` answers no
JSON; and in responses ``cut`` ends incomplete, ``calling`` calls the first tool.
``GET /seen`` shows the bodies that it was sent, the newest last. With ``--calls``,
``GET /calls`` tells of every last message when each of its calls began and ended, in
seconds of the machine's monotonic clock; that grows for ever, so it is for tests.

    python -m demo.stand_in --port 9100 [--calls]
"""

import argparse
import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from aiohttp import web

REMEMBERED = 200
HANGS_S = 3600.0
NOTICE = "I am a stand-in, not a model. You said: "

Body = dict[str, Any]
seen: deque[Body] = deque(maxlen=REMEMBERED)
calls = 0
left = 0
"""Calls whose caller went before it had its answer."""
spans: dict[str, list[list[float]]] | None = None
"""By last message, when each call began and ended; None: not asked for."""


async def complete(request: web.Request) -> web.Response:
    """``POST /v1/chat/completions``."""
    return await acted(request, answer)


async def respond(request: web.Request) -> web.Response:
    """``POST /v1/responses``."""
    return await acted(request, responded)


async def acted(request: web.Request, said: Callable[[Body], bytes]) -> web.Response:
    """What the model's name tells to do, then ``said``; less if the caller goes."""
    global calls, left  # noqa: PLW0603 - one process, its counters
    calls += 1
    try:
        return await _acted(request, said)
    except asyncio.CancelledError:
        left += 1
        raise


async def _acted(request: web.Request, said: Callable[[Body], bytes]) -> web.Response:
    body = orjson.loads(await request.read())
    seen.append(body)
    with spanned(body):
        return await _told(body, said)


@contextmanager
def spanned(body: Body) -> Iterator[None]:
    """Note when a call begins and ends, however it ends."""
    span = [time.monotonic()]
    if spans is not None:
        spans.setdefault(last(body), []).append(span)
    try:
        yield
    finally:
        span.append(time.monotonic())


async def _told(body: Body, said: Callable[[Body], bytes]) -> web.Response:
    kind, _, argument = str(body["model"]).partition("-")
    match kind:
        case "slow":
            await asyncio.sleep(float(argument))  # noqa: TID251 - a program of its own
        case "failing":
            return web.json_response(
                {"error": "told to fail"}, status=int(argument or 500)
            )
        case "hanging":
            await asyncio.sleep(HANGS_S)  # noqa: TID251 - as above
        case "garbage":
            return web.Response(body=b"<html>not JSON")
        case _:
            pass
    return web.Response(body=said(body), content_type="application/json")


def plain(content: str | list[Body] | None) -> str:
    """A message's words."""
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content)
    return content or ""


def last(body: Body) -> str:
    """The last message of a chat, or the last item of a response's input."""
    given = body.get("messages") or body["input"]
    final = {"content": given} if isinstance(given, str) else given[-1]
    return plain(final.get("content") or final.get("output"))


def answer(body: Body) -> bytes:
    """A chat completion whose only choice repeats the last message."""
    said = last(body)
    text = NOTICE + said
    message = {"role": "assistant", "content": text}
    prompt, completion = len(said.split()), len(text.split())
    return orjson.dumps(
        {
            "id": f"chatcmpl-standin-{calls}",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "total_tokens": prompt + completion,
            },
        }
    )


def responded(body: Body) -> bytes:
    """A response whose only item repeats the last one of the input, or calls a tool."""
    said = last(body)
    text = NOTICE + said
    cut, calling = (body["model"] == kind for kind in ("cut", "calling"))
    tokens = {"input_tokens": len(said.split()), "output_tokens": len(text.split())}
    return orjson.dumps(
        {
            "id": f"resp_standin_{calls}",
            "object": "response",
            "created_at": 0,
            "status": "incomplete" if cut else "completed",
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "error": None,
            "model": body["model"],
            "instructions": body.get("instructions"),
            "tools": body.get("tools") or [],
            "temperature": 1.0,
            "output": [called(body, said) if calling else message_item(text)],
            "usage": {
                **tokens,
                "total_tokens": sum(tokens.values()),
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens_details": {"reasoning_tokens": 0},
            },
        }
    )


def message_item(text: str) -> Body:
    """An assistant's message as an item of a response's output."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {
        "id": f"msg_{calls}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }


def called(body: Body, said: str) -> Body:
    """A call of the first tool with what was said."""
    return {
        "id": f"fc_{calls}",
        "type": "function_call",
        "call_id": f"call_{calls}",
        "name": body["tools"][0]["name"],
        "arguments": orjson.dumps({"text": said}).decode(),
        "status": "completed",
    }


async def show(_: web.Request) -> web.Response:
    """``GET /seen``."""
    shown = {"calls": calls, "left": left, "bodies": list(seen)}
    return web.Response(body=orjson.dumps(shown), content_type="application/json")


async def calls_by_message(_: web.Request) -> web.Response:
    """``GET /calls``."""
    return web.Response(body=orjson.dumps(spans), content_type="application/json")


async def ready(_: web.Request) -> web.Response:
    """``GET /readyz``."""
    return web.Response(text="ready")


def main() -> None:
    """Serve until it is told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--calls", action="store_true")
    told = parser.parse_args()
    global spans  # noqa: PLW0603 - as above
    spans = {} if told.calls else None
    application = web.Application(client_max_size=8 * 1024 * 1024)
    application.add_routes(
        [
            web.post("/v1/chat/completions", complete),
            web.post("/v1/responses", respond),
            web.get("/seen", show),
            web.get("/calls", calls_by_message),
            web.get("/readyz", ready),
        ]
    )
    web.run_app(
        application,
        host="127.0.0.1",
        port=told.port,
        access_log=None,
        print=None,
        handler_cancellation=True,
    )


if __name__ == "__main__":
    main()
