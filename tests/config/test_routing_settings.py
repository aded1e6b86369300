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
