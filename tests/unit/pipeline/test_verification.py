"""Every way of altering a row, and the row that is named."""

from collections.abc import Callable
from hashlib import sha256

import pytest

from pipeline.audit import Entry, chain, empty, record
from pipeline.merkle import root_of
from pipeline.verification import Broken, Verified, verify
from tests.support.altered import ALTERED, with_body
from tests.support.audit import recorded

ORIGIN = "ledger.example.com/t_01"


def rows(count: int = 6) -> tuple[Entry, ...]:
    events = [recorded(str(each), request=str(each)) for each in range(count)]
    return chain(empty(ORIGIN), events).entries


def checked(entries: tuple[Entry, ...], last: bytes | None = None) -> Verified | Broken:
    return verify(empty(ORIGIN), entries, last or sha256(rows()[-1].body).digest())


def test_what_was_chained_holds_whole_and_in_pieces() -> None:
    entries = rows()
    whole = checked(entries)
    first = verify(empty(ORIGIN), entries[:3])

    assert isinstance(whole, Verified)
    assert isinstance(first, Verified)
    assert whole == verify(first.head, entries[3:], whole.head.last)
    assert chain(empty(ORIGIN), []).head == empty(ORIGIN)


@pytest.mark.parametrize("how", ALTERED)
@pytest.mark.parametrize("seq", range(6))
def test_an_altered_row_is_named(how: str, seq: int) -> None:
    entries = list(rows())
    entries[seq] = ALTERED[how](entries[seq])

    found = checked(tuple(entries))

    assert isinstance(found, Broken)
    assert seq == found.seq


ALONE: dict[str, Callable[[Entry], Entry]] = {
    "spacing": ALTERED["spacing"],
    "place": lambda e: e._replace(seq=e.seq + 1),
    "another version": lambda e: written(e, b'"v":1', b'"v":7'),
    "a version with a fraction": lambda e: written(e, b'"v":1', b'"v":1.0'),
    "a version that is true": lambda e: written(e, b'"v":1', b'"v":true'),
    "no version": lambda e: written(e, b',"v":1', b""),
    "a member of nobody": lambda e: written(
        e, b'"event_id"', b'"email":"x","event_id"'
    ),
    "a member behind the last": lambda e: written(e, b'"v":1', b'"v":1,"z":{"v":1}'),
    "a place with a fraction": lambda e: written(e, b'"seq":5', b'"seq":5.0'),
    "prev in capitals": lambda e: with_body(e, capitals(e)),
}


def written(entry: Entry, old: bytes, new: bytes) -> Entry:
    return with_body(entry, entry.body.replace(old, new))


def capitals(entry: Entry) -> bytes:
    prev = record(entry.body).prev.encode()
    return entry.body.replace(prev, prev.upper())


@pytest.mark.parametrize("how", ALONE)
def test_what_nothing_else_tells_of_is_named(how: str) -> None:
    """The last record, and a head that is chained on it as it is."""
    entries = list(rows())
    entries[-1] = ALONE[how](entries[-1])

    found = checked(tuple(entries), sha256(entries[-1].body).digest())

    assert isinstance(found, Broken)
    assert 5 == found.seq


def test_true_is_no_place() -> None:
    (first, last) = rows(2)
    bent = written(last, b'"seq":1', b'"seq":true')

    found = checked((first, bent), sha256(bent.body).digest())

    assert isinstance(found, Broken)
    assert 1 == found.seq


@pytest.mark.parametrize("seq", range(5))
def test_a_missing_row_is_named(seq: int) -> None:
    entries = rows()

    found = checked(entries[:seq] + entries[seq + 1 :])

    assert Broken(seq, "a record is missing") == found


@pytest.mark.parametrize("seq", range(5))
def test_swapped_rows_are_named(seq: int) -> None:
    entries = list(rows())
    one, two = entries[seq], entries[seq + 1]
    entries[seq], entries[seq + 1] = two._replace(seq=seq), one._replace(seq=seq + 1)

    found = checked(tuple(entries))

    assert isinstance(found, Broken)
    assert seq == found.seq


def test_a_tail_that_was_cut_is_told_from_the_head() -> None:
    assert isinstance(checked(rows()[:5]), Broken)


def test_a_rewritten_history_holds_for_itself() -> None:
    """Only a checkpoint that somebody else holds tells it from the true one."""
    events = [recorded(str(each), "request.redacted") for each in range(6)]
    rewritten = chain(empty(ORIGIN), events)

    found = checked(rewritten.entries, rewritten.head.last)

    assert isinstance(found, Verified)
    assert found.head.tree.root() != root_of([each.leaf for each in rows()])
