"""What every test shares: the `needs` marker, signals, and the limit on open files."""

import os
import resource
import signal

import pytest
from hypothesis import HealthCheck, settings

# Before the first import from it, so that its assertions explain themselves.
pytest.register_assert_rewrite("harness")

from harness.components import OPTIONAL_IN_CI, missing_components, remedy  # noqa: E402

pytest_plugins = ["harness.market_fixtures"]

# Two sockets for each of the thousand idle connections, in one process each; and some to spare.
OPEN_FILES = 4096

# A busy machine is no finding: no test asserts a time, and no property does.
# `make properties` asks for more examples, and a run over mutants for fewer.
settings.register_profile(
    "tokenferry",
    deadline=None,
    max_examples=int(os.environ.get("PROPERTY_EXAMPLES", "40")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tokenferry")


def pytest_configure() -> None:
    """Allow as many open files as the thousand-socket tests need, and let children be interrupted.

    A shell starts what runs in the background with SIGINT ignored, and children would inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < OPEN_FILES <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, hard))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose component is missing; in CI, where none may be, fail it instead."""
    missing = missing_components(item)
    in_ci = [component for component in missing if component not in OPTIONAL_IN_CI]
    if in_ci and os.environ.get("CI"):
        pytest.fail(remedy(in_ci[0]), pytrace=False)
    if missing:
        pytest.skip(remedy(missing[0]))
