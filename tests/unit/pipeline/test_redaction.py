"""Redaction: what leaves, what is kept for restoring, and what never changes."""

import json
from base64 import b64encode
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.detection.engine import (
    MAX_FINDINGS,
    MAX_PART_BYTES,
    Finding,
    Recipe,
    build,
)
from pipeline.detection.rules import Rule
from pipeline.operators import replaced
from pipeline.policies import default_policy
from pipeline.ports.recognisers import Mention, Seen, Unseen
from pipeline.reasons import Reason
from pipeline.redaction import Redacted, RedactionUnavailable, _beside, redact
from pipeline.text import Channel, TextPart
from schemas.policies import (
    Cell,
    DataClass,
    External,
    Failing,
    Guard,
    GuardRule,
    Mode,
    PolicyDocument,
)
from tests.support.spent import spent

RECIPE = build()
NONCE = "K7QX"
CARD = "4111 1111 1111 1111"
WITH_ALL = (
    "My name is Nora Lind, card 4111 1111 1111 1111, "
    "mail nora@mail.example, phone +49 30 9012345."
)


def part(text: str, channel: Channel = Channel.USER) -> TextPart:
    return TextPart(("messages", 0), channel, text)


def redacted(
    *parts: TextPart,
    policy: PolicyDocument | None = None,
    issued: frozenset[str] = frozenset(),
) -> Redacted:
    done = redact(parts, policy or default_policy(), RECIPE, NONCE, issued)
    assert isinstance(done, Redacted)
    return done


def test_what_must_not_leave_is_replaced_by_tokens() -> None:
    done = redacted(part(WITH_ALL))

    assert (
        "My name is <PERSON_K7QX_1>, card <CARD_K7QX_S1>, "
        "mail <EMAIL_K7QX_1>, phone <PHONE_K7QX_1>."
    ) == done.parts[0].text
    assert {"<PERSON_K7QX_1>", "<EMAIL_K7QX_1>", "<PHONE_K7QX_1>"} == set(done.vault)


def test_a_decision_names_the_guard_the_action_and_the_rule_once_each() -> None:
    text = "mail a@mail.example, mail b@mail.example, password: Tr0ub-4dor"
    done = redacted(part(f"{WITH_ALL} {text}"), part("see https://a.example/x"))

    told = [(each.control, each.verdict) for each in done.decisions]
    assert {
        ("names", "reversible"),
        ("pii", "flag"),
        ("pii", "reversible"),
        ("pii", "strict"),
        ("secrets", "strict"),
    } == set(told)
    assert {"redaction"} == {each.stage for each in done.decisions}
    assert {each.finding.rule for each in done.findings} == {
        each.rule for each in done.decisions
    }
    assert len(
        {(each.control, each.verdict, each.rule) for each in done.decisions}
    ) == (len(done.decisions))


def test_equal_values_have_equal_tokens_whatever_their_separators() -> None:
    done = redacted(part("call +49 30 9012345 or +49-30-9012345"))

    assert "call <PHONE_K7QX_1> or <PHONE_K7QX_1>" == done.parts[0].text


@pytest.mark.parametrize(
    ("text", "one", "other"),
    [
        ("mail {} or {}", "nora-lind@mail.example", "noralind@mail.example"),
        ("mail {} or {}", "nora@mail-er.example", "nora@mailer.example"),
        ("mail {} or {}", "nora@straße.example", "nora@strasse.example"),
        ("She was born {}, he was born {}", "1/11/1990", "11/1/1990"),
        ("ip address {} and ip address {}", "2001:db8::1:23", "2001:db8::12:3"),
        ("number plate: B-AB 123, number plate: BA-B 123", "B-AB 123", "BA-B 123"),
    ],
)
def test_values_that_separators_tell_apart_have_two_tokens(
    text: str, one: str, other: str
) -> None:
    """One of them would be told as the other where it is turned back."""
    done = redacted(part(text.format(one, other)))

    assert {one, other} == set(done.vault.values())


