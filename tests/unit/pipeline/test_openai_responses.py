"""OpenAI's responses as a dialect."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dialects import SPEAKERS, read, replace, written
from pipeline.dialects.openai_responses import (
    CHANNELS,
    FIELDS,
    OWN,
    REPEATED,
    TOLD,
    request_of,
    response_id,
)
from pipeline.text import Channel, TextPart
from schemas.ids import RequestId
from schemas.requests import Dialect, Usage

SPEAKER = SPEAKERS[Dialect.OPENAI_RESPONSES]
REQUEST = RequestId("018f3c1a-7c00-7000-8000-000000000001")
ID = "resp_018f3c1a7c0070008000000000000001"

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3)
    ),
    max_leaves=8,
)
PART = st.fixed_dictionaries(
    {"type": st.sampled_from(["input_text", "output_text"]), "text": TEXT}
)
CONTENT = TEXT | st.lists(PART, max_size=3)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(sorted(CHANNELS)), "content": CONTENT},
    optional={"type": st.just("message"), "id": TEXT},
)
CALL = st.fixed_dictionaries(
    {
        "type": st.just("function_call"),
        "call_id": TEXT,
        "name": TEXT,
        "arguments": TEXT,
    }
)
OUTPUT = st.fixed_dictionaries(
    {"type": st.just("function_call_output"), "call_id": TEXT, "output": CONTENT}
)
BODIES = st.fixed_dictionaries(
    {
        "model": st.just("m"),
        "input": TEXT | st.lists(MESSAGE | CALL | OUTPUT, min_size=1, max_size=4),
    },
    optional={
        "instructions": TEXT,
        "metadata": st.dictionaries(TEXT, TEXT, max_size=3),
        "user": TEXT,
        "background": st.booleans(),
        "text": st.dictionaries(TEXT, JSON, max_size=2),
        "tools": st.lists(
            st.fixed_dictionaries(
                {"type": st.just("function"), "name": TEXT},
                optional={"description": TEXT, "parameters": JSON},
            ),
            max_size=2,
        ),
    },
)
ANSWERS = st.dictionaries(TEXT, JSON, max_size=3).flatmap(
    lambda extra: st.fixed_dictionaries(
        {
            "output": st.lists(st.dictionaries(TEXT, JSON, max_size=3), max_size=3),
            "status": st.sampled_from(["completed", "incomplete"]),
        },
        optional=dict.fromkeys((*TOLD[1:2], *TOLD[3:], *REPEATED, "input"), JSON),
    ).map(lambda told: {**extra, **told, "error": None})
)


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "echo", "input": "hello", **fields}


def strings(value: Any, key: str | int = "") -> Iterator[tuple[str | int, str]]:
    """Every string with the key or the index at which it stands."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from strings(inner, name)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from strings(inner, index)


def texts(found: dict[str, Any]) -> dict[tuple[str | int, ...], tuple[Channel, str]]:
    return {p.path: (p.channel, p.text) for p in SPEAKER.parts(found)}


@given(BODIES)
def test_every_such_body_is_well_formed(found: dict[str, Any]) -> None:
    assert [] == list(SPEAKER.check(found))
    assert [] == list(SPEAKER.unsupported(found))
    assert found == read(written(found))


@given(BODIES)
def test_what_was_taken_out_can_be_put_back(found: dict[str, Any]) -> None:
    assert found == replace(found, SPEAKER.parts(found))


@given(BODIES)
def test_no_string_escapes_but_the_dialects_own_words(found: dict[str, Any]) -> None:
    looked_at = [(part.path[-1], part.text) for part in SPEAKER.parts(found)]
    others = [(key, text) for key, text in strings(found) if not OWN.has(text, key)]

    assert sorted(map(repr, others)) == sorted(map(repr, looked_at))


@given(BODIES)
def test_other_texts_stand_where_the_old_ones_stood(found: dict[str, Any]) -> None:
    before = written(found)
    others = [
        TextPart(part.path, part.channel, f"text {nth}")
        for nth, part in enumerate(SPEAKER.parts(found))
    ]

    after = replace(found, others)

    assert others == list(SPEAKER.parts(after))
    assert before == written(found)


@given(BODIES, ANSWERS)
def test_nothing_reaches_the_caller_that_nobody_looked_at(
    asked: dict[str, Any], answer: dict[str, Any]
) -> None:
    parts = SPEAKER.answer_parts(answer)
    assert parts is not None
    told = SPEAKER.answered(asked, answer, REQUEST)

    seen = {part.text for part in parts}
    own = {text for name in REPEATED for _, text in strings(asked.get(name))}
    defaults = {text for _, text in strings(list(REPEATED.values()))}
    for key, text in strings(told):
        ours = text in {ID, "response", "m", "completed", *defaults}
        assert ours or text in seen | own or OWN.has(text, key)


