"""The names of the inbox's keys in memory, and how far admission has come."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from typing_extensions import override

from pipeline.inbox import InboxKey
from pipeline.ports.inbox import InboxKeys, InboxProgress


@dataclass(slots=True)
class MemoryInboxKeys(InboxKeys, InboxProgress):
    """Names alone: what is sealed to them is another's.

    Attributes:
        upto: what was appended before is handled; None: everything.
    """

    names: set[InboxKey] = field(default_factory=set)
    upto: datetime | None = None
    length: timedelta = timedelta(hours=1)

    @property
    @override
    def period(self) -> timedelta:
        return self.length

    @override
    async def there(self) -> Sequence[InboxKey]:
        return sorted(self.names, key=lambda name: name.begun)

    @override
    async def destroy(self, key: InboxKey) -> None:
        self.names.discard(key)

    @override
    async def handled(self, before: datetime) -> bool:
        return self.upto is None or self.upto >= before
