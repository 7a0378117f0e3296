"""Requests by every way in; poison among them, and a kill in the middle of one."""

import asyncio
import json
import time
from dataclasses import replace
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from demo.tour.clients import ask, produce
from demo.tour.scene import Scene
from demo.tour.stories import (
    ATTACK,
    CARD,
    CLEAN,
    FAILING,
    FROM_KAFKA,
    PERSON,
    PERSONAL,
    PRIVATE,
    REVERSIBLE,
    SLOW,
)

POISON: Final = b"\xff this is no event"
ACCEPTED: Final = "sluice.requests.accepted.v1"


async def by_http(scene: Scene) -> None:
    """A clean one, a personal one, an attack, and one whose provider fails."""
    scene.heading("Four requests by the official openai SDK")
    clean = await scene.told(CLEAN, await ask(scene.sdk, CLEAN))
    scene.that("the clean request was answered", clean.status == 200)
    personal = await scene.told(PERSONAL, await ask(scene.sdk, PERSONAL))
    saw = scene.rows[-1].saw or ""
    scene.that(
        "the provider saw no name, card, address or number",
        bool(saw) and not any(value in saw for value in PRIVATE),
    )
    scene.that(
        "the caller's own name, address and number came back",
        all(value in personal.text for value in REVERSIBLE),
    )
    scene.that("the card number did not", CARD not in personal.text)
    attack = await scene.told(ATTACK, await ask(scene.sdk, ATTACK))
    scene.that(
        "the injection was blocked before any provider saw it",
        (attack.status, attack.code) == (400, "content_filter")
        and scene.rows[-1].saw is None,
    )
    failing = await scene.told(FAILING, await ask(scene.sdk, FAILING))
    scene.that(
        "the failing upstream ended as failed, with the request's id",
        failing.status == 502 and bool(failing.request_id),
    )


async def by_kafka(scene: Scene) -> None:
    """One through the inbox, by a client that knows Kafka alone."""
    scene.heading("One request by a plain Kafka producer, encrypted to our key")
    token = await scene.gateway.token(
        scene.access.client_id, scene.access.client_secret
    )
    messages = [{"role": "user", "content": FROM_KAFKA.text}]
    body = json.dumps({"model": FROM_KAFKA.model, "messages": messages}).encode()
    event = f"tour-{time.time_ns()}"
    headers = [
        ("authorization", b"Bearer " + token.encode()),
        ("ce_id", event.encode()),
        ("content-type", b"application/jose"),
    ]
    await produce(scene.access.kafka, await scene.gateway.sealed(body), headers=headers)
    document = await scene.gateway.ended_event(scene.access.client_id, event)
    saw = await scene.seen()
    got = document["answer"]["choices"][0]["message"]["content"]
    scene.row(FROM_KAFKA, saw, got, document)
    scene.that("it was answered", document["state"] == "completed")
    scene.that(
        "the provider did not see the name, the producer did",
        PERSON in got and PERSON not in (saw or PERSON),
    )


async def poisoned(scene: Scene) -> None:
    """A record that nobody can read harms nobody."""
    scene.heading("A poison record in the middle of it")
    await produce(
        scene.access.kafka,
        POISON,
        headers=[("ce_id", b"\xff\xfe")],
        topic=ACCEPTED,
    )
    after = await scene.told(CLEAN, await ask(scene.sdk, CLEAN))
    scene.that("the next request was answered", after.status == 200)
    buried = await _dead(scene)
    scene.that(
        "the poison record lies in the dead letters, byte for byte",
        buried == [POISON],
    )


async def _dead(scene: Scene) -> list[bytes | None]:
    consumer = AIOKafkaConsumer(bootstrap_servers=scene.access.kafka)
    await consumer.start()
    try:
        partitions = [TopicPartition(ACCEPTED + ".dead", n) for n in range(4)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        found = await consumer.getmany(timeout_ms=3000)
        return [r.value for records in found.values() for r in records]
    finally:
        await consumer.stop()


async def killed(scene: Scene) -> None:
    """The workers die while the provider is at it."""
    scene.heading("The workers are killed with -9 while a request is under way")
    asked = asyncio.create_task(ask(scene.sdk, SLOW))
    await asyncio.sleep(1.0)  # noqa: TID251 - the provider has it by then
    scene.sluice.processes["workers"].kill()
    killed = time.monotonic()
    scene.sluice.spawn("workers", "consumers", "all")
    answer = await scene.told(SLOW, await asked)
    took = time.monotonic() - killed
    scene.rows[-1] = replace(scene.rows[-1], took_s=took)
    scene.that(
        f"it was answered all the same, {took:.1f} s after the kill",
        answer.status == 200,
    )
