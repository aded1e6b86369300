"""What some tests need beyond Python: whether it is there, and how to get it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHARED = ROOT / ".." / "shared"
NODE_MODULES = ROOT / "tests" / "node" / "node_modules"
TYPESCRIPT = ROOT / "clients" / "typescript"
WEB = ROOT / "web"
# What a component is, and how to get it.
COMPONENTS: dict[str, tuple[Callable[[], bool], str]] = {
    "chromium": (
        lambda: bool(shutil.which("chromium") or shutil.which("google-chrome")),
        "install chromium",
    ),
    "caddy": (lambda: bool(shutil.which("caddy")), "install caddy"),
    "nginx": (lambda: bool(shutil.which("nginx")), "install nginx"),
    "systemd-analyze": (lambda: bool(shutil.which("systemd-analyze")), "install systemd"),
    "node": (
        lambda: bool(shutil.which("node")) and (NODE_MODULES / "ws").is_dir(),
        "install node and run `npm ci --prefix tests/node`",
    ),
    "typescript": (
        (TYPESCRIPT / "node_modules" / "typescript").is_dir,
        "install node and run `npm ci --prefix clients/typescript`",
    ),
    "web": (
        lambda: (
            (WEB / "node_modules" / "vitest").is_dir()
            and (ROOT / "src" / "tokenferry" / "server" / "web" / "assets").is_dir()
        ),
        "install node and run `make web`",
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


def missing_components(item: pytest.Item) -> list[str]:
    """Return the components that a test needs and that are not there."""
    named = [component for mark in item.iter_markers("needs") for component in mark.args]
    return [component for component in named if not COMPONENTS[component][0]()]


def remedy(component: str) -> str:
    """Return what to do about a missing component."""
    return f"{component} is missing: {COMPONENTS[component][1]}"
