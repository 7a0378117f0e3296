"""What may be committed while records finish in any order."""

from hypothesis import given
from hypothesis import strategies as st

from consumers.delivery.offsets import Window

OFFSETS = st.lists(st.integers(0, 10_000), unique=True, min_size=1, max_size=60).map(
    sorted
)


@given(OFFSETS, st.data())
def test_it_never_passes_an_unfinished_offset_and_passes_all_in_the_end(
    offsets: list[int], data: st.DataObject
) -> None:
    window, waiting, open_now = Window(), list(offsets), set[int]()
    last = -1
    while waiting or open_now:
        if waiting and (not open_now or data.draw(st.booleans())):
            offset = waiting.pop(0)
            assert window.take(offset)
            open_now.add(offset)
        else:
            offset = data.draw(st.sampled_from(sorted(open_now)))
            open_now.remove(offset)
            window.finish(offset)
        ready = -1 if window.ready is None else window.ready
        assert ready >= last
        assert all(ready <= offset for offset in (*open_now, *waiting))
        assert len(open_now) == window.unfinished
        last = ready

    assert offsets[-1] + 1 == window.ready
    assert 0 == len(window)


@given(OFFSETS)
def test_what_was_taken_is_not_taken_again(offsets: list[int]) -> None:
    window = Window()
    for offset in offsets:
        window.take(offset)

    assert not any(window.take(offset) for offset in offsets)


def test_what_was_committed_is_not_taken_again() -> None:
    window = Window()
    window.take(7)
    window.finish(7)

    assert not window.take(7)
    assert window.take(8)


def test_nothing_taken_is_nothing_to_commit() -> None:
    assert Window().ready is None
