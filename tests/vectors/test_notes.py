"""Signed notes and checkpoints that others made, good and malformed."""

import json
from typing import Any

import pytest

from pipeline.checkpoint import (
    VerifyKey,
    open_checkpoint,
    open_note,
    parse_checkpoint,
    parse_key,
)
from pipeline.errors import InvalidMessage
from pipeline.merkle import leaf_hash, root_of
from pipeline.tiles import Tile, split, unbundle
from tests.support.shared import shared

pytestmark = pytest.mark.shared


@pytest.fixture(name="known")
def vectors() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        shared("vectors", "note", "note_vectors.json").read_text()
    )
    return found


@pytest.fixture(name="peter")
def first_key(known: dict[str, Any]) -> VerifyKey:
    return parse_key(known["vkey_peter"])


@pytest.fixture(name="enoch")
def second_key(known: dict[str, Any]) -> VerifyKey:
    return parse_key(known["vkey_enoch"])


def test_a_key_is_written_as_it_was_read(known: dict[str, Any]) -> None:
    for name in ("vkey_peter", "vkey_enoch"):
        assert known[name] == parse_key(known[name]).text


def test_bad_keys_are_refused(known: dict[str, Any]) -> None:
    for text in known["bad_vkeys"]:
        with pytest.raises(InvalidMessage):
            parse_key(text)


def test_a_note_opens_with_one_of_its_keys(
    known: dict[str, Any], peter: VerifyKey, enoch: VerifyKey
) -> None:
    both = known["text"] + "\n" + known["sig_peter"] + known["sig_enoch"]

    assert (peter,) == open_note(known["signed_by_peter"], [peter, enoch]).signed_by
    assert (enoch,) == open_note(both, [enoch]).signed_by
    assert known["text"] == open_note(both, [peter]).text


def test_a_note_by_strangers_is_refused(
    known: dict[str, Any], enoch: VerifyKey
) -> None:
    with pytest.raises(InvalidMessage):
        open_note(known["signed_by_peter"], [enoch])


def test_malformed_notes_are_refused(known: dict[str, Any], peter: VerifyKey) -> None:
    for note in (*known["malformed"], known["invalid_signature"]):
        with pytest.raises(InvalidMessage):
            open_note(note, [peter])


def test_the_example_of_the_specification_opens(known: dict[str, Any]) -> None:
    example = known["c2sp_example"]
    key = parse_key(example["vkey"])

    assert "This is an example message.\n" == open_note(example["note"], [key]).text


def test_checkpoints_are_parsed_or_refused(known: dict[str, Any]) -> None:
    for text in known["checkpoint_parse"]["valid"]:
        assert text == parse_checkpoint(text).text
    for text in known["checkpoint_parse"]["invalid"]:
        with pytest.raises(InvalidMessage):
            parse_checkpoint(text)


@pytest.mark.parametrize("size", range(16))
def test_a_log_of_another_maker_holds(known: dict[str, Any], size: int) -> None:
    log = shared("vectors", "tessera", "testdata", "log")
    key = parse_key(known["tessera_log"]["vkey"])

    checkpoint = open_checkpoint((log / f"checkpoint.{size}").read_text(), [key])

    hashes, entries = b"", b""
    if size:
        hashes = (log / Tile(0, 0, size).path).read_bytes()
        entries = (log / Tile(None, 0, size).path).read_bytes()
    assert size == checkpoint.size
    assert checkpoint.root == root_of(split(hashes))
    assert split(hashes) == [leaf_hash(each) for each in unbundle(entries)]
