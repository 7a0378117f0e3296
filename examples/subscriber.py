"""A subscriber: verifies signed webhooks, and handles a duplicate once.

Run it with the secret that creating the endpoint returned:

    WEBHOOK_SECRET=whsec_... uvicorn examples.subscriber:app --port 9000

Deliveries are remembered by their ``webhook-id`` in SQLite (``WEBHOOK_DATABASE``, by
default in memory): a replay inside the signature's window passes the signature, so
only this stops it.
"""

import os
import sqlite3
import sys
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from standardwebhooks import Webhook, WebhookVerificationError

TOLERANCE_S: Final = 300
MAX_BODY_BYTES: Final = 20_000
_NEEDED: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")

if not (secret := os.environ.get("WEBHOOK_SECRET")):  # noqa: TID251 - its own program
    sys.exit("WEBHOOK_SECRET: expected the secret that creating the endpoint returned")
app = FastAPI(openapi_url=None)
verifier = Webhook(secret)
seen = sqlite3.connect(os.environ.get("WEBHOOK_DATABASE", ":memory:"))  # noqa: TID251
seen.execute("create table if not exists seen (id text primary key, body blob)")


def problem(status: int, code: str, title: str, **more: int) -> Response:
    """An RFC 9457 problem document; a 401 names the scheme that is wanted.

    Where a body was not read to its end the connection ends too: a server that keeps it
    reads on, and throws away what comes.
    """
    headers = {
        401: {"www-authenticate": f'WebhookSignature error="{code}"'},
        413: {"connection": "close"},
    }
    kind = f"https://sluice.dev/problems/{code}"
    return JSONResponse(
        {"type": kind, "title": title, "status": status, **more},
        status,
        headers.get(status),
        media_type="application/problem+json",
    )


@app.post("/webhooks")
async def receive(request: Request) -> Response:
    """Verify the raw bytes, then handle what is new; any other answer is a retry."""
    raw = await _body(request)  # never re-serialised JSON: the bytes were signed
    if raw is None:
        return problem(413, "webhook-body-too-large", "The body is too large")
    if any(name not in request.headers for name in _NEEDED):
        return problem(400, "webhook-headers-missing", "Webhook headers are missing")
    try:
        verifier.verify(raw, dict(request.headers), json_parse=False)
    except WebhookVerificationError as error:
        return _refused(error)
    except ValueError:  # a malformed header raises a plain one
        return problem(401, "webhook-signature-malformed", "A header is malformed")
    once(request.headers["webhook-id"], raw)
    return Response(status_code=204)


async def _body(request: Request) -> bytes | None:
    """The raw body; None: it is larger than any of ours, and is read no further."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY_BYTES:
            return None
    return bytes(raw)


def _refused(error: WebhookVerificationError) -> Response:
    if "timestamp" in str(error).lower():
        code, title = "webhook-timestamp-out-of-window", "It is too old or too new"
        return problem(401, code, title, tolerance_seconds=TOLERANCE_S)
    return problem(401, "webhook-signature-invalid", "The signature was not accepted")


def once(message_id: str, raw: bytes) -> None:
    """Handle it unless it was handled before.

    The id is kept only if :func:`handle` returns: were it kept before, an event whose
    handler failed would be answered 204 at the retry, and lost. Let the handler write
    to the same database and transaction, and both happen or neither.
    """
    with seen:
        row = (message_id, raw)
        if seen.execute("insert or ignore into seen values (?, ?)", row).rowcount:
            handle(raw)


def handle(raw: bytes) -> None:
    """What you do with an event: fetch the content by its id, with your own key."""
    print(f"received {len(raw)} bytes", flush=True)  # noqa: T201 - an example's output
