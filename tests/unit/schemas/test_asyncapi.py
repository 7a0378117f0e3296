"""The published document of topics is the one that the code makes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.admission import NAME
from schemas.asyncapi import document, text
from schemas.topics import (
    AUDIT_RECORDED,
    REQUESTS_ACCEPTED,
    REQUESTS_INBOX,
    TOPICS,
    WEBHOOKS_DUE,
    WEBHOOKS_RETRY_5M,
    WEBHOOKS_RETRY_5S,
)

PUBLISHED = Path(__file__).parents[3] / "docs" / "reference" / "asyncapi.json"


def references(found: Any) -> Iterator[str]:
    if isinstance(found, dict):
        if "$ref" in found:
            yield found["$ref"]
        for value in found.values():
            yield from references(value)
    elif isinstance(found, list):
        for value in found:
            yield from references(value)


def test_it_was_generated_from_this_code() -> None:
    assert text() == PUBLISHED.read_text()


def test_every_topic_is_in_it() -> None:
    assert {topic.name for topic in TOPICS} == set(document()["channels"])


def test_a_key_is_told_by_what_it_is() -> None:
    told = {name: each["x-key"] for name, each in document()["channels"].items()}

    assert "nothing that counts" == told[REQUESTS_INBOX.name]
    assert "request id" == told[REQUESTS_ACCEPTED.name]
    assert "tenant id" == told[AUDIT_RECORDED.name]
    for topic in (WEBHOOKS_DUE, WEBHOOKS_RETRY_5S, WEBHOOKS_RETRY_5M):
        assert "endpoint id" == told[topic.name]


def test_the_record_that_strangers_write_is_told() -> None:
    components = document()["components"]
    message = components["messages"]["InboxRequest"]
    told = components["schemas"][message["headers"]["$ref"].rsplit("/")[-1]]

    assert "`POST /v1/chat/completions`" in message["summary"]
    assert {"authorization", "ce_id", "id", "content-type", "traceparent"} == set(
        told["properties"]
    )
    for name in ("ce_id", "id"):
        pattern = told["properties"][name]["pattern"]
        for event in ("a", "a" * 255, "!~", "", "a" * 256, "a b", "\u00e9"):
            assert bool(NAME.fullmatch(event)) == bool(re.fullmatch(pattern, event))


def test_every_reference_leads_somewhere() -> None:
    whole = json.loads(text())
    for reference in set(references(whole)):
        found: Any = whole
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]

        assert found
