"""How the chat page looks, in both languages and themes, and what axe finds in each state."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from browser.chat_page import answers, ask, figures, new_chat, ready
from browser.fake_gateway import FakeGateway, Talk, greet
from harness import axe

pytestmark = [pytest.mark.needs("chromium", "web"), pytest.mark.asyncio(loop_scope="module")]

ALL_RULES = {("en", "light"), ("ko", "dark")}
CHOOSE = """(choices) => {
  const channel = new BroadcastChannel("tokenferry-choices");
  channel.postMessage(choices);
  channel.close();
}"""
WIDE = "| " + " | ".join(f"column {n}" for n in range(12)) + " |\n" + "|---" * 12 + "|\n"
ROW = "| " + " | ".join(f"값 {n} value" for n in range(12)) + " |\n"
CODE = "# 주석\ndef f(x: int) -> str:\n    return 'x' * 3 + \"" + "y" * 200 + '"\n'
RICH = (
    "# 제목\n\n**굵게(강조)**은 `code`와 [link](https://a.example)입니다.\n\n"
    f"{WIDE}{ROW}\n```python\n{CODE}```\n\n"
    "- [x] done\n- [ ] open\n\n> quote\n\n![그림](https://b.example/i.png)\n\n" + "가" * 300
)


@pytest_asyncio.fixture(loop_scope="module")
async def gateway() -> AsyncIterator[FakeGateway]:
    async with FakeGateway().serve() as running:
        yield running


async def rich(talk: Talk) -> None:
    await talk.started()
    await talk.delta(content="", reasoning_content="먼저 생각합니다")
    await talk.text(RICH)
    await talk.done(cost="0.000412")


async def choose(page: Page, language: str, theme: str) -> None:
    """Choose as another tab would, which this one has to follow."""
    await page.evaluate(CHOOSE, {"language": language, "theme": theme})
    await expect(page.locator("html")).to_have_attribute("lang", language)
    await expect(page.locator("html")).to_have_attribute("data-theme", theme)


async def check(page: Page, state: str, found: list[str]) -> None:
    for language in ("en", "ko"):
        for theme in ("light", "dark"):
            await choose(page, language, theme)
            # Names follow the language and contrast the theme: two of the four ask for all.
            every = axe.EVERY or (language, theme) in ALL_RULES
            rules = axe.TAGS if every else ["color-contrast"]
            found += [
                f"{state} {language} {theme}: {fault}"
                for fault in await axe.faults(page, rules=rules)
            ]


async def check_waiting(page: Page, gateway: FakeGateway, found: list[str]) -> None:
    go = asyncio.Event()

    async def waits(talk: Talk) -> None:
        await talk.started()
        await talk.send("queued", position=3, eta_s=5)
        await go.wait()
        await rich(talk)

    gateway.script = waits
    await ask(page)
    await expect(page.locator(".phase.queued")).to_be_visible()
    await check(page, "queued", found)
    await page.keyboard.press("Escape")
    await check(page, "stopping", found)


async def check_answered(page: Page, gateway: FakeGateway, found: list[str]) -> None:
    gateway.script = rich
    await page.reload()
    await page.locator(".new-chat").click()
    await ask(page, "질문")
    await expect(figures(page)).to_be_visible()
    await expect(page.locator(".code-block .line > span").first).to_be_visible()
    await page.locator("summary").click()
    await check(page, "answered", found)
    await page.locator("#model").click()
    await expect(page.get_by_role("listbox")).to_be_visible()
    await check(page, "models", found)
    await page.keyboard.press("Escape")
    await page.locator(".question .tools .button").last.click()
    await expect(page.locator(".editor")).to_be_visible()
    await check(page, "editing", found)
    await page.keyboard.press("Escape")


async def check_failed(page: Page, gateway: FakeGateway, found: list[str]) -> None:
    async def fail(talk: Talk) -> None:
        await talk.started()
        await talk.error("provider_timeout", "Nothing came.", done=True)

    gateway.script = fail
    await ask(page, "다시")
    await expect(page.get_by_role("alert")).to_be_visible()
    await check(page, "failed", found)
    await page.locator(".bar > .button").last.click()
    await expect(page.locator("dialog")).to_be_visible()
    await check(page, "settings", found)
    gateway.who = ""
    await page.reload()
    await expect(page.locator(".empty #key")).to_be_visible()
    await check(page, "out", found)


async def test_axe_finds_nothing(open_page, gateway, watch):
    """Check 10, the chat page's half: every state by theme by language."""
    watch.expected = ("Failed to load resource",)
    page = await open_page("about:blank", bypass_csp=True)
    page.context.set_default_timeout(15_000)
    await page.add_init_script(path=axe.AXE)
    await page.goto(gateway.url)
    await ready(page)
    found: list[str] = []
    await check(page, "empty", found)

    await check_waiting(page, gateway, found)
    await check_answered(page, gateway, found)
    await check_failed(page, gateway, found)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_no_sideways_scrolling_at_360_px(open_page, gateway, language):
    """Check 9: a table of twelve columns, long code, a word without an end, and a failure."""

    async def wide(talk: Talk) -> None:
        await talk.started()
        await talk.text(RICH, "\n\n", "x" * 500)
        await talk.error("other", "y" * 300, done=True)

    gateway.script = wide
    page = await open_page(gateway.url, language=language, width=360)
    await ready(page)
    await ask(page, "z" * 300)
    await expect(page.get_by_role("alert")).to_be_visible()
    for selector in ("html", "body", "#transcript", ".bar", ".composer-area"):
        excess_px = await page.evaluate(
            "(s) => document.querySelector(s).scrollWidth - document.querySelector(s).clientWidth",
            selector,
        )
        assert excess_px <= 0, selector
    assert await page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    scrolls = "(s) => { const e = document.querySelector(s); return e.scrollWidth > e.clientWidth }"
    for selector in (".table-scroll", ".code-block pre"):
        assert await page.evaluate(scrolls, selector), selector


