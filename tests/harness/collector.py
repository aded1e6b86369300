"""A collector of traces: an OTLP/HTTP server in the test's event loop that keeps every span."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

WAIT_S = 20
# What the gateway's process is told, so that no test waits for five seconds.
VARIABLES = {"OTEL_BSP_SCHEDULE_DELAY": "50"}


@dataclass(frozen=True, slots=True)
class Span:
    """One span as it came; ids are hexadecimal, `parent` is empty without one."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    facts: dict[str, Any]
    is_error: bool
    nanoseconds: int
    events: int
    resource: dict[str, Any]


class Collector:
    """What has been sent.

    Attributes:
        url: Where it listens.
        spans: In the order in which they came.
        bodies: Every request's body.
    """

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[Span] = []
        self.bodies: list[bytes] = []
        self._came = asyncio.Condition()

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        assert request.path == "/v1/traces", request.path
        assert request.content_type == "application/x-protobuf"
        async with self._came:
            self.bodies.append(body)
            self.spans += read_spans(body)
            self._came.notify_all()
        return web.Response(content_type="application/x-protobuf")

    async def trace(self, trace: str, count: int) -> list[Span]:
        """Wait until so many spans of a trace are there, and return them, the request's first."""
        return await self.until(lambda span: span.trace == trace, count)

    async def until(self, wanted: Callable[[Span], bool], count: int = 1) -> list[Span]:
        async with asyncio.timeout(WAIT_S), self._came:
            await self._came.wait_for(lambda: sum(map(wanted, self.spans)) >= count)
        found = [span for span in self.spans if wanted(span)]
        assert len(found) == count, found
        return sorted(found, key=lambda span: span.kind != "SERVER")


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    """Run a collector."""
    running = Collector()
    app = web.Application()
    app.router.add_post("/{path:.*}", running.take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        running.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield running
    finally:
        await runner.cleanup()


def read_spans(body: bytes) -> list[Span]:
    """Return the spans of an export request."""
    request = ExportTraceServiceRequest.FromString(body)
    return [
        _span(span, _facts(of_resource.resource.attributes))
        for of_resource in request.resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    ]


def _span(span: WireSpan, resource: dict[str, Any]) -> Span:
    return Span(
        span.name,
        WireSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        _facts(span.attributes),
        span.status.code == span.status.STATUS_CODE_ERROR,
        span.end_time_unix_nano - span.start_time_unix_nano,
        len(span.events),
        resource,
    )


def _facts(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    return {one.key: _value(one.value) for one in attributes}


def _value(value: AnyValue) -> Any:
    if value.WhichOneof("value") == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, value.WhichOneof("value") or "string_value")
