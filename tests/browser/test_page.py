"""The page in a browser against a real gateway process, with the demo model."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, WebSocket, expect

from harness.gateway import SERVER, Gateway

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.asyncio(loop_scope="module")]

GREETING = "안녕하세요"
ANSWER = "#turns .answer > .text"
# The demo model's pace is 30 tokens a second; the answer's beginning is enough to see it.
SEEN_LENGTHS_MIN = 5


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    running = await Gateway(
        tmp_path_factory.mktemp("page"), server={**SERVER, "orphan_timeout_s": 1}
    ).start()
    try:
        yield running
        await running.stop()
    finally:
        await running.kill()


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


async def enter_key(page: Page, key: str) -> None:
    await page.fill("#key", key)
    await expect(page.locator("#model")).to_have_value("demo")


async def compose_and_enter(page: Page, text: str) -> None:
    """Type Hangul through the input method, syllable by syllable, and end it with Enter."""
    devtools = await page.context.new_cdp_session(page)
    for end in range(1, len(text) + 1):
        part = {"text": text[:end], "selectionStart": end, "selectionEnd": end}
        await devtools.send("Input.imeSetComposition", part)
    enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 229}
    await devtools.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **enter})
    await devtools.send("Input.insertText", {"text": text})
    await devtools.send("Input.dispatchKeyEvent", {"type": "keyUp", **enter})


async def lengths_seen(page: Page, count: int) -> list[int]:
    """Return the first `count` lengths of the answer that can be told apart."""
    seen = [0]
    async with asyncio.timeout(20):
        while len(seen) <= count:
            length = len(await page.locator(ANSWER).text_content() or "")
            if length != seen[-1]:
                seen.append(length)
    return seen[1:]


async def open_streams(gateway: Gateway) -> float:
    metrics = (await gateway.get("/metrics")).body.decode()
    return float(re.search(r"^tokenferry_open_streams (\S+)$", metrics, re.MULTILINE)[1])


async def test_a_question_typed_in_korean_is_sent_once_and_answered_token_by_token(
    open_page, gateway
):
    page = await open_page(gateway.url, language="ko")
    frames = Frames(page)
    await enter_key(page, gateway.key)
    await page.focus("#message")
    await compose_and_enter(page, GREETING)
    lengths = await lengths_seen(page, SEEN_LENGTHS_MIN)
    assert lengths == sorted(lengths)
    await expect(page.locator("#status")).to_have_text(
        re.compile(r"^완료 · 토큰 \d+개 · 첫 토큰 \d+ms · 전체 [\d.]+초$"), timeout=30_000
    )

    creates = frames.of("create")
    assert [create["request"]["messages"] for create in creates] == [
        [{"role": "user", "content": GREETING}]
    ]
    shown = await page.locator(ANSWER).text_content()
    assert shown == "".join(chunk["choices"][0]["delta"]["content"] for chunk in frames.of("chunk"))
    assert "데모 시뮬레이터" in shown
    assert f"> {GREETING}" in shown
    (done,) = frames.of("done")
    assert done["finish_reason"] == "stop"
    assert done["usage"]["completion_tokens"] > 50
    await expect(page.locator("#status")).to_contain_text(
        f"토큰 {done['usage']['completion_tokens']}개"
    )
    assert await page.locator(".question").count() == 1
    await expect(page.locator("#message")).to_have_value("")


async def test_stop_ends_the_answer_on_the_server_and_the_next_question_is_answered(
    open_page, gateway
):
    page = await open_page(gateway.url)
    frames = Frames(page)
    await enter_key(page, gateway.key)
    await page.fill("#message", "A long answer, please")
    await page.press("#message", "Enter")
    await lengths_seen(page, 3)
    await page.click("#stop")
    await expect(page.locator("#status")).to_contain_text("Stopped")
    (done,) = frames.of("done")
    assert done["finish_reason"] == "cancelled"
    shown = await page.locator(ANSWER).text_content()
    await page.wait_for_timeout(300)
    assert await page.locator(ANSWER).text_content() == shown

    await page.fill("#message", "And now?")
    await page.click("#send")
    await expect(page.locator(ANSWER).nth(1)).to_contain_text("demo simulator")
    assert len(frames.of("ready")) == 1
    assert frames.of("create")[1]["request"]["messages"] == [
        {"role": "user", "content": "A long answer, please"},
        {"role": "assistant", "content": shown},
        {"role": "user", "content": "And now?"},
    ]


async def test_wrong_keys_are_explained(open_page, gateway, watch):
    watch.expected = ("Failed to load resource",)
    page = await open_page(gateway.url, language="ko")
    await page.fill("#key", "sk-something-else")
    await expect(page.get_by_role("alert")).to_contain_text("Tokenferry 키(tf_…)가 아닙니다.")
    key = await gateway.create_key("to-be-revoked")
    await enter_key(page, key)
    await expect(page.get_by_role("alert")).to_be_hidden()
    await gateway.revoke_key(key)
    await page.fill("#message", GREETING)
    await page.click("#send")
    await expect(page.get_by_role("alert")).to_contain_text("등록되지 않았거나 폐기된 키입니다.")
    await expect(page.locator("#message")).to_have_value(GREETING)


async def test_a_tab_that_does_not_come_back_ends_its_answer(open_page, gateway):
    page = await open_page(gateway.url)
    await enter_key(page, gateway.key)
    await page.fill("#message", "A long answer, please")
    await page.press("#message", "Enter")
    await lengths_seen(page, 1)
    assert await open_streams(gateway) == 1
    await page.close()
    async with asyncio.timeout(5):
        while await open_streams(gateway):
            await asyncio.sleep(0.05)
