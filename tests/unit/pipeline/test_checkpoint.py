"""Signing and opening checkpoints of our own."""

from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from pipeline.checkpoint import (
    MAX_SIGNATURES,
    Checkpoint,
    VerifyKey,
    open_checkpoint,
    open_note,
    parse_checkpoint,
    parse_key,
    sign,
)
from pipeline.errors import InvalidMessage

ORIGIN = "ledger.example.com/t_01"
ROOT = bytes.fromhex("65a0d2f4d360d47f55c48a2ed7b5fa9503e18ddd035d3c1d8be403d5f9474c15")
CHECKPOINT = Checkpoint(ORIGIN, 1, ROOT)
OLD = Ed25519PrivateKey.from_private_bytes(bytes(32))
NEW = Ed25519PrivateKey.from_private_bytes(bytes([1] * 32))


def key_of(private: Ed25519PrivateKey, name: str = ORIGIN) -> VerifyKey:
    return VerifyKey(name, private.public_key().public_bytes_raw())


def note_by(*privates: Ed25519PrivateKey, of: Checkpoint = CHECKPOINT) -> str:
    return sign(of.text, [(key_of(each), each.sign) for each in privates])


def test_the_text_is_three_lines() -> None:
    root = "ZaDS9NNg1H9VxIou17X6lQPhjd0DXTwdi+QD1flHTBU="

    assert f"{ORIGIN}\n1\n{root}\n" == CHECKPOINT.text


@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_what_was_signed_opens(size: int, root: bytes) -> None:
    signed = Checkpoint(ORIGIN, size, root)

    assert signed == open_checkpoint(note_by(OLD, of=signed), [key_of(OLD)])
    assert signed == parse_checkpoint(signed.text)


def test_both_keys_of_a_rotation_open_one_note() -> None:
    note = note_by(OLD, NEW)

    for key in (key_of(OLD), key_of(NEW)):
        assert (key,) == open_note(note, [key]).signed_by
    assert key_of(OLD).id != key_of(NEW).id


@given(st.data())
def test_no_character_can_be_changed(data: st.DataObject) -> None:
    note = note_by(OLD)
    at = data.draw(st.integers(0, len(note) - 1))
    other = data.draw(st.characters().filter(lambda each: each != note[at]))

    with pytest.raises(InvalidMessage):
        open_checkpoint(note[:at] + other + note[at + 1 :], [key_of(OLD)])


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(InvalidMessage):
        open_checkpoint("\ud800" + note_by(OLD)[1:], [key_of(OLD)])


def test_a_known_key_that_fails_refuses_the_note_whoever_else_signed() -> None:
    wrong = (key_of(OLD), lambda _: bytes(64))
    note = sign(CHECKPOINT.text, [(key_of(NEW), NEW.sign), wrong])

    assert CHECKPOINT == open_checkpoint(note, [key_of(NEW)])
    with pytest.raises(InvalidMessage):
        open_checkpoint(note, [key_of(NEW), key_of(OLD)])


def test_lines_of_other_kinds_and_keys_are_passed_over() -> None:
    other = b64encode(b"\1\2\3\4" + bytes(3000)).decode()
    note = note_by(OLD) + f"\u2014 witness.example/w {other}\n"

    assert CHECKPOINT == open_checkpoint(note, [key_of(OLD)])


def test_another_name_cannot_sign_for_the_log() -> None:
    witness = key_of(NEW, "witness.example/w")
    note = sign(CHECKPOINT.text, [(witness, NEW.sign)])

    with pytest.raises(InvalidMessage):
        open_checkpoint(note, [witness])


def test_a_note_that_nobody_known_signed_is_refused() -> None:
    with pytest.raises(InvalidMessage):
        open_note(note_by(NEW), [key_of(OLD)])


def test_a_signature_has_more_than_a_key_s_id() -> None:
    empty = b64encode(key_of(OLD).id).decode()

    with pytest.raises(InvalidMessage, match="a key id and a signature"):
        open_note(f"{note_by(NEW)}\u2014 {ORIGIN} {empty}\n", [key_of(NEW)])


def test_many_signatures_are_read_and_too_many_are_not() -> None:
    lines = note_by(OLD).split("\n\n")[1]

    many = open_note(f"{CHECKPOINT.text}\n{lines * 16}", [key_of(OLD)])

    most = open_note(f"{CHECKPOINT.text}\n{lines * MAX_SIGNATURES}", [key_of(OLD)])

    assert (key_of(OLD),) == many.signed_by == most.signed_by
    with pytest.raises(InvalidMessage):
        open_note(f"{CHECKPOINT.text}\n{lines * (MAX_SIGNATURES + 1)}", [key_of(OLD)])


@pytest.mark.parametrize("size", ["01", "+1", "-1", "1_0", "١", "", str(1 << 63)])
def test_a_size_has_one_form(size: str) -> None:
    with pytest.raises(InvalidMessage):
        parse_checkpoint(CHECKPOINT.text.replace("\n1\n", f"\n{size}\n"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{ORIGIN}\n1\n",
        CHECKPOINT.text[:-1],
        CHECKPOINT.text.removeprefix(ORIGIN),
        CHECKPOINT.text.replace("ZaDS", "Za!S"),
        CHECKPOINT.text.replace("HTBU=", "HTBV="),
    ],
    ids=["nothing", "two", "no end", "no origin", "no base64", "another form"],
)
def test_a_checkpoint_has_its_three_lines(text: str) -> None:
    with pytest.raises(InvalidMessage):
        parse_checkpoint(text)


def test_a_root_has_32_bytes() -> None:
    short = Checkpoint(ORIGIN, 1, ROOT[:31])

    with pytest.raises(InvalidMessage):
        open_checkpoint(note_by(OLD, of=short), [key_of(OLD)])


@pytest.mark.parametrize("bend", [0, 60, -1])
def test_a_bent_key_is_refused(bend: int) -> None:
    text = key_of(OLD).text
    at = bend % len(text)
    other = "A" if text[at] != "A" else "B"

    with pytest.raises(InvalidMessage):
        parse_key(text[:at] + other + text[at + 1 :])


@pytest.mark.parametrize(
    "typed",
    [b"\1" + bytes(31), b"\1" + bytes(33), b"\4" + bytes(32), b""],
    ids=["short", "long", "another kind", "empty"],
)
def test_a_key_is_of_its_kind_and_length(typed: bytes) -> None:
    key = VerifyKey(ORIGIN, typed[1:], typed[0] if typed else 1)

    with pytest.raises(InvalidMessage):
        parse_key(f"{ORIGIN}+{key.id.hex()}+{b64encode(typed).decode()}")


@pytest.mark.parametrize("text", ["", ORIGIN, f"{ORIGIN}+00000000"])
def test_a_key_s_text_has_three_parts(text: str) -> None:
    with pytest.raises(InvalidMessage):
        parse_key(text)
