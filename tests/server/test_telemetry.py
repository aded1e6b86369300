"""Whether traces are sent, and where; and that no collector can hold the gateway up."""

import asyncio
import logging
import sys
import threading

import pytest

from harness.providers import silent_port
from tokenferry.config.settings import ProviderSettings, Settings
from tokenferry.config.telemetry_settings import TelemetrySettings
from tokenferry.engine.traces import Arrival, Question
from tokenferry.server import telemetry as module
from tokenferry.server.span_traces import SpanTracer, Target
from tokenferry.server.telemetry import SETTING, Exporter, TelemetryUnusable, exporter, telemetry

BASE = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
CHOICE = "OTEL_TRACES_EXPORTER"


@pytest.mark.parametrize(
    ("setting", "environ", "found"),
    [
        ("", {}, None),
        ("http://c:4318", {}, Exporter("http://c:4318/v1/traces", SETTING)),
        ("http://c:4318", {BASE: "http://d"}, Exporter("http://c:4318/v1/traces", SETTING)),
        ("http://c:4318", {CHOICE: "none"}, Exporter("http://c:4318/v1/traces", SETTING)),
        ("http://c:4318", {"OTEL_SDK_DISABLED": "true"}, None),
        ("", {BASE: "http://d"}, Exporter(None, BASE)),
        ("", {TRACES: "http://d/v1/traces"}, Exporter(None, TRACES)),
        ("", {BASE: " "}, None),
        ("", {BASE: "http://d", CHOICE: "none"}, None),
        ("", {CHOICE: "otlp"}, Exporter(None, "OTEL_TRACES_EXPORTER=otlp")),
        ("", {CHOICE: "OTLP", BASE: "http://d"}, Exporter(None, BASE)),
        ("", {CHOICE: "console", BASE: "http://d"}, None),
        ("", {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://d"}, None),
    ],
)
def test_who_asks_for_traces(setting: str, environ: dict[str, str], found: Exporter | None) -> None:
    assert exporter(setting, environ) == found


def test_an_exporter_that_is_not_there_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        exporter("", {CHOICE: "zipkin"})
    assert "OTEL_TRACES_EXPORTER may be otlp or none, not zipkin" in caplog.text


@pytest.mark.parametrize(
    ("kind", "url", "found"),
    [
        ("openai", "https://api.openai.com/v1", Target("openai", "chat", "api.openai.com", 443)),
        ("openai", "https://x.openai.azure.com", Target("azure.ai.openai", "chat",
                                                        "x.openai.azure.com", 443)),
        ("anthropic", "https://api.anthropic.com", Target("anthropic", "chat",
                                                          "api.anthropic.com", 443)),
        ("gemini", "https://generativelanguage.googleapis.com",
         Target("gcp.gemini", "generate_content", "generativelanguage.googleapis.com", 443)),
        ("openai", "http://10.0.0.5:8000/v1", Target("mine", "chat", "10.0.0.5", 8000)),
        ("openai", "http://notopenai.com/v1", Target("mine", "chat", "notopenai.com", 80)),
        ("openai", "https://box.ai/v1", Target("mine", "chat", "box.ai", 443)),
        ("openai", "https://api.x.ai/v1", Target("x_ai", "chat", "api.x.ai", 443)),
        ("demo", "", Target("mine", "chat")),
    ],
)  # fmt: skip
def test_providers_in_the_words_of_the_conventions(kind: str, url: str, found: Target) -> None:
    provider = ProviderSettings(name="mine", kind=kind, base_url=url, models=("m",))
    assert module.target(provider) == found


def settings(endpoint: str = "") -> Settings:
    return Settings(telemetry=TelemetrySettings(otlp_endpoint=endpoint))


async def test_nobody_asks() -> None:
    async with telemetry(settings(), {}) as tracer:
        assert tracer is None


async def test_without_the_packages_a_setting_stops_the_start_and_a_variable_does_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "tokenferry.server.span_export", None)
    with pytest.raises(TelemetryUnusable, match=r"pip install 'tokenferry\[telemetry\]'"):
        async with telemetry(settings("http://127.0.0.1:9"), {}):
            pass
    async with telemetry(settings(), {BASE: "http://127.0.0.1:9"}) as tracer:
        assert tracer is None
    assert f"{BASE} asks for traces" in caplog.text


async def test_a_collector_that_never_answers_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "SHUTDOWN_S", 0.05)
    # The SDK's own patience, so that its thread does not outlive this test.
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.3")
    with silent_port() as port:
        async with telemetry(settings(f"http://127.0.0.1:{port}"), {}) as tracer:
            assert isinstance(tracer, SpanTracer)
            trace = tracer.begin(Arrival("POST /x", {}, {}), Question("k", False, 1, None, 0.0))
            trace.call("p", "m").ended("provider_timeout")
        for thread in threading.enumerate():
            if thread.name == module.SHUTDOWN_THREAD:
                await asyncio.to_thread(thread.join)
    assert "the last traces were not taken" in caplog.text
