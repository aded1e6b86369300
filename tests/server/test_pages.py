"""The parts of the server's own pages: how they are served, and what they may contain."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tokenferry.server import pages

STATIC = Path(pages.__file__).parent / "static"
FILES = {
    "/static/page.css": ("page.css", "text/css; charset=utf-8"),
    "/static/pay.js": ("pay.js", "text/javascript; charset=utf-8"),
    "/static/status.css": ("status.css", "text/css; charset=utf-8"),
    "/static/icon.svg": ("icon.svg", "image/svg+xml"),
}
# What the module's docstring promises.
ALL_BYTES_MAX = 30_000


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    app = web.Application()
    pages.add_pages(app)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
        yield session
    await runner.cleanup()


@pytest.mark.parametrize("path", FILES)
async def test_a_file_is_served_as_it_is(client, path):
    name, content_type = FILES[path]
    async with client.get(path) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == content_type
        assert await response.read() == (STATIC / name).read_bytes()


def test_every_file_is_on_the_list_and_all_are_small():
    assert {path.name for path in STATIC.iterdir()} == {name for name, _ in FILES.values()}
    assert sum(path.stat().st_size for path in STATIC.iterdir()) < ALL_BYTES_MAX


@pytest.mark.parametrize("path", FILES)
async def test_head_has_the_headers_only(client, path):
    async with client.head(path) as response:
        assert response.status == 200
        assert response.headers["ETag"]
        assert await response.read() == b""


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("status", [200, 304])
async def test_security_headers(client, path, status):
    headers = {"If-None-Match": "*"} if status == 304 else {}
    async with client.get(path, headers=headers) as response:
        assert response.status == status
        policy = dict(
            part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; ")
        )
        assert policy == {
            "default-src": "'none'",
            "script-src": "'self'",
            "style-src": "'self'",
            "img-src": "'self'",
            "connect-src": "'self'",
            "base-uri": "'none'",
            "form-action": "'none'",
            "frame-ancestors": "'none'",
            "require-trusted-types-for": "'script'",
            "trusted-types": "'none'",
        }
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert response.headers["Cache-Control"] == "no-cache"


async def test_a_file_that_the_browser_has_is_not_sent_again(client):
    async with client.get("/static/pay.js") as response:
        tag = response.headers["ETag"]
    assert re.fullmatch(r'"[0-9a-f]{32}"', tag)
    for known in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        async with client.get("/static/pay.js", headers={"If-None-Match": known}) as response:
            assert response.status == 304
            assert response.headers["ETag"] == tag
            assert await response.read() == b""
    async with client.get("/static/pay.js", headers={"If-None-Match": '"other"'}) as response:
        assert response.status == 200


async def test_each_file_has_its_own_tag(client):
    tags = set()
    for path in FILES:
        async with client.get(path) as response:
            tags.add(response.headers["ETag"])
    assert len(tags) == len(FILES)


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static/absent.js",
        "/static/account.html",
        "/static/../pages.py",
        "/static/..%2fpages.py",
        "/static/%2e%2e/pages.py",
        "/account.html",
    ],
)
async def test_nothing_else_is_served(client, path):
    async with client.get(path) as response:
        assert response.status == 404


async def test_posting_is_refused(client):
    async with client.post("/static/pay.js") as response:
        assert response.status == 405


@pytest.mark.parametrize("name", ["pay.js"])
def test_scripts_write_no_html_and_load_nothing_from_elsewhere(name):
    script = (STATIC / name).read_text(encoding="utf-8")
    for forbidden in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
        "localStorage",
        "document.cookie",
        "http://",
        "https://",
    ):
        assert forbidden not in script
