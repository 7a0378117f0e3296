"""A subscriber: verifies signed webhooks, and handles a duplicate once.

Run it with the secret that creating the endpoint returned:

    WEBHOOK_SECRET=whsec_... uvicorn examples.subscriber:app --port 9000

Deliveries are remembered by their ``webhook-id`` in SQLite (``WEBHOOK_DATABASE``, by
default in memory): a replay inside the signature's window passes the signature, so
only this stops it.
"""

import os
import sqlite3
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from standardwebhooks import Webhook, WebhookVerificationError

TOLERANCE_S: Final = 300
MAX_BODY_BYTES: Final = 20_000
_NEEDED: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")

app = FastAPI(openapi_url=None)
verifier = Webhook(os.environ["WEBHOOK_SECRET"])  # noqa: TID251 - a program of its own
seen = sqlite3.connect(os.environ.get("WEBHOOK_DATABASE", ":memory:"))  # noqa: TID251
seen.execute("create table if not exists seen (id text primary key, body blob)")


def problem(status: int, code: str, title: str) -> Response:
    """An RFC 9457 problem document; a 401 names the scheme that is wanted."""
    challenge = {"www-authenticate": f'WebhookSignature error="{code}"'}
    return JSONResponse(
        {
            "type": f"https://sluice.dev/problems/{code}",
            "title": title,
            "status": status,
            "tolerance_seconds": TOLERANCE_S,
        },
        status,
        challenge if status == 401 else None,  # noqa: PLR2004 - HTTP's own number
        media_type="application/problem+json",
    )


@app.post("/webhooks")
async def receive(request: Request) -> Response:
    """Verify the raw bytes, remember the id, then answer; the work comes after."""
    raw = await request.body()  # never re-serialised JSON: the bytes were signed
    if len(raw) > MAX_BODY_BYTES:
        return problem(413, "webhook-body-too-large", "The body is too large")
    if any(name not in request.headers for name in _NEEDED):
        return problem(400, "webhook-headers-missing", "Webhook headers are missing")
    try:
        verifier.verify(raw, dict(request.headers), json_parse=False)
    except WebhookVerificationError as error:
        return problem(401, _code(error), "The signature was not accepted")
    except ValueError:  # a malformed header raises a plain one
        return problem(401, "webhook-signature-malformed", "A header is malformed")
    if _is_new(request.headers["webhook-id"], raw):
        handle(raw)
    return Response(status_code=204)


def _code(error: WebhookVerificationError) -> str:
    if "timestamp" in str(error).lower():
        return "webhook-timestamp-out-of-window"
    return "webhook-signature-invalid"


def _is_new(message_id: str, raw: bytes) -> bool:
    with seen:
        found = seen.execute(
            "insert or ignore into seen values (?, ?)", (message_id, raw)
        )
        return found.rowcount == 1


def handle(raw: bytes) -> None:
    """What you do with an event: fetch the content by its id, with your own key."""
    print(f"received {len(raw)} bytes", flush=True)  # noqa: T201 - an example's output
