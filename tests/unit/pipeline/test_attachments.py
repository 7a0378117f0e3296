"""Content that is no text: where a dialect has it, and what a policy makes of it."""

from base64 import b64encode
from typing import Any

import pytest

from pipeline.detection.engine import build
from pipeline.dialects import SPEAKERS
from pipeline.policies import default_policy
from pipeline.screening import screen
from pipeline.text import Channel, TextPart
from pipeline.verdicts import Screened, Verdict
from schemas.policies import Guard, GuardRule, PolicyDocument
from schemas.requests import Dialect

RECIPE = build()
BYTES = b64encode(bytes(range(96))).decode()
DATA = f"data:image/png;base64,{BYTES}"
LINK = "https://example.org/a.png"
HELLO = {"type": "text", "text": "hello"}
PERHAPS = {"type": "object", "properties": {"a": {"type": ["string", "null"]}}}
"""A schema with several types in one place, as strict tools must have."""


def chat(*parts: Any, **fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": parts, **fields}]}


def responses(*parts: Any) -> dict[str, Any]:
    return {"model": "m", "input": [{"role": "user", "content": list(parts)}]}


@pytest.mark.parametrize(
    "body",
    [
        chat(HELLO, {"type": "image_url", "image_url": {"url": DATA}}),
        chat({"type": "image_url", "image_url": {"url": LINK}}),
        chat({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}),
        chat({"type": "file", "file": {"file_data": "AA==", "filename": "a.txt"}}),
        chat({"type": "thing_of_tomorrow", "thing": {"data": BYTES}}),
        chat(HELLO, extra={"data": [{"url": DATA}]}),
        chat(HELLO, {"type": "audio_url", "audio_url": {"url": LINK}}),
        chat({"type": "video_url", "video_url": {"url": LINK}}),
        chat({"type": "input_image", "image_url": LINK}),
        chat({"type": "image", "source": {"type": "url", "url": LINK}}),
    ],
)
def test_a_chat_has_attachments(body: dict[str, Any]) -> None:
    body["messages"][0]["content"] = list(body["messages"][0]["content"])

    assert SPEAKERS[Dialect.OPENAI_CHAT].attached(body)


@pytest.mark.parametrize(
    "body",
    [
        responses({"type": "input_image", "image_url": DATA}),
        responses({"type": "input_image", "image_url": LINK}),
        responses({"type": "input_file", "file_data": "AA==", "filename": "a.txt"}),
        responses({"type": "input_file", "file_url": LINK}),
        {
            "model": "m",
            "input": [
                {
                    "type": "function_call_output",
                    "call_id": "c",
                    "output": [{"type": "input_image", "image_url": DATA}],
                }
            ],
        },
    ],
)
def test_a_response_has_attachments(body: dict[str, Any]) -> None:
    assert SPEAKERS[Dialect.OPENAI_RESPONSES].attached(body)


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (Dialect.OPENAI_CHAT, chat(HELLO)),
        (Dialect.OPENAI_CHAT, chat({"type": "text", "text": BYTES})),
        (Dialect.OPENAI_CHAT, chat({"type": "refusal", "refusal": "no"})),
        (Dialect.OPENAI_CHAT, chat({"type": "input_text", "text": "hello"})),
        (Dialect.OPENAI_CHAT, chat({"type": "thinking", "thinking": "hm"})),
        (
            Dialect.OPENAI_CHAT,
            {**chat(HELLO), "tools": [{"type": "function", "function": {}}]},
        ),
        (
            Dialect.OPENAI_CHAT,
            {
                **chat(HELLO),
                "tools": [{"type": "function", "function": {"parameters": PERHAPS}}],
            },
        ),
        (
            Dialect.OPENAI_RESPONSES,
            {
                **responses({"type": "input_text", "text": "hello"}),
                "tools": [{"type": "function", "name": "f", "parameters": PERHAPS}],
            },
        ),
        (Dialect.OPENAI_CHAT, chat(HELLO, extra={"url": LINK})),
        (Dialect.OPENAI_RESPONSES, {"model": "m", "input": DATA}),
        (
            Dialect.OPENAI_RESPONSES,
            {
                "model": "m",
                "input": [{"type": "reasoning", "encrypted_content": BYTES}],
            },
        ),
    ],
)
def test_text_is_no_attachment(dialect: Dialect, body: dict[str, Any]) -> None:
    for message in body.get("messages", ()):
        message["content"] = list(message["content"])

    assert not SPEAKERS[dialect].attached(body)


def judged(rule: GuardRule | None, *, attached: bool) -> Screened:
    guards = {Guard.ATTACHMENTS: rule} if rule else {}
    found = screen(
        [TextPart(("x",), Channel.USER, "hello")],
        PolicyDocument(guards=guards),
        RECIPE,
        attached=attached,
    )
    assert isinstance(found, Screened)
    return found


@pytest.mark.parametrize(
    ("rule", "verdict", "said"),
    [
        (GuardRule(), Verdict.BLOCKED, ["blocked"]),
        (GuardRule(block=False), Verdict.FLAGGED, ["flagged"]),
        (GuardRule(required=False), Verdict.ALLOWED, []),
        (None, Verdict.ALLOWED, []),
    ],
)
def test_what_nobody_reads_is_told_where_a_policy_asks(
    rule: GuardRule | None, verdict: Verdict, said: list[str]
) -> None:
    found = judged(rule, attached=True)
    told = [each for each in found.decisions if each.control == Guard.ATTACHMENTS]

    assert verdict == found.verdict
    assert said == [each.verdict for each in told]
    assert ("privacy.attachment" in found.reasons) == bool(said)
    assert ("attachments" in found.guards_ran) == bool(said)


def test_a_request_of_text_alone_passes_a_guard_of_attachments() -> None:
    found = judged(GuardRule(), attached=False)

    assert Verdict.ALLOWED == found.verdict
    assert "attachments" in found.guards_ran


def test_nobody_must_name_the_guard() -> None:
    assert "attachments" not in default_policy().guards_required
    asked = PolicyDocument(guards={Guard.ATTACHMENTS: GuardRule()})
    assert "attachments" in asked.guards_required
