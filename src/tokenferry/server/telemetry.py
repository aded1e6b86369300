"""Whether traces are sent, and where: by the settings, else by OpenTelemetry's own variables.

Where they are not, nothing of OpenTelemetry is imported.

Source: OpenTelemetry specification, "Environment variable specification" and "OTLP exporter"
(1.56). Weakness: of exporters only OTLP over HTTP is there; `console` and the like are not.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from tokenferry.config.settings import ProviderSettings, Settings
from tokenferry.engine.traces import Tracer

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from tokenferry.server.span_traces import Target

log = logging.getLogger(__name__)

SETTING = "otlp_endpoint in [telemetry]"
# How long the last spans may take when the server stops: nobody waits for a collector that is gone.
SHUTDOWN_S = 5.0
SHUTDOWN_THREAD = "telemetry-shutdown"
_EXPORTER = "OTEL_TRACES_EXPORTER"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

# By host, or what it ends with; others keep their configured name.
_NAMES = {
    "api.openai.com": "openai",
    "openai.azure.com": "azure.ai.openai",
    "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
    "deepseek.com": "deepseek",
    "groq.com": "groq",
    "mistral.ai": "mistral_ai",
    "cohere.com": "cohere",
    "perplexity.ai": "perplexity",
    "x.ai": "x_ai",
    "moonshot.ai": "moonshot_ai",
}


class TelemetryUnusable(Exception):
    """Traces are asked for and cannot be sent; the message says what to do."""


class Exporter(NamedTuple):
    """Where traces are sent.

    Attributes:
        endpoint: The whole URL; None if the SDK is to read it from its own variables.
        by: What asks for it.
    """

    endpoint: str | None
    by: str


def exporter(otlp_endpoint: str, environ: Mapping[str, str]) -> Exporter | None:
    """Return where traces are sent; None if they are not."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    if otlp_endpoint:
        return Exporter(f"{otlp_endpoint}/v1/traces", SETTING)
    chosen = environ.get(_EXPORTER, "").strip().lower()
    if chosen not in ("", "otlp"):
        if chosen != "none":
            log.warning("no traces are sent: %s may be otlp or none, not %s", _EXPORTER, chosen)
        return None
    named = next((name for name in _ENDPOINTS if environ.get(name, "").strip()), None)
    if named is None and not chosen:
        return None
    return Exporter(None, named or f"{_EXPORTER}=otlp")


@asynccontextmanager
async def telemetry(settings: Settings, environ: Mapping[str, str]) -> AsyncIterator[Tracer | None]:
    """Yield what makes traces, or None where none are sent; at the end, send the last ones.

    Raises:
        TelemetryUnusable: If the settings ask for traces, and OpenTelemetry is not installed.
    """
    to = exporter(settings.telemetry.otlp_endpoint, environ)
    if to is None:
        yield None
        return
    try:
        from tokenferry.server.span_export import span_provider  # noqa: PLC0415 -- an extra
        from tokenferry.server.span_traces import SpanTracer  # noqa: PLC0415 -- an extra
    except ImportError as exc:
        remedy = (
            f"{to.by} asks for traces, and OpenTelemetry is not installed ({exc}): "
            "pip install 'tokenferry[telemetry]', or take the setting away."
        )
        if to.by == SETTING:
            raise TelemetryUnusable(remedy) from exc
        # A variable may be there for other programs.
        log.error("%s", remedy)  # noqa: TRY400 -- the message says all
        yield None
        return
    spans = span_provider(to.endpoint, environ)
    log.info("traces are sent by OTLP, because of %s", to.by)
    try:
        yield SpanTracer(spans, _targets(settings), propagate=settings.telemetry.propagate)
    finally:
        await _shut_down(spans)


async def _shut_down(spans: "TracerProvider") -> None:
    """Have the last spans sent, in a thread that a collector which is gone cannot keep."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def shut_down() -> None:
        try:
            spans.shutdown()
        finally:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(done.set)

    threading.Thread(target=shut_down, name=SHUTDOWN_THREAD, daemon=True).start()
    try:
        await asyncio.wait_for(done.wait(), SHUTDOWN_S)
    except TimeoutError:
        log.warning("the last traces were not taken within %g s and are dropped", SHUTDOWN_S)


def _targets(settings: Settings) -> dict[str, "Target"]:
    return {provider.name: target(provider) for provider in settings.providers}


def target(provider: ProviderSettings) -> "Target":
    """Return a provider in the conventions' words."""
    from tokenferry.server.span_traces import Target  # noqa: PLC0415 -- an extra

    if provider.kind == "demo":
        return Target(provider.name, "chat")
    url = urlsplit(provider.base_url)
    host = url.hostname or ""
    port = url.port or (443 if url.scheme == "https" else 80)
    known = (name for end, name in _NAMES.items() if f".{host}".endswith(f".{end}"))
    operation = "generate_content" if provider.kind == "gemini" else "chat"
    return Target(next(known, provider.name), operation, host, port)
