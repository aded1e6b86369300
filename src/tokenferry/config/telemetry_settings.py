"""The settings of traces."""

from dataclasses import dataclass, field

from tokenferry.config.rules import Flag
from tokenferry.config.spec import spec
from tokenferry.config.web_rules import CollectorUrl


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """The table `[telemetry]`."""

    otlp_endpoint: str = field(
        default="",
        metadata=spec(
            CollectorUrl(),
            "Where OpenTelemetry traces are sent, by OTLP over HTTP: a collector's address such as "
            "`http://localhost:4318`, to which `/v1/traces` is added. Empty: where the variables "
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT or "
            "`OTEL_TRACES_EXPORTER=otlp` say; without these, no traces are made at all.",
        ),
    )
    propagate: bool = field(
        default=False,
        metadata=spec(
            Flag(),
            "Whether providers are sent a `traceparent` header, so that what they trace becomes a "
            "part of the same trace. It tells them which requests belong together.",
        ),
    )
