"""Reading batches whose header names are no UTF-8.

Kafka lets a producer name a header with any bytes. aiokafka 0.14 decodes names as UTF-8
while it unpacks a batch, and raises: the consumer then comes to that batch again and
again, and to nothing else. So anyone who may write to one topic could stop its group.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy
from typing_extensions import override


def tolerate_header_names() -> None:
    """Make every aiokafka consumer of this process read such batches."""
    fetcher.MemoryRecords = TolerantRecords


class TolerantRecords(_MemoryRecordsPy):  # type: ignore[misc]
    """The batches of one fetch, each of which can be read in two ways."""

    def next_batch(self) -> Any:
        """The next batch; None at the end."""
        raw = self._next_slice
        batch = super().next_batch()
        return None if batch is None else TolerantBatch(batch, raw)


class TolerantBatch:
    """A batch, read by aiokafka's fast reader where that can, else by its slow one."""

    def __init__(self, fast: Any, raw: memoryview) -> None:
        self._fast = fast
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        """All but the records is the fast reader's."""
        return getattr(self._fast, name)

    def __iter__(self) -> Iterator[Any]:
        """All records; a batch is at most a fetch, so they fit into memory."""
        try:
            return iter(list(self._fast))
        except (UnicodeDecodeError, CorruptRecordException):
            return iter(list(_Lenient(self._raw)))

    def __next__(self) -> Any:
        """Control batches are asked for their one record."""
        return next(self._fast)


class _Lenient(_DefaultRecordBatchPy):  # type: ignore[misc]
    """Decodes names with replacements: no header of ours has such a name."""

    def __init__(self, raw: memoryview) -> None:
        super().__init__(raw)
        self._buffer: bytearray = _Buffer(raw)


class _Buffer(bytearray):
    @override
    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Text(found) if isinstance(at, slice) else found


class _Text(bytearray):
    @override
    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return super().decode(encoding, errors)
