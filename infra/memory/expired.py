"""Rows whose keys have expired, in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

from typing_extensions import override

from infra.memory.requests import MemoryProviderCalls, MemoryRequests
from pipeline.keystore import KeyId, RetentionClass, partition_of
from pipeline.ports.retention import ExpiredRows
from schemas.ids import TenantId


@dataclass(frozen=True, slots=True)
class MemoryExpired(ExpiredRows):
    """Over the rows of the other twins."""

    requests: MemoryRequests
    called: MemoryProviderCalls

    @override
    async def answers(
        self, tenant: TenantId, until: Mapping[RetentionClass, date], limit: int
    ) -> int:
        rows = self.requests.rows
        old = [
            (name, row, row.finished)
            for name, row in rows.items()
            if name[0] == tenant
            and row.finished is not None
            and (row.finished.answer is not None or row.finished.findings)
            and _is_over(KeyId(row.terms.key_id), until)
        ][:limit]
        for name, row, end in old:
            bare = end.model_copy(update={"answer": None, "findings": ()})
            rows[name] = replace(row, finished=bare)
        return len(old)

    @override
    async def calls(self, tenant: TenantId, before: datetime, limit: int) -> int:
        rows = self.called.taken
        old = [
            name
            for name, call in rows.items()
            if name[0] == tenant and call.until < before
        ][:limit]
        for name in old:
            del rows[name]
        return len(old)


def _is_over(key: KeyId, until: Mapping[RetentionClass, date]) -> bool:
    partition = partition_of(key)
    last = until.get(partition.retention_class)
    return last is not None and partition.day <= last
