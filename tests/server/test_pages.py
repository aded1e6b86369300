"""The page of links and the parts of the pay pages: how they are served, what they may contain."""

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tokenferry.server import pages

STATIC = Path(pages.__file__).parent / "static"
FILES = {
    "/account": ("account.html", "text/html; charset=utf-8"),
    "/static/account.js": ("account.js", "text/javascript; charset=utf-8"),
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
    async with client.get("/account") as response:
        tag = response.headers["ETag"]
    assert re.fullmatch(r'"[0-9a-f]{32}"', tag)
    for known in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        async with client.get("/account", headers={"If-None-Match": known}) as response:
            assert response.status == 304
            assert response.headers["ETag"] == tag
            assert await response.read() == b""
    async with client.get("/account", headers={"If-None-Match": '"other"'}) as response:
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
    async with client.post("/account") as response:
        assert response.status == 405


class _Document(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] in ("script", "style"):
            self.inline += data.strip()


@pytest.fixture(scope="module")
def document() -> _Document:
    document = _Document()
    document.feed((STATIC / "account.html").read_text(encoding="utf-8"))
    return document


def test_nothing_in_the_page_needs_a_laxer_policy(document):
    assert document.inline == ""
    for tag, attributes in document.tags:
        assert tag != "style"
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "action"):
            if name in attributes:
                assert attributes[name] in FILES


def test_every_control_has_a_label(document):
    labels = {attributes.get("for") for tag, attributes in document.tags if tag == "label"}
    assert {attributes["id"] for tag, attributes in document.tags if tag == "input"} == labels


@pytest.mark.parametrize("name", ["account.js", "pay.js"])
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


def _dictionary(name: str, file: str) -> dict[str, str]:
    script = (STATIC / file).read_text(encoding="utf-8")
    body = script.split(f"const {name} = {{")[1].split("\n};")[0]
    return dict(re.findall(r'^  (\w+):\s+"(.*)",$', body, flags=re.MULTILINE))


def test_the_page_of_links_says_the_same_in_both_languages():
    english, korean = (_dictionary(name, "account.js") for name in ("ENGLISH", "KOREAN"))
    assert english.keys() == korean.keys()
    script = (STATIC / "account.js").read_text(encoding="utf-8")
    assert set(re.findall(r"words\.(\w+)", script)) | {"verify", "reset"} == english.keys()
    for name, text in english.items():
        assert re.search("[가-힣]", korean[name])
        assert not re.search("[가-힣]", text)
