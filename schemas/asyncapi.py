"""The AsyncAPI 3.0 document of every topic: ``python -m schemas.asyncapi``.

Strangers write to the inbox alone; the other topics are documented for those who
operate them and for auditors. Dead letters carry their source's bytes.
"""

import json
import sys
from typing import Any

from pydantic.json_schema import models_json_schema

from schemas.base import Schema
from schemas.topics import REQUESTS_INBOX, TOPICS, Topic, by_tenant
from schemas.webhooks import WebhookDue

SCHEMA_AT = "#/components/schemas/{model}"
HEADERS = {
    "type": "object",
    "required": [
        "ce_specversion",
        "ce_id",
        "ce_type",
        "ce_source",
        "ce_subject",
        "ce_tenant",
        "ce_time",
        "content-type",
    ],
    "properties": {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "description": "Equal on every redelivery."},
        "ce_type": {"type": "string", "description": "The data's type and version."},
        "ce_source": {"type": "string", "description": "Which part of Sluice speaks."},
        "ce_subject": {
            "type": "string",
            "description": "What it is about, e.g. a request's id.",
        },
        "ce_tenant": {"type": "string", "description": "Whose event this is."},
        "ce_time": {"type": "string", "format": "date-time"},
        "ce_causation": {"type": "string", "description": "The event before."},
        "ce_traceparent": {"type": "string", "description": "Where it all began."},
        "traceparent": {"type": "string", "description": "The last hop."},
        "content-type": {"const": "application/json"},
    },
}
"""CloudEvents 1.0, binary mode (Kafka protocol binding 1.0, section 3.2)."""

EVENT_ID = {"type": "string", "pattern": "^[!-~]{1,255}$"}
INBOX_HEADERS = {
    "type": "object",
    "required": ["authorization"],
    "anyOf": [{"required": ["ce_id"]}, {"required": ["id"]}],
    "properties": {
        "authorization": {
            "type": "string",
            "description": "`Bearer` and a token of `POST /oauth/token`.",
        },
        "ce_id": {
            **EVENT_ID,
            "description": "The producer's own id: equal ids are the same request.",
        },
        "id": {**EVENT_ID, "description": "Counts where there is no `ce_id`."},
        "content-type": {
            "type": "string",
            "description": "`application/jose` where the body is a compact JWE.",
        },
        "traceparent": {"type": "string", "description": "The trace it goes on in."},
    },
}
"""What a stranger's record holds; of names that it holds beside these, none counts."""


def document() -> dict[str, Any]:
    """The whole document, as JSON values."""
    models = [(topic.data, "validation") for topic in TOPICS]
    _, schemas = models_json_schema(models, ref_template=SCHEMA_AT)  # type: ignore[arg-type]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Sluice",
            "version": "1",
            "description": "The topics of Sluice: CloudEvents in binary mode.",
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": dict(_operation(topic) for topic in TOPICS),
        "components": {
            "schemas": {
                **schemas["$defs"],
                "Headers": HEADERS,
                "InboxHeaders": INBOX_HEADERS,
            },
            "messages": {_noun(topic.data): _message(topic) for topic in TOPICS},
        },
    }


def text() -> str:
    """The document as it lies in ``docs/reference/asyncapi.json``."""
    return json.dumps(document(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _channel(topic: Topic[Any]) -> dict[str, Any]:
    noun = _noun(topic.data)
    return {
        "address": topic.name,
        "description": topic.description,
        "messages": {noun: {"$ref": f"#/components/messages/{noun}"}},
        "bindings": {"kafka": {"topic": topic.name, "partitions": topic.partitions}},
        "x-key": _key(topic),
        "x-consumer-group": topic.group,
        "x-dead-letters": topic.dead,
    }


def _key(topic: Topic[Any]) -> str:
    """What decides the partition; a stranger's key decides nothing."""
    if topic is REQUESTS_INBOX:
        return "nothing that counts"
    if topic.key is by_tenant:
        return "tenant id"
    return "endpoint id" if topic.data is WebhookDue else "request id"


def _operation(topic: Topic[Any]) -> tuple[str, dict[str, Any]]:
    """What Sluice does with a topic, seen from Sluice."""
    return f"receive.{topic.name}", {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{topic.name}"},
    }


def _message(topic: Topic[Any]) -> dict[str, Any]:
    noun = _noun(topic.data)
    if topic is REQUESTS_INBOX:
        return {
            "name": noun,
            "summary": "A body of `POST /v1/chat/completions`, or a JWE of one.",
            "headers": {"$ref": "#/components/schemas/InboxHeaders"},
            "payload": True,
        }
    return {
        "name": str(getattr(topic.data, "kind", noun)),
        "summary": (topic.data.__doc__ or "").partition("\n")[0],
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/Headers"},
        "payload": {"$ref": f"#/components/schemas/{noun}"},
    }


def _noun(data: type[Schema]) -> str:
    return data.__name__


if __name__ == "__main__":
    sys.stdout.write(text())
