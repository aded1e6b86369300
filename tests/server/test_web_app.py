"""The built pages: under which headers, in which language, theme and coding they are served."""

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tokenferry.server import web_app

SCRIPT = b"export const greeting = '\xec\x95\x88\xeb\x85\x95';\n"


@pytest.fixture
def built(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "console.html").write_text('<!doctype html>\n<html lang="en">\n<body>', "utf-8")
    (tmp_path / "chat.html").write_text('<!doctype html>\n<html lang="en">\n<main>', "utf-8")
    (tmp_path / "assets" / "console-1a.js").write_bytes(SCRIPT)
    (tmp_path / "assets" / "console-1a.js.gz").write_bytes(gzip.compress(SCRIPT))
    (tmp_path / "assets" / "console-1a.js.br").write_bytes(b"brotli")
    (tmp_path / "assets" / "console-1a.css").write_bytes(b"body{}")
    (tmp_path / "assets" / "console-1a.js.map").write_bytes(b"{}")
    return tmp_path


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[aiohttp.ClientSession]:
    app = web.Application()
    web_app.add_web_app(app, folder)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    async with aiohttp.ClientSession(
        f"http://{host}:{port}", auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield session
    await runner.cleanup()


@pytest.fixture
async def client(built: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with serving(built) as session:
        yield session


@pytest.mark.parametrize(
    "path", ["/console", "/console/", "/console/keys", "/console/a/b", "/account"]
)
async def test_a_document_is_served_below_its_path(client, path):
    async with client.get(path) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert response.headers["Cache-Control"] == "no-cache"
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["Vary"] == "Cookie, Accept-Language"
        assert await response.read() == b'<!doctype html>\n<html lang="en">\n<body>'


@pytest.mark.parametrize(("path", "images"), [("/", "'self' data: blob:"), ("/console", "'self'")])
async def test_what_a_document_may_do(client, path, images):
    async with client.get(path) as response:
        policy = response.headers["Content-Security-Policy"]
    assert dict(part.split(" ", 1) for part in policy.split("; ")) == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": images,
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }


async def test_the_chat_page_is_at_the_root_alone(client):
    async with client.get("/") as response:
        assert (await response.text()).endswith("<main>")
    for path in ("/chat.html", "/index.html", "/anything"):
        async with client.get(path) as response:
            assert response.status == 404


@pytest.mark.parametrize(
    ("headers", "opening"),
    [
        ({"Accept-Language": "ko-KR,ko;q=0.9,en;q=0.8"}, '<html lang="ko">'),
        ({"Accept-Language": "fr, KO;q=0.5"}, '<html lang="ko">'),
        ({"Accept-Language": "kok, en"}, '<html lang="en">'),
        ({"Accept-Language": "fr"}, '<html lang="en">'),
        ({"Cookie": "tokenferry_language=ko"}, '<html lang="ko">'),
        (
            {"Cookie": "tokenferry_language=en", "Accept-Language": "ko"},
            '<html lang="en">',
        ),
        ({"Cookie": 'tokenferry_language="><script>'}, '<html lang="en">'),
        ({"Cookie": "tokenferry_theme=dark"}, '<html lang="en" data-theme="dark">'),
        (
            {"Cookie": "tokenferry_theme=light; tokenferry_language=ko"},
            '<html lang="ko" data-theme="light">',
        ),
        ({"Cookie": "tokenferry_theme=x"}, '<html lang="en">'),
    ],
)
async def test_language_and_theme_are_in_the_document(client, headers, opening):
    async with client.get("/console", headers=headers) as response:
        assert (await response.text()).splitlines()[1] == opening


async def test_a_document_that_the_browser_has_is_not_sent_again_unless_its_language_changed(
    client,
):
    async with client.get("/console") as response:
        tag = response.headers["ETag"]
    async with client.get("/console", headers={"If-None-Match": tag}) as response:
        assert response.status == 304
        assert await response.read() == b""
    korean = {"If-None-Match": tag, "Accept-Language": "ko"}
    async with client.get("/console", headers=korean) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("accepted", "coding", "body"),
    [
        ("gzip, deflate, br", "br", b"brotli"),
        ("gzip", "gzip", None),
        ("br;q=0, gzip;q=1.0", "gzip", None),
        ("br; q=0.0", None, SCRIPT),
        ("identity", None, SCRIPT),
        ("", None, SCRIPT),
    ],
)
async def test_an_asset_is_compressed_as_the_client_accepts_and_kept_for_good(
    client, accepted, coding, body
):
    headers = {"Accept-Encoding": accepted}
    async with client.get("/assets/console-1a.js", headers=headers) as response:
        assert response.status == 200
        assert response.headers.get("Content-Encoding") == coding
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert response.headers["Vary"] == "Accept-Encoding"
        assert response.headers["Content-Type"] == "text/javascript; charset=utf-8"
        received = await response.read()
    assert received == body if body else gzip.decompress(received) == SCRIPT


async def test_what_was_not_compressed_is_sent_as_it_is(client):
    headers = {"Accept-Encoding": "br"}
    async with client.get("/assets/console-1a.css", headers=headers) as response:
        assert "Content-Encoding" not in response.headers
        assert await response.read() == b"body{}"


@pytest.mark.parametrize(
    "path",
    [
        "/assets/console-1a.js.map",
        "/assets/console-1a.js.gz",
        "/assets/",
        "/assets/..%2fconsole.html",
    ],
)
async def test_nothing_else_is_served(client, path):
    async with client.get(path) as response:
        assert response.status == 404


async def test_without_a_build_a_text_says_what_to_do(tmp_path):
    async with serving(tmp_path) as session, session.get("/console") as response:
        assert response.status == 503
        assert "make web" in await response.text()


def test_a_document_whose_language_cannot_be_written_is_refused(built):
    (built / "console.html").write_text("<html>", "utf-8")
    with pytest.raises(ValueError, match="html lang"):
        web_app.add_web_app(web.Application(), built)
