"""Which partition a key lies in, as the Java client says."""

from collections.abc import Sequence
from functools import lru_cache

from aiokafka.partitioner import DefaultPartitioner
from typing_extensions import override

KEYS = 4_096

_place = lru_cache(maxsize=KEYS)(DefaultPartitioner())


class KeyPartitioner(DefaultPartitioner):  # type: ignore[misc]  # aiokafka is untyped
    """The default one, which hashes a key once: a request's records all have its id.

    The hash is written in Python and takes as long as encoding the record.
    """

    @override
    def __call__(
        self, key: bytes | None, all_partitions: Sequence[int], available: Sequence[int]
    ) -> int:
        if key is None:
            return int(super().__call__(key, all_partitions, available))
        return int(_place(key, tuple(all_partitions), ()))