def test_values_that_only_case_tells_apart_have_one_token() -> None:
    done = redacted(part("mail nora@mail.example or Nora@Mail.Example"))

    assert "mail <EMAIL_K7QX_1> or <EMAIL_K7QX_1>" == done.parts[0].text


def test_a_secret_in_another_case_is_another_one() -> None:
    cell = Cell(data_class=DataClass.SECRET, channel="user", mode=Mode.REVERSIBLE)
    text = "password: Tr0ub-4dor, password: tr0ub4dor"

    done = redacted(part(text), policy=PolicyDocument(cells=(cell,)))

    assert {"Tr0ub-4dor", "tr0ub4dor"} == set(done.vault.values())


def test_json_stays_json_where_a_number_is_replaced() -> None:
    text = '{"card": 4111111111111111, "said": "no: 4111111111111111, yes", "n": 1.5}'

    done = redacted(part(text))

    assert {
        "card": "<CARD_K7QX_S1>",
        "said": "no: <CARD_K7QX_S1>, yes",
        "n": 1.5,
    } == json.loads(done.parts[0].text)


@pytest.mark.parametrize(
    "text",
    [
        '{"card": -4111111111111111}',
        '{"name": "Nora Lind", "phone": 52.520008, "n": [1]}',
        '{"of": {"password": 49309012345}}',
        '{"address": 4111111111111111.0,\n "n": 1}',
        '\n  {"card": 4111111111111111}\n',
    ],
)
def test_nor_does_a_sign_a_fraction_or_what_stands_behind_break_it(text: str) -> None:
    done = redacted(part(text))

    assert text != done.parts[0].text
    assert shape(json.loads(text)) == shape(json.loads(done.parts[0].text))


@pytest.mark.parametrize("told", ["null", "true", "{}", "[]", "[[{}]]"])
def test_what_json_says_of_no_password_stays(told: str) -> None:
    """With those behind them its brackets were a password; the rest was no JSON."""
    text = f'{{"input":{{"of":[{{"password":{told}}}]}}}}'

    assert text == redacted(part(text)).parts[0].text


def test_of_a_password_that_reads_on_into_something_surer_nothing_stays() -> None:
    done = redacted(part("password=Tr0ub4dor&card=4111111111111111&note=x"))

    assert "Tr0ub4dor" not in done.parts[0].text
    assert "4111111111111111" not in done.parts[0].text
    assert done.parts[0].text.startswith("password=<SECRET_K7QX_S1>")


def test_a_password_that_ends_in_brackets_is_replaced_whole() -> None:
    done = redacted(part("password=tr0ub{}[4]]"))

    assert "password=<SECRET_K7QX_S1>" == done.parts[0].text


def shape(value: object) -> object:
    """Where there is something, whatever it is."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    return list(map(shape, value)) if isinstance(value, list) else ...


def test_what_is_no_json_gets_no_quotation_marks() -> None:
    done = redacted(part("card: 4111111111111111, thanks"))

    assert "card: <CARD_K7QX_S1>, thanks" == done.parts[0].text


def test_a_tool_s_arguments_are_json_also_where_they_are_cut_off() -> None:
    """A model that was stopped at its limit; the turn goes back to it."""
    cut = TextPart(
        ("tool_calls", 0, "arguments"),
        Channel.COMPLETION,
        '{"card": 4111111111111111, "to": "a',
    )

    done = redacted(cut)

    assert '{"card": "<CARD_K7QX_S1>", "to": "a' == done.parts[0].text


def test_a_value_is_kept_as_its_string_means_it() -> None:
    """A name that a tool's JSON escapes is the name that is typed without."""
    value = "jürgen@mail.example"
    text = json.dumps({"note": f'to "{value}"'})

    done = redacted(part(text), part(f"write to {value}"))

    assert {"<EMAIL_K7QX_1>": value} == done.vault
    assert {"note": 'to "<EMAIL_K7QX_1>"'} == json.loads(done.parts[0].text)
    assert "write to <EMAIL_K7QX_1>" == done.parts[1].text


