"""Cosignatures: the exact bytes, and what is refused."""

from base64 import b64decode
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from pipeline.anchors.cosignatures import (
    WITNESS,
    add_checkpoint,
    cosign,
    cosignatures,
)
from pipeline.checkpoint import VerifyKey, open_checkpoint, parse_key, parse_note, sign
from pipeline.errors import InvalidMessage

LOG = Ed25519PrivateKey.from_private_bytes(bytes(32))
W = Ed25519PrivateKey.from_private_bytes(bytes([7]) * 32)
ORIGIN = "ledger.example.com/root"
TEXT = f"{ORIGIN}\n5\n{'A' * 43}=\n"
AT = datetime(2023, 3, 20, 13, 32, 27, tzinfo=UTC)  # 1679319147


def key(private: Ed25519PrivateKey, name: str, kind: int = 1) -> VerifyKey:
    return VerifyKey(name, private.public_key().public_bytes_raw(), kind)


WITNESS_KEY = key(W, "witness.example/w1", WITNESS)
NOTE = sign(TEXT, [(key(LOG, ORIGIN), LOG.sign)])


def cosigned() -> str:
    return NOTE + cosign(TEXT, WITNESS_KEY, W.sign, AT)


def test_a_cosignature_is_what_the_specification_says() -> None:
    line = cosign(TEXT, WITNESS_KEY, W.sign, AT)
    raw = b64decode(line.split(" ")[2])

    assert WITNESS_KEY.id == raw[:4]
    assert 1679319147 == int.from_bytes(raw[4:12], "big")
    W.public_key().verify(
        raw[12:], b"cosignature/v1\ntime 1679319147\n" + TEXT.encode()
    )


def test_a_known_witness_is_read_with_its_time() -> None:
    (found,) = cosignatures(cosigned(), [WITNESS_KEY])

    assert (WITNESS_KEY, AT) == (found.by, found.at)
    assert cosigned() == NOTE + found.line


def test_the_log_s_own_signature_still_opens_a_cosigned_note() -> None:
    assert parse_note(NOTE) == open_checkpoint(cosigned(), [key(LOG, ORIGIN)])


def test_unknown_witnesses_are_passed_over() -> None:
    other = key(LOG, "witness.example/w1", WITNESS)

    assert () == cosignatures(cosigned(), [other])


def test_a_key_of_another_kind_is_another_key() -> None:
    assert () == cosignatures(cosigned(), [key(W, "witness.example/w1")])


@given(st.integers(0, 71), st.integers(0, 7))
def test_a_changed_bit_of_time_or_signature_is_told(at: int, bit: int) -> None:
    line = cosign(TEXT, WITNESS_KEY, W.sign, AT)
    raw = bytearray(b64decode(line.split(" ")[2]))
    raw[4 + at] ^= 1 << bit
    bent = sign_line(bytes(raw))

    with pytest.raises(InvalidMessage):
        cosignatures(NOTE + bent, [WITNESS_KEY])


def sign_line(raw: bytes) -> str:
    from_text = sign(TEXT, [(WITNESS_KEY, lambda _: raw[4:])])
    return from_text.removeprefix(TEXT + "\n")


def test_a_cosignature_of_another_text_is_told() -> None:
    line = cosign(TEXT.replace("\n5\n", "\n6\n"), WITNESS_KEY, W.sign, AT)

    with pytest.raises(InvalidMessage):
        cosignatures(NOTE + line, [WITNESS_KEY])


def test_a_witness_key_is_written_as_it_was_read() -> None:
    assert WITNESS_KEY == parse_key(WITNESS_KEY.text, WITNESS)
    with pytest.raises(InvalidMessage):
        parse_key(WITNESS_KEY.text)


def test_the_request_is_what_the_specification_says() -> None:
    body = add_checkpoint(3, [bytes(32), bytes([255]) * 32], NOTE)

    assert f"old 3\n{'A' * 43}=\n{'/' * 42}8=\n\n{NOTE}" == body.decode()
    assert f"old 0\n\n{NOTE}" == add_checkpoint(0, [], NOTE).decode()


def test_more_than_63_hashes_are_not_sent() -> None:
    with pytest.raises(ValueError, match="consistency"):
        add_checkpoint(3, [bytes(32)] * 64, NOTE)