async def test_language_and_theme_can_be_switched_and_are_kept(open_page, gateway):
    page = await open_page(gateway.url, language="ko", color_scheme="light")
    assert await page.get_attribute("html", "lang") == "ko"
    await expect(page.locator("#send")).to_have_text("보내기")
    background = "getComputedStyle(document.documentElement).backgroundColor"
    assert await page.evaluate(background) == "rgb(255, 255, 255)"
    gateway.script = greet
    await ask(page)
    await expect(answers(page)).to_have_text("안녕하세요!")
    await expect(figures(page)).to_contain_text("토큰 5개")
    other = await page.context.new_page()
    await other.goto(gateway.url)
    await page.get_by_role("button", name="설정").click()
    await page.select_option("#language", "en")
    await page.select_option("#theme", "dark")
    await expect(page.locator("dialog h2")).to_have_text("Settings and help")
    await page.keyboard.press("Escape")
    await expect(figures(page)).to_contain_text("5 tokens")
    # The other tab follows, and the server's next document has it before any script runs.
    await expect(other.locator("#send")).to_have_text("Send")
    await page.reload()
    assert await page.get_attribute("html", "lang") == "en"
    assert await page.evaluate(background) == "rgb(15, 18, 22)"
    assert await other.evaluate(background) == "rgb(15, 18, 22)"
    await new_chat(page)


async def test_korean_breaks_between_words_and_focus_can_be_seen(open_page, gateway):
    page = await open_page(gateway.url)
    await ready(page)
    await ask(page, "안녕하세요")
    await expect(page.locator(".markdown")).to_have_attribute("lang", "ko")
    style = "getComputedStyle(document.querySelector('.markdown')).wordBreak"
    assert await page.evaluate(style) == "keep-all"
    await page.keyboard.press("Shift+Tab")
    style = "getComputedStyle(document.activeElement)"
    assert await page.evaluate(f"{style}.outlineStyle") == "solid"
    assert await page.evaluate(f"parseFloat({style}.outlineWidth)") >= 2