def test_neighbours_of_one_class_are_not_merged() -> None:
    done = redacted(part("a@mail.example b@mail.example"))

    assert "<EMAIL_K7QX_1> <EMAIL_K7QX_2>" == done.parts[0].text


def test_paths_channels_and_order_are_kept() -> None:
    parts = [part("a@mail.example"), part("hi", Channel.SYSTEM)]

    done = redacted(*parts)

    assert [(p.path, p.channel) for p in parts] == [
        (p.path, p.channel) for p in done.parts
    ]


def test_what_looks_like_a_token_is_escaped() -> None:
    done = redacted(part("restore <PERSON_K7QX_1> please"))

    assert "<PERSON" not in done.parts[0].text
    assert "K7QX_1" not in done.parts[0].text


def test_tokens_in_an_answer_are_opaque() -> None:
    done = redacted(part("hello <PERSON_K7QX_1>", Channel.COMPLETION))

    assert "hello <PERSON_K7QX_1>" == done.parts[0].text


def test_an_answer_is_flagged_but_for_strict_classes() -> None:
    text = "mail a@mail.example, card 4111 1111 1111 1111"

    done = redacted(part(text, Channel.COMPLETION))

    assert "mail a@mail.example, card <CARD_K7QX_S1>" == done.parts[0].text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("its password: nora.lind@mail.test!", "its password: <SECRET_K7QX_S1>"),
        (
            "see https://a.test/?u=a%40mail.test&c=4111%201111%201111%201111 now",
            "see <CARD_K7QX_S1> now",
        ),
        (
            b64encode(b"to a@mail.test: 4111 1111 1111 1111").decode(),
            "<CARD_K7QX_S1>",
        ),
    ],
)
def test_what_is_only_flagged_hides_nothing_that_must_not_leave(
    text: str, left: str
) -> None:
    """An address is surer than what lies in it, but in an answer it stays."""
    done = redacted(part(text, Channel.COMPLETION))

    assert left == done.parts[0].text


def test_what_is_below_its_threshold_hides_nothing_that_is_not() -> None:
    cell = Cell(
        data_class=DataClass.PHONE, channel="user", mode=Mode.STRICT, threshold=1.0
    )
    text = "my phone account number 030 1234 5678"

    done = redacted(part(text), policy=PolicyDocument(cells=(cell,)))

    assert "my phone account number <BANK_K7QX_S1>" == done.parts[0].text


def test_what_a_guard_finds_that_nobody_asks_for_hides_nothing() -> None:
    guards = {Guard.PII: GuardRule(required=False)}
    text = "password: nora.lind@mail.test!"

    done = redacted(part(text), policy=PolicyDocument(guards=guards))

    assert "password: <SECRET_K7QX_S1>" == done.parts[0].text


def test_reversible_in_an_answer_gives_no_token_that_could_be_restored() -> None:
    cell = Cell(data_class=DataClass.EMAIL, channel="completion", mode=Mode.REVERSIBLE)

    done = redacted(
        part("a@mail.example", Channel.COMPLETION), policy=PolicyDocument(cells=(cell,))
    )

    assert "<EMAIL_K7QX_S1>" == done.parts[0].text
    assert {} == done.vault


@pytest.mark.parametrize(
    ("mode", "text", "kept"),
    [
        (Mode.STRICT, "<EMAIL_K7QX_S1>", 0),
        (Mode.REVERSIBLE, "<EMAIL_K7QX_1>", 1),
        (Mode.FLAG, "a@mail.example", 0),
    ],
)
def test_a_cell_chooses_the_mode(mode: Mode, text: str, kept: int) -> None:
    cell = Cell(data_class=DataClass.EMAIL, channel="user", mode=mode)

    done = redacted(part("a@mail.example"), policy=PolicyDocument(cells=(cell,)))

    assert text == done.parts[0].text
    assert kept == len(done.vault)


def test_below_its_threshold_a_finding_is_recorded_and_not_acted_on() -> None:
    cell = Cell(
        data_class=DataClass.EMAIL, channel="user", mode=Mode.STRICT, threshold=1.0
    )

    done = redacted(part("a@mail.example"), policy=PolicyDocument(cells=(cell,)))

    assert "a@mail.example" == done.parts[0].text
    assert ["near"] == [each.action for each in done.findings]


