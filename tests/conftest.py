"""What every test shares: the `needs` marker and the limit on open files."""

import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.register_assert_rewrite("harness")

ROOT = Path(__file__).parents[1]
SHARED = ROOT / ".." / "shared"
NODE_MODULES = ROOT / "tests" / "node" / "node_modules"
# Two sockets for each of the thousand idle connections, in one process each; and some to spare.
OPEN_FILES = 4096

# What a component is, and how to get it.
COMPONENTS: dict[str, tuple[Callable[[], bool], str]] = {
    "chromium": (
        lambda: bool(shutil.which("chromium") or shutil.which("google-chrome")),
        "install chromium",
    ),
    "nginx": (lambda: bool(shutil.which("nginx")), "install nginx"),
    "node": (
        lambda: bool(shutil.which("node")) and (NODE_MODULES / "ws").is_dir(),
        "install node and run `npm ci --prefix tests/node`",
    ),
    "websockets13": (
        (ROOT / "build" / "websockets13" / "websockets").is_dir,
        (
            "run `pip install --require-hashes --target build/websockets13"
            " -r tests/compat/requirements-websockets13.txt`"
        ),
    ),
    "shared": (SHARED.is_dir, "it is no part of the repository"),
}
# The material beside the repository is not there in a plain clone; nothing can install it.
OPTIONAL_IN_CI = {"shared"}


def pytest_configure() -> None:
    """Allow as many open files as the thousand-socket tests need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < OPEN_FILES <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, hard))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose component is missing; in CI, where none may be, fail it instead."""
    for mark in item.iter_markers("needs"):
        for component in mark.args:
            present, remedy = COMPONENTS[component]
            if present():
                continue
            reason = f"{component} is missing: {remedy}"
            if os.environ.get("CI") and component not in OPTIONAL_IN_CI:
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)
