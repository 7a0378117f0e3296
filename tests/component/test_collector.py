"""Spans reach a collector; without one, nothing of OpenTelemetry is even imported."""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typing_extensions import override

from infra.observability.traces import traces
from infra.settings import DatabaseSettings, KeysSettings, Settings, TracingSettings
from tests.support.started import printed

ROOT = Path(__file__).parents[2]
NOWHERE = Path("nowhere")
LOADED = """
import sys, consumers.app, producers.app
heavy = (
    "opentelemetry.sdk",
    "opentelemetry.exporter",
    "opentelemetry.trace",
    "infra.tr",
)
print([name for name in sys.modules if name.startswith(heavy)])
"""


class Collector(HTTPServer):
    """Keeps what is posted."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.got: list[tuple[str, str | None, bytes]] = []


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Collector)
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append((self.path, self.headers["content-type"], body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    @override
    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def settings(endpoint: str | None) -> Settings:
    return Settings(
        database=DatabaseSettings.model_validate({"url": "a", "keystore_url": "b"}),
        keys=KeysSettings(directory=NOWHERE, root=NOWHERE, own=NOWHERE),
        tracing=TracingSettings.model_validate({"endpoint": endpoint, "ratio": 1}),
    )


async def test_spans_reach_the_collector_before_the_process_ends(
    collector: Collector,
) -> None:
    endpoint = f"http://127.0.0.1:{collector.server_port}/v1/traces"
    async with AsyncExitStack() as stack:
        tracing = await traces(stack, settings(endpoint), "workers")
        assert tracing is not None
        tracing.begin("process audit", "consumer", None, {"sluice.attempt": 1}).end()

    ((path, kind, body),) = collector.got
    assert ("/v1/traces", "application/x-protobuf") == (path, kind)
    assert b"process audit" in body
    assert b"workers" in body


async def test_without_an_endpoint_there_is_no_tracing() -> None:
    async with AsyncExitStack() as stack:
        assert await traces(stack, settings(None), "workers") is None


def test_without_an_endpoint_nothing_of_it_is_imported() -> None:
    assert "[]" == printed(LOADED)
