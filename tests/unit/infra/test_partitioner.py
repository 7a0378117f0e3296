"""Keys lie where every other client of Kafka looks for them."""

from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from infra.kafka.partitioner import KeyPartitioner


@given(st.binary(max_size=40), st.integers(1, 30), st.integers(1, 30))
def test_a_key_lies_where_the_default_one_puts_it(
    key: bytes, before: int, after: int
) -> None:
    """Also once the topic has another number of partitions."""
    placed, default = KeyPartitioner(), DefaultPartitioner()
    counts = (before, after, before)

    found = [placed(key, range(count), range(count)) for count in counts]

    assert [default(key, range(count), range(count)) for count in counts] == found


def test_without_a_key_it_is_any_that_answers() -> None:
    assert 2 == KeyPartitioner()(None, [0, 1, 2], [2])
