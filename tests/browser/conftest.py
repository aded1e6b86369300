"""A browser for each test module, and a page for each test that may not do what it must not."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from harness.accounts import Member, administrator
from harness.gateway import Gateway
from harness.providers import ScriptedProvider, scripted_provider

# The system's own; nothing is downloaded. Without a sandbox, since tests may run as root.
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
# The default of five seconds is short for a machine that does other things, too.
expect.set_options(timeout=20_000)

OpenPage = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield running
        await running.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with scripted_provider() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chief(gateway: Gateway) -> Member:
    """An administrator at the module's gateway."""
    return await administrator(gateway, "chief@example.com")


class Watch:
    """What a page said and asked for; `expected` holds the complaints that a test provokes."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self.expected: tuple[str, ...] = ()
        self.hosts: set[str] = set()
        self.addresses: list[str] = []

    def follow(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._console)
        page.on("request", lambda request: self._address(request.url))
        page.on("websocket", lambda socket: self._address(socket.url))

    def _console(self, message) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _address(self, url: str) -> None:
        self.addresses.append(url)
        self.hosts.add(urlsplit(url).netloc)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest_asyncio.fixture(loop_scope="module")
async def open_page(browser: Browser, watch: Watch) -> AsyncIterator[OpenPage]:
    """Open a page at an address; at the end, it must have kept to its host and not complained."""
    contexts: list[BrowserContext] = []

    async def open_at(url: str, *, language: str = "en", width: int = 1280, **options) -> Page:
        context = await browser.new_context(
            locale={"en": "en-US", "ko": "ko-KR"}[language],
            viewport={"width": width, "height": 760},
            **options,
        )
        contexts.append(context)
        page = await context.new_page()
        page.set_default_timeout(15_000)
        watch.follow(page)
        await page.goto(url)
        return page

    yield open_at
    for context in contexts:
        await context.close()
    assert len(watch.hosts - {""}) <= 1, watch.hosts
    unexpected = [
        text
        for text in watch.complaints
        if not any(expected in text for expected in watch.expected)
    ]
    assert not unexpected
