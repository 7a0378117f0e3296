"""Streams: every chunking gives what one chunk gives."""

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.detection.engine import build
from pipeline.policies import default_policy
from pipeline.streams import StreamRedactor, StreamRestorer
from pipeline.tokens import Session, restored

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


@settings(max_examples=80, deadline=None)
@given(TEXTS, SIZES)
def test_redacting_does_not_depend_on_chunks(text: str, sizes: list[int]) -> None:
    assert redacted([text]) == redacted(chunked(text, sizes))


@settings(max_examples=80, deadline=None)
@given(TEXTS, SIZES)
def test_no_card_leaves_in_pieces(text: str, sizes: list[int]) -> None:
    assert "1111 1111" not in redacted(chunked(text, sizes))


@settings(max_examples=300, deadline=None)
@given(LINKS, SIZES)
def test_restoring_does_not_depend_on_chunks(text: str, sizes: list[int]) -> None:
    assert restored(text, VAULT, NONCE) == restored_stream(chunked(text, sizes))


def test_plain_words_are_not_held_longer_than_a_window() -> None:
    stream = StreamRedactor(
        policy=default_policy(), recipe=RECIPE, session=Session(NONCE)
    )

    assert stream.feed("a plain sentence of words " * 20)
