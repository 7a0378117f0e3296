"""Streams: every chunking gives what one chunk gives."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.detection.engine import GuardFailed, build
from pipeline.detection.rules import Rule
from pipeline.policies import default_policy
from pipeline.redaction import Redacted, redact
from pipeline.streams import StreamRedactor, StreamRestorer
from pipeline.text import Channel, TextPart
from pipeline.tokens import Session, restored
from schemas.policies import DataClass

RECIPE = build()
NONCE = "K7QX"
VAULT = {"<PERSON_K7QX_1>": "Nora Lind", "<EMAIL_K7QX_1>": "nora@mail.example"}
WORDS = st.sampled_from(
    [
        "card 4111 1111 1111 1111", "ssn 219-09-9999", "a plain sentence of words",
        "-----BEGIN RSA PRIVATE KEY----- MIIEow AAAA", "DE89 3704 0044 0532 0130 00",
        "password: hunter22x", "\n", "<PERSON_K7QX_1>", "x" * 300, "日本語の文章です",
    ]
)  # fmt: skip
TEXTS = st.lists(WORDS, max_size=14).map(" ".join)
LINKS = st.lists(
    st.sampled_from(
        [
            "<PERSON_K7QX_1>", "&lt;EMAIL_K7QX_1&gt;", r"<PERSON\_K7QX\_1>", " ", "\n",
            "https://a.example/", "![i](", ")", "hello", "PERSON_K7QX_1", "1",
            "<CARD_K7QX_S1>", "<", "&lt", "%3C",
        ]
    ),
    max_size=14,
).map("".join)  # fmt: skip
SIZES = st.lists(st.integers(1, 90), min_size=1, max_size=8)


def chunked(text: str, sizes: list[int]) -> list[str]:
    chunks: list[str] = []
    at = 0
    while at < len(text):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(text[at : at + size])
        at += size
    return chunks


def redacted(chunks: list[str]) -> str:
    stream = StreamRedactor(
        policy=default_policy(), recipe=RECIPE, session=Session(NONCE)
    )
    return "".join([*map(stream.feed, chunks), stream.end()])


def restored_stream(chunks: list[str]) -> str:
    stream = StreamRestorer(vault=VAULT, nonce=NONCE)
    return "".join([*map(stream.feed, chunks), stream.end()])


@settings(max_examples=80)
@given(TEXTS, SIZES)
def test_redacting_does_not_depend_on_chunks(text: str, sizes: list[int]) -> None:
    assert redacted([text]) == redacted(chunked(text, sizes))


@settings(max_examples=80)
@given(TEXTS, SIZES)
def test_no_card_leaves_in_pieces(text: str, sizes: list[int]) -> None:
    assert "1111 1111" not in redacted(chunked(text, sizes))


@settings(max_examples=300)
@given(LINKS, SIZES)
def test_restoring_does_not_depend_on_chunks(text: str, sizes: list[int]) -> None:
    assert restored(text, VAULT, NONCE) == restored_stream(chunked(text, sizes))


@settings(max_examples=80)
@given(TEXTS, SIZES)
def test_a_stream_is_redacted_as_the_whole_is(text: str, sizes: list[int]) -> None:
    assert whole(text) == redacted(chunked(text, sizes))


def whole(text: str) -> str:
    parts = [TextPart(("text",), Channel.COMPLETION, text)]
    done = redact(parts, default_policy(), RECIPE, NONCE)
    assert isinstance(done, Redacted)
    return done.parts[0].text


KEY = "MIIEowIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MaVQ\n" * 300
BEGIN, END = "-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize("size", [7, 500, 100_000])
def test_a_key_longer_than_a_window_is_dropped_to_its_end(size: int) -> None:
    text = f"see\n{BEGIN}\n{KEY}{END}\nbye, card 4111 1111 1111 1111"

    assert whole(text) == redacted(chunked(text, [size]))


@pytest.mark.parametrize("size", [7, 500, 100_000])
def test_a_key_without_an_end_is_dropped_to_the_end(size: int) -> None:
    text = f"see\n{BEGIN}\n{KEY}"

    assert whole(text) == redacted(chunked(text, [size]))


def test_a_guard_that_fails_closed_ends_the_stream() -> None:
    rule = Rule(id="b", data_class=DataClass.CARD, pattern="zq", base=1.0, check=broken)
    stream = StreamRedactor(
        policy=default_policy(),
        recipe=replace(RECIPE, rules=(*RECIPE.rules, rule)),
        session=Session(NONCE),
    )
    stream.feed("zq")

    with pytest.raises(GuardFailed):
        stream.end()


def broken(_: str) -> bool:
    raise RuntimeError("a check went wrong")


def test_plain_words_are_not_held_longer_than_a_window() -> None:
    stream = StreamRedactor(
        policy=default_policy(), recipe=RECIPE, session=Session(NONCE)
    )

    assert stream.feed("a plain sentence of words " * 20)
