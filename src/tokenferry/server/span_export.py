"""OpenTelemetry's SDK: a queue of spans, and the thread that sends them to a collector.

Sampling, batches, headers, certificates and time limits are OpenTelemetry's own variables.
"""

from collections.abc import Mapping

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tokenferry import __version__


def span_provider(endpoint: str | None, environ: Mapping[str, str]) -> TracerProvider:
    """Return what takes spans.

    Args:
        endpoint: Where they are sent; None for the exporter's own variables.
        environ: The environment.
    """
    facts = {"service.version": __version__}
    if not environ.get("OTEL_SERVICE_NAME"):
        facts["service.name"] = "tokenferry"
    # Not at the interpreter's exit, which would wait for a collector that is gone.
    spans = TracerProvider(resource=Resource.create(facts), shutdown_on_exit=False)
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    return spans