def test_a_link_that_must_go_takes_what_is_in_it_along() -> None:
    cell = Cell(data_class=DataClass.URL, channel="user", mode=Mode.STRICT)
    text = "see https://a.example/?mail=nora@mail.example&x=1 now"

    done = redacted(part(text), policy=PolicyDocument(cells=(cell,)))

    assert "see <URL_K7QX_S1> now" == done.parts[0].text


def test_no_value_is_in_decisions_findings_or_repr() -> None:
    done = redacted(part(WITH_ALL))

    told = repr(done) + repr(done.findings) + repr(done.decisions)
    for value in ("Nora", "4111", "nora@mail", "9012345"):
        assert value not in told


def test_a_text_too_long_fails_closed() -> None:
    parts = [part("a" * (MAX_PART_BYTES + 1))]

    failed = redact(parts, default_policy(), RECIPE, NONCE)

    assert isinstance(failed, RedactionUnavailable)
    assert {"failed_closed"} == {each.verdict for each in failed.decisions}


@pytest.mark.parametrize("mode", [Mode.STRICT, Mode.REVERSIBLE])
def test_beyond_the_caps_what_is_unchecked_goes_whatever_its_threshold(
    mode: Mode,
) -> None:
    cell = Cell(data_class=DataClass.EMAIL, channel="user", mode=mode, threshold=0.9)

    done = redacted(part("a@b.example " * 5_000), policy=PolicyDocument(cells=(cell,)))

    assert "a@b" not in done.parts[0].text


def test_beyond_the_cap_of_a_request_the_rest_goes_together() -> None:
    parts = [part("a@b.example or c@d.example, " * 3_000)] * 3

    done = redacted(*parts)

    assert not any("@" in each.text for each in done.parts)
    assert MAX_FINDINGS + 10 >= len(done.findings)


def broken(_: str) -> bool:
    raise RuntimeError("a check went wrong")


def failing(data_class: DataClass) -> Recipe:
    rule = Rule(
        id="broken", data_class=data_class, pattern="zq[0-9]+", base=1.0, check=broken
    )
    return replace(RECIPE, rules=(*RECIPE.rules, rule))


def test_a_guard_that_fails_closed_ends_the_request() -> None:
    failed = redact([part("zq12")], default_policy(), failing(DataClass.HEALTH), NONCE)

    assert isinstance(failed, RedactionUnavailable)
    assert ["health"] == [each.control for each in failed.decisions]


def test_a_guard_that_fails_open_takes_no_other_along() -> None:
    guards = {Guard.HEALTH: GuardRule(on_failure=Failing.OPEN)}
    parts = [part("zq12, mail a@mail.example")]

    done = redact(
        parts, PolicyDocument(guards=guards), failing(DataClass.HEALTH), NONCE
    )

    assert isinstance(done, Redacted)
    assert ("pii", "secrets") == done.guards_ran
    assert "<HEALTH_K7QX_1>, mail <EMAIL_K7QX_1>" == done.parts[0].text


