"""Traces, where somebody asked for them."""

from contextlib import AsyncExitStack
from importlib import import_module

from infra.settings import Settings
from pipeline.ports.tracing import Tracing


async def traces(
    stack: AsyncExitStack, settings: Settings, name: str
) -> Tracing | None:
    """Where the spans of the process ``name`` go; None: nobody wants them.

    Raises:
        ValueError: the extra ``otel`` is not installed.
    """
    found = settings.tracing
    if found.endpoint is None:
        return None
    try:
        module = import_module("infra.tracing")
    except ImportError:
        raise ValueError("tracing.endpoint: expected the extra `otel`") from None
    opened: Tracing = await stack.enter_async_context(
        module.exporting(name, str(found.endpoint), found.ratio)
    )
    return opened
