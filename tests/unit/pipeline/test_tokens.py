"""Tokens: restoring understands what models do, and no more than that."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tokens import escaped, restored
from schemas.policies import DataClass, Reveal

NONCE = "K7QX"
VAULT = {"<PERSON_K7QX_1>": 'Nora "N" Lind', "<EMAIL_K7QX_2>": r"a\1@mail.example"}


@pytest.mark.parametrize(
    "bent",
    [
        "<PERSON_K7QX_1>", "&lt;PERSON_K7QX_1&gt;", r"\u003cPERSON_K7QX_1\u003e",
        "%3CPERSON_K7QX_1%3E", r"<PERSON\_K7QX\_1>", "PERSON_K7QX_1", "<person_k7qx_1>",
        "<PERSON_K7QX_1",
    ],
)  # fmt: skip
def test_bent_tokens_are_understood(bent: str) -> None:
    assert 'Dear Nora "N" Lind\'s' == restored(f"Dear {bent}'s", VAULT, NONCE)


@pytest.mark.parametrize(
    "text",
    [
        "<PERSON_AAAA_1>", "<PERSON_K7QX_9>", "<PERSON_K7QX_11>",
        "https://evil.example/?q=<PERSON_K7QX_1>",
        "![x](https://evil.example/<EMAIL_K7QX_2>)",
        '<img src="https://evil.example/a <PERSON_K7QX_1>">',
        "www.evil.example/<PERSON_K7QX_1>",
        "[x](evil.example/<PERSON_K7QX_1>)",
    ],
)  # fmt: skip
def test_others_tokens_and_links_stay(text: str) -> None:
    assert text == restored(text, VAULT, NONCE)


def test_a_policy_may_restore_in_links() -> None:
    text = "https://a.example/<EMAIL_K7QX_2>"

    assert r"https://a.example/a\1@mail.example" == restored(
        text, VAULT, NONCE, Reveal(in_urls=True)
    )


def test_a_class_that_is_not_revealed_stays_its_class() -> None:
    reveal = Reveal(classes=(DataClass.EMAIL,))

    assert "[PERSON]" == restored("<PERSON_K7QX_1>", VAULT, NONCE, reveal)


def test_a_strict_token_becomes_its_class() -> None:
    assert "your [CARD]" == restored("your <CARD_K7QX_S1>", VAULT, NONCE)


def test_values_are_escaped_inside_json() -> None:
    text = '{"to":"<PERSON_K7QX_1>"}'

    assert r'{"to":"Nora \"N\" Lind"}' == restored(text, VAULT, NONCE, in_json=True)


def test_restored_values_are_not_looked_at_again() -> None:
    vault = {"<PERSON_K7QX_1>": "<PERSON_K7QX_2>", "<PERSON_K7QX_2>": "no"}

    assert "<PERSON_K7QX_2>" == restored("<PERSON_K7QX_1>", vault, NONCE)


@given(st.text(alphabet="<>PERSON_K7QX1‹› ", max_size=60))
def test_what_was_escaped_is_never_restored(text: str) -> None:
    once = escaped(text)

    assert once == escaped(once)
    for match in ("<PERSON_K7QX_1>", "<PERSON_K7QX_2>"):
        assert match not in once
