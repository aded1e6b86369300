from tokenferry.config import load
from tokenferry.config.routing_settings import RoutingSettings
from tokenferry.domain.breaker import BreakerTerms
from tokenferry.domain.retry import RetryTerms


def test_the_defaults_are_those_of_the_rules() -> None:
    settings, retry, breaker = RoutingSettings(), RetryTerms(), BreakerTerms()
    assert (
        settings.retries,
        settings.backoff_s,
        settings.retry_wait_max_s,
        settings.retry_deadline_s,
    ) == retry
    assert (
        settings.breaker_window_s,
        settings.breaker_calls_min,
        settings.breaker_failures_percent,
        settings.breaker_open_s,
        settings.breaker_open_max_s,
    ) == breaker[:5]


def test_the_line_before_a_provider(tmp_path):
    path = tmp_path / "tokenferry.toml"
    path.write_text(
        """[queue]
length_max = 5
wait_max_s = 2.5
[[providers]]
name = "home"
kind = "openai"
base_url = "http://127.0.0.1:9/v1"
models = ["exaone"]
streams_max = 2
tokens_per_minute = 1000
adaptive = false
"""
    )
    settings = load(path, {})
    assert (settings.queue.length_max, settings.queue.wait_max_s) == (5, 2.5)
    provider = settings.providers[0]
    assert (provider.streams_max, provider.requests_per_minute) == (2, 0)
    assert (provider.tokens_per_minute, provider.adaptive) == (1000, False)


def test_what_is_kept_of_requests(tmp_path):
    plain = load(None, {}).request_log
    assert (plain.enabled, plain.content, plain.status_page) == (True, False, True)
    assert (plain.retention_days, plain.content_retention_days) == (90, 7)
    path = tmp_path / "tokenferry.toml"
    path.write_text("[request_log]\ncontent = true\nretention_days = 3\nstatus_page = false\n")
    own = load(path, {}).request_log
    assert (own.content, own.retention_days, own.status_page) == (True, 3, False)