def test_what_is_too_long_once_it_is_escaped_is_so_at_each_repeat() -> None:
    like = "<EMAIL_AAAA_1>"
    parts = [part(like * (MAX_PART_BYTES // len(like)))]

    done = redact(parts, PolicyDocument(), RECIPE, NONCE)

    assert isinstance(done, RedactionUnavailable)
    assert Reason.TOO_LARGE == done.reason


def test_it_fails_open_only_where_every_guard_may() -> None:
    rule = GuardRule(on_failure=Failing.OPEN)
    guards = dict.fromkeys((Guard.PII, Guard.SECRETS, Guard.NAMES, Guard.HEALTH), rule)
    policy = PolicyDocument(guards=guards, open_strict=True)

    done = redact([part("a" * (MAX_PART_BYTES + 1))], policy, RECIPE, NONCE)

    assert isinstance(done, Redacted)
    assert () == done.guards_ran


PIECES = st.sampled_from(
    [
        WITH_ALL,
        "ssn 219-09-9999",
        "<PERSON_K7QX_1>",
        "password: hunter22x",
        "https://u:p4ss@a.example/",
        "nora%40mail.example%20",
        "Dr. Okafor",
        " and ",
        "\n",
    ]
)


@settings(max_examples=80)
@given(st.lists(PIECES | st.text(max_size=20), max_size=8))
def test_redacting_what_is_redacted_changes_nothing(pieces: list[str]) -> None:
    once = redacted(part(" ".join(pieces)))

    twice = redacted(*once.parts, issued=once.tokens)

    assert once.parts == twice.parts
    assert [] == [each for each in twice.findings if each.token]


WHO = External()
SAID = Seen("x", "1.0", ((Mention(DataClass.PERSON, "per", 3, 12, 0.9),),))


def heard(
    outside: list[Seen | Unseen], rule: External = WHO, text: str = "Is nora lind in?"
) -> Redacted | RedactionUnavailable:
    policy = PolicyDocument(recognisers={"x": rule})
    return redact([part(text)], policy, RECIPE, NONCE, outside=outside)


def test_what_a_recogniser_from_outside_says_is_acted_on_and_told() -> None:
    done = heard([SAID])

    assert isinstance(done, Redacted)
    assert "Is <PERSON_K7QX_1> in?" == done.parts[0].text
    assert "ner.x@1.0" == done.guards_ran[-1]
    assert ("ner.x", "reversible", "ner.x") == (
        done.decisions[0].control, done.decisions[0].verdict, done.decisions[0].rule,
    )  # fmt: skip


def test_a_policy_says_which_of_its_classes_count() -> None:
    done = heard([SAID], External(classes=(DataClass.PHONE,)))

    assert isinstance(done, Redacted)
    assert "Is nora lind in?" == done.parts[0].text


def test_below_the_threshold_of_its_cell_it_is_near() -> None:
    weak = Seen("x", "1.0", ((Mention(DataClass.PERSON, "per", 3, 12, 0.3),),))
    done = heard([weak])

    assert isinstance(done, Redacted)
    assert ["near"] == [each.action for each in done.findings]


@pytest.mark.parametrize(
    ("threshold", "action"), [(None, "reversible"), (0.8, "reversible"), (0.81, "near")]
)
def test_a_mention_is_judged_by_the_threshold_of_its_cell(
    threshold: float | None, action: str
) -> None:
    cell = Cell(
        data_class=DataClass.PERSON,
        channel="user",
        mode=Mode.REVERSIBLE,
        threshold=threshold,
    )
    policy = PolicyDocument(recognisers={"x": WHO}, cells=(cell,))
    said = Seen("x", "1.0", ((Mention(DataClass.PERSON, "per", 3, 12, 0.8),),))
    parts = [part("Is nora lind in?")]

    done = redact(parts, policy, RECIPE, NONCE, outside=[said])

    assert isinstance(done, Redacted)
    assert [action] == [each.action for each in done.findings]


def test_what_a_guard_finds_that_nobody_asks_for_stays_and_is_not_told() -> None:
    guards = {Guard.PII: GuardRule(required=False)}
    text = "mail a@mail.example, password: Tr0ub-4dor"

    done = redacted(part(text), policy=PolicyDocument(guards=guards))

    assert "mail a@mail.example, password: <SECRET_K7QX_S1>" == done.parts[0].text
    assert [DataClass.SECRET] == [each.finding.data_class for each in done.findings]
    assert "pii" not in done.guards_ran


def test_what_both_see_is_replaced_once_by_the_stricter() -> None:
    text = f"Pay {CARD} now"
    phone = Mention(DataClass.PHONE, "phone", 4, len(text), 0.99)
    done = heard([Seen("x", "1.0", ((phone,),))], text=text)

    assert isinstance(done, Redacted)
    assert "Pay <CARD_K7QX_S1>" == done.parts[0].text


@pytest.mark.parametrize("outside", [[], [Unseen("x")]])
def test_one_that_did_not_look_fails_as_its_rule_says(
    outside: list[Seen | Unseen],
) -> None:
    closed = heard(outside)
    opened = heard(outside, External(on_failure=Failing.OPEN))

    assert isinstance(closed, RedactionUnavailable)
    assert isinstance(opened, Redacted)
    assert ("ner.x", "failed_open") == (
        opened.decisions[0].control, opened.decisions[0].verdict,
    )  # fmt: skip
    assert not any(each.startswith("ner.") for each in opened.guards_ran)


@pytest.mark.parametrize("before", ["", "Dr "])
def test_a_mention_that_begins_with_a_token_is_acted_on_too(before: str) -> None:
    """It was dropped, and all that stood behind the token left in clear."""
    text = f"{before}<PERSON_K7QX_1> von Trapp"
    mention = Mention(DataClass.PERSON, "per", 0, len(text), 0.99)
    cell = Cell(data_class=DataClass.PERSON, channel="completion", mode=Mode.STRICT)
    policy = PolicyDocument(recognisers={"x": WHO}, cells=(cell,))

    done = redact(
        [part(text, Channel.COMPLETION)],
        policy,
        RECIPE,
        NONCE,
        outside=[Seen("x", "1", ((mention,),))],
    )

    assert isinstance(done, Redacted)
    assert "<PERSON_K7QX_S1>" == done.parts[0].text


TOKENS = [(10, 20), (30, 40)]


@pytest.mark.parametrize(
    ("span", "checked", "unchecked"),
    [
        ((0, 10), (0, 10), (0, 10)),
        ((20, 30), (20, 30), (20, 30)),
        ((5, 25), (5, 25), (5, 25)),
        ((5, 45), (5, 45), (5, 45)),
        ((10, 25), (10, 25), (10, 25)),
        ((5, 20), (5, 20), (5, 20)),
        ((10, 40), (10, 40), (10, 40)),
        ((10, 20), None, None),
        ((10, 15), None, None),
        ((15, 20), None, None),
        ((10, 35), None, (10, 30)),
        ((12, 18), None, None),
        ((5, 15), None, (5, 10)),
        ((15, 25), None, (20, 25)),
        ((15, 35), None, (20, 30)),
        ((5, 35), None, (5, 30)),
        ((15, 45), None, (20, 45)),
    ],
)
def test_a_finding_may_hold_whole_tokens_and_cuts_none(
    span: tuple[int, int],
    checked: tuple[int, int] | None,
    unchecked: tuple[int, int] | None,
) -> None:
    """Of what nobody checked, all that is no token's goes still."""
    found = Finding(DataClass.SECRET, "x", "secret.x", *span, 0.9)
    told = [_beside(found._replace(checked=each), TOKENS) for each in (True, False)]

    assert [checked, unchecked] == [
        None if each is None else (each.start, each.end) for each in told
    ]


def test_a_token_in_an_answer_is_no_mention() -> None:
    text = "hello <PERSON_K7QX_1>"
    said = Seen("x", "1", ((Mention(DataClass.CARD, "c", 6, len(text), 0.99),),))
    answer = [part(text, Channel.COMPLETION)]
    policy = PolicyDocument(recognisers={"x": WHO})

    done = redact(answer, policy, RECIPE, NONCE, outside=[said])

    assert isinstance(done, Redacted)
    assert text == done.parts[0].text


@pytest.mark.serial
def test_what_is_replaced_costs_as_much_as_it_is_long() -> None:
    """Four times as many values in a text four times as long: not sixteen times."""

    def cost(values: int) -> float:
        piece = f"a{' ' * 99}"
        found = [
            (Finding(DataClass.EMAIL, "", "email", at, at + 1, 1.0, "plain"), "<E>")
            for at in range(0, values * len(piece), len(piece))
        ]
        text = piece * values
        assert replaced(text, found) == text.replace("a", "<E>")
        return spent(lambda: replaced(text, found))

    assert cost(MAX_FINDINGS) < 9 * min(cost(MAX_FINDINGS // 4) for _ in range(3))
