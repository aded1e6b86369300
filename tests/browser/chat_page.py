"""What tests do on the chat page."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from playwright.async_api import Locator, Page, WebSocket, expect

# Generous: a machine that does much else at the same time.
END_TIMEOUT_MS = 40_000
COME_TIMEOUT_S = 20
# What stands where a figure is not known.
UNKNOWN = "\N{EN DASH}"


class Frames:
    """The WebSocket frames of a page, decoded."""

    def __init__(self, page: Page) -> None:
        self.sent: list[dict[str, Any]] = []
        self.received: list[dict[str, Any]] = []
        page.on("websocket", self._follow)

    def _follow(self, socket: WebSocket) -> None:
        socket.on("framesent", lambda text: self.sent.append(json.loads(text)))
        socket.on("framereceived", lambda text: self.received.append(json.loads(text)))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [frame for frame in self.sent + self.received if frame["type"] == kind]


def answers(page: Page) -> Locator:
    return page.locator(".answer > .text")


def figures(page: Page) -> Locator:
    """What stands under an answer that has ended."""
    return page.locator(".answer .figures")


async def ready(page: Page) -> None:
    await expect(page.locator("#model")).to_be_enabled(timeout=END_TIMEOUT_MS)


async def ask(page: Page, text: str = "안녕하세요") -> None:
    await page.fill("#message", text)
    await page.press("#message", "Enter")


async def use_key(page: Page, key: str) -> None:
    """Enter a key in the settings."""
    await page.get_by_role("button", name="Settings", exact=True).click()
    await page.fill("#key", key)
    await expect(page.locator(".visitor .who")).to_contain_text("Key ")
    await page.keyboard.press("Escape")


async def new_chat(page: Page) -> None:
    await page.locator(".new-chat").click()
    await expect(page.locator(".turn")).to_have_count(0)


async def compose(page: Page, text: str, *, end_first: bool = False) -> None:
    """Type through an input method and end with Enter, in the order of Chrome or of Safari."""
    devtools = await page.context.new_cdp_session(page)
    for end in range(1, len(text) + 1):
        part = {"text": text[:end], "selectionStart": end, "selectionEnd": end}
        await devtools.send("Input.imeSetComposition", part)
    enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 229}
    if end_first:
        await devtools.send("Input.insertText", {"text": text})
    await devtools.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **enter})
    if not end_first:
        await devtools.send("Input.insertText", {"text": text})
    await devtools.send("Input.dispatchKeyEvent", {"type": "keyUp", **enter})


async def until(page: Page, expression: str) -> None:
    """Wait until an expression holds in the page; by asking, since the page bans eval."""
    async with asyncio.timeout(COME_TIMEOUT_S):
        while not await page.evaluate(expression):
            await asyncio.sleep(0.02)


async def until_true(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(COME_TIMEOUT_S):
        while not condition():
            await asyncio.sleep(0.02)


AT_END = (
    "(t => t.scrollHeight - t.clientHeight - t.scrollTop <= 1)"
    "(document.getElementById('transcript'))"
)
