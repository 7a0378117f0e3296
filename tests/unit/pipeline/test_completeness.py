"""What is missing of accepted requests, whatever is left out or comes twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.completeness import ACCEPTED, reconcile
from schemas.audit import TERMINAL
from schemas.ids import RequestId
from tests.support.audit import request_id

IDS = [request_id(str(each)) for each in range(12)]
some = st.sets(st.sampled_from(IDS))


def story(
    request: RequestId, end: str = "request.completed"
) -> list[tuple[RequestId, str]]:
    return [(request, ACCEPTED), (request, "request.screened"), (request, end)]


def test_one_acceptance_and_one_end_each_is_complete() -> None:
    ends = sorted(TERMINAL) * 3
    recorded = [
        line for each, end in zip(IDS, ends, strict=True) for line in story(each, end)
    ]

    found = reconcile(IDS, recorded)

    assert found.complete
    assert len(IDS) == found.accepted


@given(some, some, some)
def test_what_is_missing_is_named_and_nothing_else(
    unrecorded: set[RequestId], unended: set[RequestId], twice: set[RequestId]
) -> None:
    twice -= unended
    recorded = []
    for each in IDS:
        first, *_, last = story(each)
        recorded += [] if each in unrecorded else [first]
        recorded += [] if each in unended else [last]
        recorded += [(each, "request.failed")] if each in twice else []

    found = reconcile(IDS, recorded)

    assert sorted(unrecorded) == list(found.unrecorded)
    assert sorted(unended) == list(found.unended)
    assert sorted(twice) == list(found.twice)
    assert found.complete is not bool(unrecorded | unended | twice)


@pytest.mark.parametrize(
    "recorded",
    [[(IDS[0], "request.completed")], [(IDS[0], ACCEPTED)], 2 * story(IDS[0])],
    ids=["unrecorded", "unended", "twice"],
)
def test_each_lack_by_itself_is_one(recorded: list[tuple[RequestId, str]]) -> None:
    assert not reconcile(IDS[:1], recorded).complete


def test_other_requests_are_no_matter() -> None:
    found = reconcile(IDS[:1], [*story(IDS[0]), *story(IDS[1]), *story(IDS[1])])

    assert found.complete


def test_an_id_counts_once_however_often_it_was_delivered() -> None:
    assert 1 == reconcile([IDS[0], IDS[0]], story(IDS[0])).accepted
