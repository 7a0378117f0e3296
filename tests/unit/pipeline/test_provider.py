"""What of a provider's answer reaches the caller."""

import json
from typing import Any

import pytest

from pipeline.detection.engine import build
from pipeline.dialects import Opened
from pipeline.provider import Released, Restoring, release
from schemas.ids import RequestId
from schemas.policies import DataClass, PolicyDocument, Reveal
from schemas.requests import Dialect

RECIPE = build()
NAME = 'Nora "N" Lind'
TOKEN = "<PERSON_K7QX_1>"
RESTORING = Restoring(vault={TOKEN: NAME}, nonce="K7QX")
REQUEST = RequestId("00000000-0000-7000-8000-000000000001")
ASKED = Opened({"model": "echo", "messages": []}, ())


def chat(**message: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"role": "assistant", **message}}]}


def called(arguments: str) -> dict[str, Any]:
    function = {"name": "send", "arguments": arguments}
    return chat(tool_calls=[{"id": "c", "type": "function", "function": function}])


def released(answer: dict[str, Any], reveal: Reveal | None = None) -> Any:
    """The message that the caller gets."""
    done = release(
        ASKED,
        answer=answer,
        dialect=Dialect.OPENAI_CHAT,
        policy=PolicyDocument(reveal=reveal or Reveal()),
        recipe=RECIPE,
        restoring=RESTORING,
        request=REQUEST,
    )
    assert isinstance(done, Released)
    return json.loads(done.body)["choices"][0]["message"]


def arguments(message: Any) -> str:
    return str(message["tool_calls"][0]["function"]["arguments"])


def test_a_policy_says_whose_values_come_back() -> None:
    answer = chat(content=f"Dear {TOKEN}")

    assert f"Dear {NAME}" == released(answer)["content"]
    assert "Dear [PERSON]" == released(answer, Reveal(classes=()))["content"]


def test_in_the_arguments_of_a_tool_values_are_escaped() -> None:
    done = arguments(released(called(f'{{"to":"{TOKEN}"}}')))

    assert {"to": NAME} == json.loads(done)


def test_arguments_that_are_cut_off_are_escaped_too() -> None:
    done = arguments(released(called(f'{{"to":"{TOKEN}')))

    assert {"to": NAME} == json.loads(done + '"}')


def test_an_answer_that_is_json_stays_json() -> None:
    done = released(chat(content=f' {{"to":"{TOKEN}"}}'))["content"]

    assert {"to": NAME} == json.loads(done)


@pytest.mark.parametrize(
    ("reveal", "shown"),
    [
        (Reveal(in_tool_calls=()), "[PERSON]"),
        (Reveal(classes=(), in_tool_calls=(DataClass.PERSON,)), NAME),
        (Reveal(classes=()), "[PERSON]"),
    ],
)
def test_tools_have_a_scope_of_their_own(reveal: Reveal, shown: str) -> None:
    done = arguments(released(called(f'{{"to":"{TOKEN}"}}'), reveal))

    assert {"to": shown} == json.loads(done)


def test_a_tool_is_given_no_value_inside_a_link() -> None:
    answer = called(f'{{"url":"https://evil.example/?q=to {TOKEN}"}}')

    assert NAME not in json.loads(arguments(released(answer)))["url"]
    assert NAME in json.loads(arguments(released(answer, Reveal(in_urls=True))))["url"]
