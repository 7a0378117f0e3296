"""Content goes: by itself, and on order."""

import asyncio
import time
from collections.abc import Collection, Sequence
from typing import Final

from demo.tour.clients import signed_by
from demo.tour.copies import copied, readable
from demo.tour.scene import Scene
from demo.tour.stories import PERSON

RECEIPT_KEYS: Final = "/.well-known/receipts/jwks.json"
KAFKA_ROW: Final = 4
FORGOTTEN_WITHIN_S: Final = 30.0


async def forgotten(scene: Scene) -> None:
    """The first request's key goes once nobody waits for it."""
    scene.heading("Forgetting: nobody waits for the first request any more")
    first = f"/v1/requests/{scene.rows[0].document['id']}"
    until = time.monotonic() + FORGOTTEN_WITHIN_S
    found = await scene.gateway.get(first)
    while found["answer_state"] != "destroyed" and time.monotonic() < until:
        await asyncio.sleep(0.2)  # noqa: TID251 - polls another process
        found = await scene.gateway.get(first)
    scene.that(
        "its key is destroyed: its content opens for nobody, in no copy",
        found["answer_state"] == "destroyed" and found["answer"] is None,
    )


async def erased(scene: Scene) -> str:
    """The request that came by Kafka goes on order; its receipt."""
    scene.heading("Forgetting on order: the request that came by Kafka")
    request = scene.rows[KAFKA_ROW].document["id"]
    of = ("--tenant", scene.access.tenant_id)
    before = await scene.gateway.get(f"/v1/requests/{request}")
    copies = await copied(scene.access, request)
    opened = await _readable(scene, request, copies)
    job = scene.sluice.ask("erase", "request", *of, request)["job"]
    until = time.monotonic() + FORGOTTEN_WITHIN_S
    found: dict[str, str] = {}
    while job not in found and time.monotonic() < until:
        await asyncio.sleep(0.2)  # noqa: TID251 - polls another process
        found = {e["job"]: e["jws"] for e in scene.sluice.ask("receipts", *of)}
    after = await scene.gateway.get(f"/v1/requests/{request}")
    scene.that(
        "its answer was there, and is no more",
        (before["answer_state"], after["answer"]) == ("available", None),
    )
    scene.that(
        f"{len(copies)} sealed copies from Kafka and Postgres opened before,"
        " and held the name",
        len(opened) == len(copies) > 0
        and any(PERSON.encode() in each for each in opened),
    )
    later = {*copies, *await copied(scene.access, request)}
    scene.that(
        "none of them opens now, nor what lies there still",
        not await _readable(scene, request, later),
    )
    stated = signed_by(found.get(job, ""), await scene.gateway.get(RECEIPT_KEYS))
    scene.that(
        "its receipt verifies by PyJWT with the published key, and says so",
        stated.get("scope") == {"kind": "request", "ref": request}
        and stated["verification"]["read_back_remaining"] == 0,
    )
    return found.get(job, "")


async def _readable(
    scene: Scene, request: str, copies: Collection[bytes]
) -> Sequence[bytes]:
    return await readable(scene.access, scene.sluice.root / "keys", request, copies)