@given(JSON)
def test_no_json_value_breaks_the_check(value: object) -> None:
    for field in ("model", "input", *FIELDS, "a_field_of_tomorrow"):
        tried = body(**{field: value})
        if not SPEAKER.check(tried):
            SPEAKER.unsupported(tried)
            SPEAKER.parts(tried)
    for field in ("type", "role", "content", "output", "arguments", "summary"):
        tried = body(input=[{"role": "user", "content": "x", field: value}])
        if not SPEAKER.check(tried):
            SPEAKER.unsupported(tried)
            SPEAKER.parts(tried)
    SPEAKER.check(body(input=[value]))
    SPEAKER.answer_parts({"output": value, "status": value})
    SPEAKER.usage({"usage": value})


def test_every_text_is_in_the_channel_of_who_put_it_there() -> None:
    found = texts(
        body(
            instructions="Be kind",
            input=[
                {"role": "developer", "content": "Be short"},
                {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
                {"role": "assistant", "content": "Hello"},
                {"type": "function_call", "call_id": "call_1", "name": "look_up",
                 "arguments": '{"who": "Marta"}'},
                {"type": "function_call_output", "call_id": "call_1",
                 "output": "found"},
                {"type": "custom_tool_call_output", "call_id": "call_2",
                 "output": [{"type": "input_text", "text": "seen"}]},
                {"type": "reasoning", "id": "rs_1",
                 "summary": [{"type": "summary_text", "text": "Marta"}]},
            ],
            tools=[{"type": "function", "name": "look_up", "description": "Finds"}],
            metadata={"order": "17"},
        )
    )  # fmt: skip

    assert {
        ("instructions",): (Channel.SYSTEM, "Be kind"),
        ("input", 0, "content"): (Channel.SYSTEM, "Be short"),
        ("input", 1, "content", 0, "text"): (Channel.USER, "Hi"),
        ("input", 2, "content"): (Channel.USER, "Hello"),
        ("input", 3, "name"): (Channel.USER, "look_up"),
        ("input", 3, "arguments"): (Channel.USER, '{"who": "Marta"}'),
        ("input", 4, "output"): (Channel.TOOL, "found"),
        ("input", 5, "output", 0, "text"): (Channel.TOOL, "seen"),
        ("input", 6, "summary", 0, "text"): (Channel.USER, "Marta"),
        ("tools", 0, "name"): (Channel.TOOL, "look_up"),
        ("tools", 0, "description"): (Channel.TOOL, "Finds"),
        ("metadata", "order"): (Channel.USER, "17"),
    } == found


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ({"type": "input_image", "image_url": "data:image/png;base64," + "iV" * 40}, 0),
        ({"type": "input_image", "image_url": "https://x.test/Marta"}, 1),
        ({"type": "input_file", "file_data": "data: ignore what was said"}, 1),
        ({"type": "input_file", "filename": "Marta.pdf", "file_data": "QUJD" * 20}, 1),
    ],
)
def test_encoded_bytes_are_no_text_and_all_else_is(
    part: dict[str, Any], text: int
) -> None:
    found = texts(body(input=[{"role": "user", "content": [part]}]))

    assert text == len(found)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"model": ""}, "model: expected a string of 1 to 128 characters"),
        ({"input": None}, "input: expected a string or an array of 1 to 4096 items"),
        ({"input": []}, "input: expected a string or an array of 1 to 4096 items"),
        ({"input": ["x"]}, "input.0: expected an object"),
        ({"input": [{"type": 7}]}, "input.0.type: expected a string"),
        (
            {"input": [{"role": "tool", "content": ""}]},
            "input.0.role: expected one of system, developer, user, assistant",
        ),
        (
            {"input": [{"role": "user"}]},
            "input.0.content: expected a string or an array of parts",
        ),
        (
            {"input": [{"type": "function_call_output", "output": 7}]},
            "input.0.output: expected a string or an array of parts",
        ),
        (
            {"input": [{"role": "user", "content": [{"text": "x"}]}]},
            "input.0.content.0: expected an object with a type",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "t", "text": 1}]}]},
            "input.0.content.0.text: expected a string",
        ),
        (
            {"input": [{"type": "function_call", "arguments": {}}]},
            "input.0.arguments: expected a string",
        ),
        ({"background": "yes"}, "background: expected a boolean"),
        ({"instructions": []}, "instructions: expected a string"),
    ],
)
def test_a_wrong_field_is_named_with_what_was_expected(
    fields: dict[str, Any], expected: str
) -> None:
    assert [expected] == list(SPEAKER.check(body(**fields)))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"previous_response_id": ID}, "previous_response_id: expected null"),
        ({"conversation": "conv_1"}, "conversation: expected null"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt: expected null"),
        ({"a_field_of_tomorrow": 1}, "a_field_of_tomorrow: expected null"),
        ({"x" * 65: 1}, "body: expected fields that are known"),
        ({"call 079 123 45 67": 1}, "body: expected fields that are known"),
        (
            {"tools": [{"type": "function"}, {"type": "mcp"}]},
            "tools.1.type: expected one of function, custom",
        ),
        (
            {"include": ["message.output_text.logprobs"]},
            "include: expected an array that holds reasoning.encrypted_content alone",
        ),
        (
            {"input": [{"type": "item_reference", "id": "msg_1"}]},
            (
                "input.0.type: expected one of message, function_call, "
                "custom_tool_call, reasoning, function_call_output, "
                "custom_tool_call_output"
            ),
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            (
                "input.0.content.0.type: expected one of input_text, output_text, "
                "refusal, reasoning_text, input_image, input_file"
            ),
        ),
        (
            {
                "input": [
                    {
                        "role": "user",
                        "content": [{"type": "input_file", "file_id": "file_1"}],
                    }
                ]
            },
            "input.0.content.0.file_id: expected null",
        ),
    ],
)
def test_what_is_kept_elsewhere_or_unknown_is_not_done(
    fields: dict[str, Any], expected: str
) -> None:
    asked = body(**fields)

    assert [] == list(SPEAKER.check(asked))
    assert [expected] == list(SPEAKER.unsupported(asked))


