"""A stand-in for a model provider: no model, deterministic, and it says so.

It speaks OpenAI's chat completions. The model's name tells what it does: ``echo``
repeats the last message, ``slow-<seconds>`` waits first, ``failing`` answers 500,
``failing-<status>`` that status, ``hanging`` never answers,
``garbage`` answers no JSON.
``GET /seen`` shows the bodies that it was sent, the newest last.

    python -m demo.stand_in --port 9100
"""

import argparse
import asyncio
from collections import deque
from typing import Any

import orjson
from aiohttp import web

REMEMBERED = 200
HANGS_S = 3600.0
NOTICE = "I am a stand-in, not a model. You said: "

seen: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)
calls = 0


async def complete(request: web.Request) -> web.Response:
    """``POST /v1/chat/completions``."""
    global calls  # noqa: PLW0603 - one process, one counter
    calls += 1
    body = orjson.loads(await request.read())
    seen.append(body)
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
    return web.Response(body=answer(body), content_type="application/json")


def answer(body: dict[str, Any]) -> bytes:
    """A chat completion whose only choice repeats the last message."""
    last = body["messages"][-1].get("content") or ""
    said = last if isinstance(last, str) else " ".join(p.get("text", "") for p in last)
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


async def show(_: web.Request) -> web.Response:
    """``GET /seen``."""
    shown = {"calls": calls, "bodies": list(seen)}
    return web.Response(body=orjson.dumps(shown), content_type="application/json")


async def ready(_: web.Request) -> web.Response:
    """``GET /readyz``."""
    return web.Response(text="ready")


def main() -> None:
    """Serve until it is told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    application = web.Application(client_max_size=8 * 1024 * 1024)
    application.add_routes(
        [
            web.post("/v1/chat/completions", complete),
            web.get("/seen", show),
            web.get("/readyz", ready),
        ]
    )
    web.run_app(
        application,
        host="127.0.0.1",
        port=parser.parse_args().port,
        access_log=None,
        print=None,
    )


if __name__ == "__main__":
    main()
