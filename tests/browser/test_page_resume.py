"""An answer that outlives the page, the network and the server, with a real gateway process."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from harness.gateway import SERVER, Gateway

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.asyncio(loop_scope="module")]

ANSWER = ".answer > .text"
END_TIMEOUT_MS = 40_000


@pytest_asyncio.fixture(loop_scope="module")
async def gateway(tmp_path) -> AsyncIterator[Gateway]:
    running = await Gateway(tmp_path, server=SERVER).start()
    try:
        yield running
        await running.stop()
    finally:
        await running.kill()


class Proxy:
    """A TCP proxy in front of the gateway, which can be cut and mended."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, far_writer}
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pump(reader, far_writer))
            group.create_task(self._pump(far_reader, writer))
        self._writers -= {writer, far_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            writer.transport.abort()
        finally:
            writer.close()


async def begin(open_page, url: str, key: str) -> tuple[Page, str]:
    """Ask, wait for some text, and return the page and the stream's id."""
    page = await open_page(url)
    await page.fill("#key", key)
    await expect(page.locator("#model")).to_have_value("demo")
    await page.fill("#message", "안녕하세요")
    await page.click("#send")
    await expect(page.locator(ANSWER)).to_contain_text("데모 시")
    link = await page.get_attribute("#link", "href")
    assert link is not None
    assert key not in link
    return page, link.removeprefix("#follow=")


async def shown(gateway: Gateway, path: str):
    return json.loads((await gateway.get(path, gateway.key)).body)


async def check_end(gateway: Gateway, page: Page, stream_id: str) -> None:
    """The page has what the server has, and only one answer was generated."""
    await expect(page.locator("#status")).to_contain_text("Done", timeout=END_TIMEOUT_MS)
    stream = await shown(gateway, f"/v1/streams/{stream_id}")
    text = stream["completion"]["choices"][0]["message"]["content"]
    assert await page.locator(ANSWER).text_content() == text
    assert [each["id"] for each in (await shown(gateway, "/v1/streams"))["data"]] == [stream_id]


async def test_a_reload_in_the_middle(open_page, gateway):
    page, stream_id = await begin(open_page, gateway.url, gateway.key)
    await page.reload()
    assert "데모" in (await page.locator(ANSWER).text_content() or "")
    await check_end(gateway, page, stream_id)


async def test_a_network_that_comes_back(open_page, gateway, watch):
    watch.expected = ("Failed to load resource", "WebSocket connection")
    proxy = Proxy(gateway.port)
    await proxy.open()
    try:
        page, stream_id = await begin(open_page, f"http://127.0.0.1:{proxy.port}", gateway.key)
        await proxy.cut()
        await expect(page.locator("#connection")).to_contain_text("Reconnecting")
        await proxy.open()
        await check_end(gateway, page, stream_id)
    finally:
        await proxy.cut()


async def test_a_server_that_is_killed_and_comes_back(open_page, gateway, watch):
    watch.expected = ("Failed to load resource", "WebSocket connection")
    page, stream_id = await begin(open_page, gateway.url, gateway.key)
    await gateway.kill()
    key = gateway.key
    await gateway.start()
    await expect(page.locator("#problem-text")).to_contain_text(
        "The server restarted before the answer was complete.", timeout=END_TIMEOUT_MS
    )
    gateway.key = key
    stream = await shown(gateway, f"/v1/streams/{stream_id}")
    assert stream["error"]["code"] == "upstream_lost"
    text = stream["completion"]["choices"][0]["message"]["content"]
    assert await page.locator(ANSWER).text_content() == text
    assert "데모" in text


async def test_a_second_device_follows_by_the_link(open_page, gateway, watch):
    first, stream_id = await begin(open_page, gateway.url, gateway.key)
    second = await open_page(f"{gateway.url}/#follow={stream_id}")
    await second.fill("#key", gateway.key)
    await check_end(gateway, second, stream_id)
    await check_end(gateway, first, stream_id)
    assert not [address for address in watch.addresses if gateway.key in address]
