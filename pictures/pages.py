"""The pages: what their pictures are called, where they are, who sees them, what is done there.

Weakness: a page that is added to the console is not added here by itself; `tests/test_docs.py`
compares the two.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from playwright.async_api import Page, expect

from pictures.world import World

Language = Literal["en", "ko"]
Who = Literal["nobody", "member", "admin"]
Step = Callable[[Page, World, Language], Awaitable[None]]
# An answer of the demo model takes some seconds.
ANSWER_TIMEOUT_MS = 60_000
QUESTIONS = {
    "en": "How do I use you from Python?",
    "ko": "파이썬에서 어떻게 사용하나요?",
}


@dataclass(frozen=True, slots=True)
class Picture:
    """A page as it is shown in the documentation.

    Attributes:
        name: What its files are called.
        path: Where the page is; `{story}` and the like stand for what the world has.
        who: Whose login the browser has.
        step: What is done before the picture is taken.
        has_answers: Whether answers are under way meanwhile.
        is_whole: Whether all of it is shown, or what fits into a window.
    """

    name: str
    path: str
    who: Who
    step: Step | None = None
    has_answers: bool = False
    is_whole: bool = True

    def address(self, world: World) -> str:
        """Return where the page is in a world."""
        path = self.path.format(
            story=world.story_id,
            open=world.open_order,
            paid=world.paid_order,
            account=world.member.account_id,
        )
        return f"{world.gateway.url}{path}"

    @asynccontextmanager
    async def meanwhile(self, world: World) -> AsyncIterator[None]:
        """Have under way what is to be under way."""
        if not self.has_answers:
            yield
            return
        async with world.long_answers():
            yield


async def _ready(page: Page, _world: World, _language: Language) -> None:
    await expect(page.locator("#model")).to_be_enabled()


async def _answered(page: Page, world: World, language: Language) -> None:
    await _ready(page, world, language)
    await page.fill("#message", QUESTIONS[language])
    await page.press("#message", "Enter")
    await expect(page.locator(".answer .figures")).to_be_visible(timeout=ANSWER_TIMEOUT_MS)
    await expect(page.locator(".code-block .line > span").first).to_be_visible()


async def _models(page: Page, world: World, language: Language) -> None:
    await _answered(page, world, language)
    await page.click("#model")
    await expect(page.get_by_role("listbox")).to_be_visible()


async def _checked(page: Page, _world: World, language: Language) -> None:
    name = {"en": "Check now", "ko": "지금 점검"}[language]
    await page.get_by_role("button", name=name).click()
    await expect(page.get_by_role("status").filter(has_text=".").first).to_be_visible()


async def _running(page: Page, _world: World, _language: Language) -> None:
    await expect(page.locator("tbody").last.get_by_role("button").first).to_be_visible()


PICTURES = (
    Picture("chat", "/", "nobody", _answered, is_whole=False),
    Picture("chat-guest", "/", "nobody", _ready, is_whole=False),
    Picture("chat-account", "/", "member", _models, is_whole=False),
    Picture("status", "/status", "nobody"),
    Picture("log-in", "/console/log-in", "nobody"),
    Picture("sign-up", "/console/sign-up", "nobody"),
    Picture("forgotten", "/console/forgotten", "nobody"),
    Picture("mail-link", "/account#verify=tr_0123456789", "nobody"),
    Picture("overview", "/console", "member"),
    Picture("keys", "/console/keys", "member"),
    Picture("balance", "/console/credit", "member"),
    Picture("pay", "/pay/{open}", "member"),
    Picture("paid", "/pay/{paid}/return", "member"),
    Picture("usage", "/console/usage", "member"),
    Picture("requests", "/console/requests", "member"),
    Picture("request", "/console/requests/{story}", "member"),
    Picture("vouchers", "/console/vouchers", "member"),
    Picture("settings", "/console/settings", "member"),
    Picture("admin-accounts", "/console/admin/accounts", "admin"),
    Picture("admin-account", "/console/admin/accounts/{account}", "admin"),
    Picture("admin-providers", "/console/admin/providers", "admin"),
    Picture("admin-models", "/console/admin/models", "admin"),
    Picture("admin-live", "/console/admin/live", "admin", _running, has_answers=True),
    Picture("admin-vouchers", "/console/admin/vouchers", "admin"),
    Picture("admin-ledger", "/console/admin/ledger", "admin", _checked),
    Picture("admin-audit", "/console/admin/audit", "admin"),
)
