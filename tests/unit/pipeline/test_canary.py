"""The canary: derived from the key, planted on a copy, found however it is told."""

import orjson
import pytest

from infra.system import SystemEntropy
from pipeline.canary import LENGTH, canary, planted, tells
from pipeline.contents import Contents
from pipeline.dialects import opened
from pipeline.keystore import Partition, class_named
from schemas.requests import Dialect
from tests.support.audit import NOON
from tests.support.installation import new_request_id, new_tenant

DAY = Partition(class_named("1d"), NOON.date())
CONTENTS = Contents(SystemEntropy())
MARK = "7h3k2m9qxw4tabcd"


def test_it_is_the_same_for_a_request_and_no_other() -> None:
    tenant = new_tenant()
    one, other = (CONTENTS.new_key(tenant, new_request_id(), DAY) for _ in range(2))

    assert canary(one) == canary(one)
    assert canary(one) != canary(other)
    assert LENGTH == len(canary(one))


@pytest.mark.parametrize(
    "answer",
    [
        f"my mark is {MARK}!",
        f"my mark is {MARK.upper()}",
        "7h3k 2m9q - xw4t abcd",
        f"**{MARK[:8]}**\n`{MARK[8:]}`",
    ],
)
def test_it_is_seen_however_it_is_set(answer: str) -> None:
    assert tells(answer, MARK)
    assert not tells(answer.replace("4", "5"), MARK)


@pytest.mark.parametrize(
    ("dialect", "body", "field"),
    [
        (
            Dialect.OPENAI_CHAT,
            {"messages": [{"role": "system", "content": "Be kind."}]},
            "messages",
        ),
        (
            Dialect.OPENAI_RESPONSES,
            {"instructions": "Be kind.", "input": "hi"},
            "instructions",
        ),
    ],
)
def test_it_stands_on_a_copy_in_the_system_part(
    dialect: Dialect, body: dict[str, object], field: str
) -> None:
    asked = opened(dialect, orjson.dumps({"model": "m", **body}))

    sent = planted(asked, MARK)

    assert MARK in repr(sent.body[field])
    assert body[field] == asked.body[field]  # what an answer repeats


@pytest.mark.parametrize(
    "message",
    [
        {"content": "Be kind.", "name": "helper"},
        {"content": [{"type": "text", "text": "Be kind.", "cache": {"ttl": "5m"}}]},
        {"content": [
            {"type": "text", "text": "Be kind."},
            {"type": "image_url", "image_url": {"url": "https://pictures.example/a"}},
        ]},
    ],
)  # fmt: skip
def test_it_stands_in_what_is_said_and_in_nothing_beside_it(
    message: dict[str, object],
) -> None:
    """A provider refuses a name of several words, and fetches no such address."""
    body = {"model": "m", "messages": [{"role": "system", **message}]}
    asked = opened(Dialect.OPENAI_CHAT, orjson.dumps(body))

    sent = opened(Dialect.OPENAI_CHAT, orjson.dumps(planted(asked, MARK).body))

    assert len(asked.parts) == len(sent.parts)
    for before, after in zip(asked.parts, sent.parts, strict=True):
        assert (before.text == "Be kind.") is (MARK in after.text)


def test_without_a_system_part_nothing_is_planted() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    asked = opened(Dialect.OPENAI_CHAT, orjson.dumps(body))

    assert asked == planted(asked, MARK)
