"""Read by mypy alone: an unused ``type: ignore`` is an error, so each line must err.

Text that somebody wrote cannot be logged: neither as an event nor as a value.
"""

from infra.log import Log, Word
from schemas.ids import RequestId, TenantId


def ours(log: Log, request: RequestId, tenant: TenantId) -> None:
    log.info("started", port=8080, seconds=0.5, ok=True)
    log.warning("commit_refused", group=Word("screening"))
    log.error("unexpected_error", request_id=request, tenant_id=tenant)


def theirs(log: Log, prompt: str, body: bytes, found: list[str]) -> None:
    log.info("started", prompt=prompt)  # type: ignore[arg-type]
    log.info("started", prompt=f"said {prompt}")  # type: ignore[arg-type]
    log.warning("started", body=body)  # type: ignore[arg-type]
    log.error("started", found=found)  # type: ignore[arg-type]
    log.error("started", error=ValueError(prompt))  # type: ignore[arg-type]
    log.info(prompt)  # type: ignore[arg-type]
    log.info("an_event_that_nobody_declared")  # type: ignore[arg-type]
