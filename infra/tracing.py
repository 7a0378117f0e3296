"""Traces through OpenTelemetry: the extra ``otel``, opened only where it is asked for.

Nothing else imports OpenTelemetry, so without an endpoint it costs nothing.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)
from opentelemetry.trace import Span as Recording
from typing_extensions import override

from pipeline.ports.tracing import Fact, Kind, Span, Tracing

KINDS: Final[Mapping[Kind, SpanKind]] = {
    "server": SpanKind.SERVER,
    "consumer": SpanKind.CONSUMER,
    "client": SpanKind.CLIENT,
}
_TRACEPARENT: Final = re.compile(
    r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})"
)


@dataclass(frozen=True, slots=True)
class OtelSpan(Span):
    """A span of OpenTelemetry's."""

    span: Recording

    @property
    @override
    def traceparent(self) -> str:
        found = self.span.get_span_context()
        return f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"

    @override
    def tell(self, name: str, fact: Fact) -> None:
        self.span.set_attribute(name, fact)

    @override
    def end(self, error: str | None = None) -> None:
        if error is not None:
            self.span.set_status(Status(StatusCode.ERROR, error))
        self.span.end()


@dataclass(frozen=True, slots=True)
class OtelTracing(Tracing):
    """Begins spans with one tracer."""

    tracer: Tracer

    @override
    def begin(
        self,
        name: str,
        kind: Kind,
        parent: str | None,
        facts: Mapping[str, Fact],
        *,
        at: datetime | None = None,
    ) -> Span:
        return OtelSpan(
            self.tracer.start_span(
                name,
                context=_context(parent),
                kind=KINDS[kind],
                attributes=facts,
                start_time=None if at is None else int(at.timestamp() * 1e9),
            )
        )


def _context(parent: str | None) -> Context:
    """Never the context of whoever calls: the parent is what the record says."""
    found = _TRACEPARENT.fullmatch(parent or "")
    if found is None:
        return Context()
    trace_id, span_id, flags = (int(part, 16) for part in found.groups())
    known = SpanContext(
        trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags)
    )
    return set_span_in_context(NonRecordingSpan(known), Context())


def provider(name: str, ratio: float, processor: SpanProcessor) -> TracerProvider:
    """A source of spans of one process.

    Whether a story is kept follows from its trace id alone, so every process decides
    alike, and a caller's ``sampled`` flag decides nothing.
    """
    made = TracerProvider(
        sampler=TraceIdRatioBased(ratio),
        resource=Resource({"service.namespace": "sluice", "service.name": name}),
        shutdown_on_exit=False,
    )
    made.add_span_processor(processor)
    return made


@asynccontextmanager
async def exporting(name: str, endpoint: str, ratio: float) -> AsyncIterator[Tracing]:
    """Send spans to a collector (OTLP over HTTP) for the length of a block."""
    exporter = OTLPSpanExporter(endpoint=endpoint)
    made = provider(name, ratio, BatchSpanProcessor(exporter))
    try:
        yield OtelTracing(made.get_tracer("sluice"))
    finally:
        await asyncio.to_thread(made.shutdown)
