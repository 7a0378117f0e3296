"""Tiles: their addresses, which of them a log has, and what is read out of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InvalidMessage
from pipeline.merkle import fold, leaf_hash, root_between, root_of
from pipeline.tiles import (
    Tile,
    bundle,
    nodes_from,
    number,
    parse_path,
    split,
    tiles_of,
    unbundle,
)

tiles = st.builds(
    Tile,
    st.none() | st.integers(0, 5),
    st.integers(0, 10**12),
    st.integers(1, 256),
)


def test_the_numbers_of_the_specification() -> None:
    assert "x001/x234/067" == number(1_234_067)
    assert "000" == number(0)
    assert "x001/000" == number(1000)


@given(tiles)
def test_a_path_names_its_tile(tile: Tile) -> None:
    assert tile == parse_path(tile.path)


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/0",
        "tile/0/x000/000",
        "tile/0/001/000",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/08",
        "tile/6/000",
        "tile/-1/000",
        "tile/00/000",
        "tile/data/000",
        "tile/8/0/000",
        "tile/0/+00",
        "tile/0/000/",
        "tile/0/٠٠٠",
        "checkpoint",
        "",
    ],
)
def test_no_tile_has_a_second_path(path: str) -> None:
    with pytest.raises(InvalidMessage):
        parse_path(path)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, []),
        (1, ["tile/entries/000.p/1", "tile/0/000.p/1"]),
        (256, ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]),
    ],
)
def test_the_tiles_of_a_log(size: int, expected: list[str]) -> None:
    assert expected == [tile.path for tile in tiles_of(size)]


def test_the_tiles_of_seventy_thousand() -> None:
    paths = [tile.path for tile in tiles_of(70_000) if tile.level is not None]

    assert 273 == len([p for p in paths if p.startswith("tile/0/") and ".p" not in p])
    assert ["tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"] == (
        paths[273:]
    )


@given(st.integers(0, 300_000))
def test_a_log_has_its_tiles_and_not_one_hash_more(size: int) -> None:
    for tile in tiles_of(size):
        assert tile.stands(size)
        wider = Tile(tile.level, tile.index, tile.width + 1)
        assert tile.width == 256 or not wider.stands(size)


@given(st.integers(1, 1500), st.data())
def test_nodes_come_out_of_tiles(size: int, data: st.DataObject) -> None:
    end = data.draw(st.integers(1, size))
    leaves = [leaf_hash(each.to_bytes(4, "big")) for each in range(size)]

    def hashes(level: int, index: int, width: int) -> bytes:
        row = leaves if level == 0 else firsts(leaves)
        return b"".join(row[index * 256 :][:width])

    assert root_of(leaves[:end]) == root_between(nodes_from(hashes), 0, end)


def firsts(leaves: list[bytes]) -> list[bytes]:
    """Level 1: one hash a full tile."""
    full = len(leaves) // 256
    return [fold(leaves[at * 256 :][:256]) for at in range(full)]


@given(st.lists(st.binary(max_size=300)))
def test_a_bundle_gives_its_entries_back(records: list[bytes]) -> None:
    assert records == list(unbundle(bundle(records)))


@pytest.mark.parametrize("joined", [b"\0", b"\0\2a", b"\xff\xff" + bytes(65_535)])
def test_half_an_entry_and_one_that_is_too_long_are_refused(joined: bytes) -> None:
    with pytest.raises(InvalidMessage):
        list(unbundle(joined))


@given(st.lists(st.binary(min_size=32, max_size=32)))
def test_hashes_are_split_as_they_were_joined(hashes: list[bytes]) -> None:
    assert hashes == split(b"".join(hashes))