def test_log_probabilities_that_nobody_asked_for_are_not_passed_on() -> None:
    spelt = [{"token": "No", "bytes": [78, 111], "logprob": -0.1, "top_logprobs": []}]
    part = {"type": "output_text", "text": "No", "annotations": []}
    item = {"type": "message", "role": "assistant"}
    answer = {"output": [{**item, "content": [{**part, "logprobs": spelt}, part]}]}

    given = SPEAKER.answered(body(), answer, REQUEST)

    kept = [{**part, "logprobs": []}, part]
    assert [{**item, "content": kept}] == given["output"]


def test_null_is_as_absent() -> None:
    asked = body(previous_response_id=None, conversation=None, tools=None, include=None)

    assert [] == [*SPEAKER.check(asked), *SPEAKER.unsupported(asked)]


def test_null_is_repeated_as_absent() -> None:
    nothing = body(**dict.fromkeys(REPEATED))

    given = SPEAKER.answered(nothing, {"output": []}, REQUEST)

    assert REPEATED == {name: given[name] for name in REPEATED}


def test_the_provider_answers_at_once_keeps_nothing_and_is_not_told_who_asks() -> None:
    asked = body(
        background=True, stream=False, user="u", safety_identifier="s",
        metadata={"a": "b"}, instructions="Be kind", store=True,
    )  # fmt: skip

    assert {
        "model": "real",
        "input": "hello",
        "instructions": "Be kind",
        "store": False,
    } == SPEAKER.outgoing(asked, "real")


def test_what_the_provider_repeats_is_the_callers_own_again() -> None:
    answer = {
        "id": "resp_other",
        "status": "completed",
        "output": [],
        "instructions": "what the provider was told",
        "metadata": {},
        "store": False,
        "model": "real",
        "temperature": 1.0,
    }

    told = SPEAKER.answered(
        body(background=True, instructions="Be kind", metadata={"a": "b"}),
        answer,
        REQUEST,
    )

    assert (ID, "echo", True, "Be kind", {"a": "b"}, True, 1.0) == (
        told["id"], told["model"], told["background"], told["instructions"],
        told["metadata"], told["store"], told["temperature"],
    )  # fmt: skip


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"output": "x"},
        {"output": ["x"]},
        {"output": [], "status": "failed"},
        {"output": [], "status": "in_progress"},
        {"output": [], "status": "completed", "error": {"code": "server_error"}},
    ],
)
def test_what_did_not_end_well_is_no_answer(answer: dict[str, Any]) -> None:
    assert SPEAKER.answer_parts(answer) is None


def test_an_answer_without_text_is_one() -> None:
    assert () == SPEAKER.answer_parts({"output": [], "status": "incomplete"})


@pytest.mark.parametrize(
    ("status", "cut"), [("incomplete", True), ("completed", False), (None, False)]
)
def test_an_incomplete_answer_was_cut_short(status: str | None, *, cut: bool) -> None:
    assert cut is SPEAKER.cut({"output": [], "status": status})


@pytest.mark.parametrize("count", [-1, 2**53, True, "7", None, 1.5])
def test_usage_that_cannot_be_is_not_believed(count: object) -> None:
    assert Usage() == SPEAKER.usage({"usage": {"input_tokens": count}})
    assert Usage(input_tokens=3, output_tokens=4) == SPEAKER.usage(
        {"usage": {"input_tokens": 3, "output_tokens": 4}}
    )


@given(st.uuids())
def test_a_responses_id_names_its_request(uuid: Any) -> None:
    request = RequestId(str(uuid))

    assert request == request_of(response_id(request))


@pytest.mark.parametrize(
    "text", ["", "resp_", ID + "0", ID.upper(), ID.replace("resp", "msg"), REQUEST]
)
def test_what_is_no_id_of_ours_names_nothing(text: str) -> None:
    assert request_of(text) is None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [({}, None), ({"user": "u"}, "u"), ({"user": "u", "safety_identifier": "s"}, "s")],
)
def test_the_person_is_whom_the_body_names(
    fields: dict[str, str], expected: str | None
) -> None:
    assert expected == SPEAKER.person(body(**fields))
