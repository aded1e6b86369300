"""The console in a browser, against a real gateway that sells credit by emulated providers."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from harness import axe
from harness.accounts import PASSWORD
from harness.http_client import fetch
from harness.market import Market
from tokenferry.domain.money import format_dollars

pytestmark = [pytest.mark.needs("chromium", "web"), pytest.mark.asyncio(loop_scope="module")]

CREDIT = "1.00"
# Below /console, and their headings.
PAGES = (
    ("", "Overview", "개요"),
    ("keys", "API keys", "API 키"),
    ("credit", "Balance", "잔액"),
    ("usage", "Usage", "사용량"),
    ("requests", "Requests", "요청 기록"),
    ("{story}", "Request", "요청 상세"),
    ("vouchers", "Vouchers", "쿠폰"),
    ("settings", "Settings", "설정"),
    ("nowhere", "Page not found", "페이지를 찾을 수 없습니다"),
)
PHONE = 360
# More steps than any of these pages has places for the focus.
TABS_MAX = 60
BAD = 400
WAIT_S = 10
POLL_S = 0.02
# What the server refuses in these tests, and is meant to: nobody has logged in yet or any more, a
# voucher with a typing error, a mail's link that is none.
REFUSALS = {
    (401, "/api/sessions/current"),
    (401, "/api/keys"),
    (404, "/api/vouchers/redeem"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def whole_market(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Market]:
    async with AsyncExitStack() as stack:
        market = await Market(tmp_path_factory.mktemp("console")).open(stack, CREDIT)
        price = ("--input", "1.00", "--output", "2.00", "--output-max", "1000")
        await market.gateway.administer("prices", "set", "demo", *price)
        yield market
        await market.verified()


@pytest_asyncio.fixture(loop_scope="module")
async def market(whole_market: Market) -> Market:
    await whole_market.welcome()
    return whole_market


class Console:
    """A browser at a gateway's console; at the end it must not have complained."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda line: self._said(line.type, line.text))
        page.on("response", lambda response: self._answered(response.status, response.url))

    def _said(self, kind: str, text: str) -> None:
        # What could not be loaded is told with its address by its response.
        if kind in ("error", "warning") and not text.startswith("Failed to load resource"):
            self.complaints.append(text)

    def _answered(self, status: int, url: str) -> None:
        own = url.startswith(f"{self.url}/")
        if own and status >= BAD and (status, urlsplit(url).path) not in REFUSALS:
            self.complaints.append(f"{status} {url}")

    async def go(self, path: str) -> None:
        await self.page.goto(f"{self.url}{path}")

    async def turn(self, path: str) -> None:
        """Go to another page without loading the document anew."""
        await self.page.evaluate(
            "path => { history.pushState(null, '', path); "
            "dispatchEvent(new PopStateEvent('popstate')) }",
            path,
        )

    async def heading(self, text: str) -> None:
        await expect(self.page.get_by_role("heading", level=1)).to_have_text(text)

    async def follow(self, name: str) -> None:
        """Go to a page by the navigation, and see that the focus goes to its heading."""
        navigation = self.page.get_by_role("navigation")
        await navigation.get_by_role("link", name=name, exact=True).click()
        await self.heading(name)
        await expect(self.page.get_by_role("heading", level=1)).to_be_focused()

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=name, exact=True).click()

    async def audit(self, what: str, *, scope: str | None = None) -> None:
        await axe.examine(self.page, what, scope=scope)

    async def fits(self, what: str) -> None:
        assert await axe.excess_px(self.page) <= 0, what


@pytest_asyncio.fixture(loop_scope="module")
async def open_console(browser: Browser, whole_market: Market) -> AsyncIterator[Any]:
    contexts, consoles = [], []

    async def open_at(path: str, **options: Any) -> Console:
        context = await browser.new_context(**options)
        contexts.append(context)
        page = await context.new_page()
        page.set_default_timeout(15_000)
        console = Console(page, whole_market.gateway.url)
        consoles.append(console)
        await console.go(path)
        return console

    yield open_at
    for context in contexts:
        await context.close()
    assert [console.complaints for console in consoles] == [[]] * len(consoles)


async def ask(market: Market, key: str) -> tuple[str, int]:
    """Send a request with a key, and return its stream and what it cost."""
    body = {"model": "demo", "messages": [{"role": "user", "content": "안녕"}], "max_tokens": 4}
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    response = await fetch(
        market.gateway.port,
        "POST",
        "/v1/chat/completions",
        headers=headers,
        body=json.dumps(body).encode(),
    )
    assert response.status == 200, response.body
    stream_id = response.json["id"].removeprefix("chatcmpl-")
    return stream_id, await charged(market, stream_id)


async def charged(market: Market, stream_id: str) -> int:
    """Wait for a request's charge, a moment after its answer, and return its cost."""
    database = market.gateway.data_dir / "tokenferry.db"
    query = "SELECT cost_nanos FROM charge WHERE stream_id = ?"
    async with asyncio.timeout(WAIT_S):
        while True:
            with closing(sqlite3.connect(database)) as connection:
                if row := connection.execute(query, (stream_id,)).fetchone():
                    return int(row[0])
            await asyncio.sleep(POLL_S)


async def test_from_the_sign_up_to_the_log_out(market: Market, open_console: Any) -> None:
    console: Console = await open_console("/console/sign-up")
    page = console.page
    await console.heading("Sign up")
    await page.get_by_label("E-mail address").fill("walk@example.com")
    await page.get_by_label("Password").fill(PASSWORD)
    await console.press("Sign up")
    await console.heading("Overview")
    await expect(page.get_by_text("Create an API key")).to_be_visible()

    key = await make_key(console)
    stream_id, cost_nanos = await ask(market, key)
    await console.follow("Usage")
    model = page.get_by_role("region", name="By model").get_by_role("row", name="demo")
    await expect(model.get_by_role("cell").nth(2)).to_have_text("1")
    await console.follow("Requests")
    await page.get_by_role("row", name="demo").get_by_role("link").click()
    await console.heading("Request")
    await expect(page.get_by_text("Asked with the key Web service")).to_be_visible()
    steps = page.get_by_role("region", name="What happened").get_by_role("listitem")
    await expect(steps.filter(has_text="Attempt 1: demo")).to_contain_text("HTTP 200")
    await expect(steps.filter(has_text="charged")).to_contain_text(f"${format_dollars(cost_nanos)}")
    await expect(page.get_by_text(stream_id).first).to_be_visible()

    await top_up(console)
    await expect(page.get_by_role("status").filter(has_text="Paid.")).to_be_visible()
    await expect(page.locator(".figures")).to_contain_text("$7.90")
    code = (await market.gateway.administer("vouchers", "create", "--amount", "0.50")).strip()
    await console.follow("Vouchers")
    await page.get_by_label("Code").fill("ABCD-EFGH")
    await console.press("Redeem")
    await expect(page.get_by_role("alert")).to_contain_text("no voucher with this code")
    await page.get_by_label("Code").fill(code.lower())
    await console.press("Redeem")
    await expect(page.get_by_role("status").filter(has_text="credited")).to_contain_text("$8.40")

    await console.follow("API keys")
    await console.press("Revoke Web service")
    await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    await expect(page.get_by_text("Show revoked keys (1)")).to_be_visible()
    await console.press("Log out")
    await console.heading("Log in")


async def make_key(console: Console) -> str:
    page = console.page
    await console.follow("API keys")
    await console.press("Create a key")
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Create a key").click()
    # What is missing is said in a summary, which has the focus and leads to the field.
    await expect(dialog.get_by_role("alert")).to_be_focused()
    await dialog.get_by_role("alert").get_by_role("link").click()
    await expect(dialog.get_by_label("Name")).to_be_focused()
    await page.keyboard.type("Web service")
    await page.keyboard.press("Enter")
    await expect(dialog.get_by_text("It will not be shown again.")).to_be_visible()
    key = await dialog.locator("code").inner_text()
    # Escape must not lose it.
    await page.keyboard.press("Escape")
    await dialog.get_by_role("button", name="Copy the key").click()
    await expect(dialog.get_by_role("status")).to_have_text("Copied")
    await dialog.get_by_role("button", name="I have copied it").click()
    await expect(page.get_by_role("row", name="Web service")).to_contain_text("Never")
    return key


async def top_up(console: Console) -> None:
    page = console.page
    await console.follow("Balance")
    await page.get_by_label("Currency").select_option("KRW")
    await page.get_by_label("Toss Payments").check()
    await console.press("Go to payment")
    await page.get_by_role("button", name="Card", exact=True).click()
    await page.get_by_role("button", name="Pay by card").click()
    await page.get_by_role("link", name="To the console").click()
    await console.heading("Balance")


async def test_by_the_keyboard_alone(market: Market, open_console: Any) -> None:
    console: Console = await open_console("/console")
    page = console.page
    await console.heading("Log in")
    await tab_to(page, "Sign up")
    await page.keyboard.press("Enter")
    await console.heading("Sign up")
    await tab_to(page, "E-mail address")
    await page.keyboard.type("keys@example.com")
    await tab_to(page, "Password")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")
    await console.heading("Overview")
    await tab_to(page, "Balance")
    await page.keyboard.press("Enter")
    await console.heading("Balance")
    await expect(page.get_by_role("heading", level=1)).to_be_focused()
    await tab_to(page, "Currency")
    await page.keyboard.press("ArrowUp")  # KRW is before USD in the list, or after
    if await page.get_by_label("Currency").input_value() != "KRW":
        await page.keyboard.press("ArrowDown")
    await expect(page.get_by_label("Currency")).to_have_value("KRW")
    await tab_to(page, "₩10,000")
    await tab_to(page, "Toss Payments")
    await tab_to(page, "Go to payment")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Card", exact=True)).to_be_enabled()
    await tab_to(page, "Card")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Pay by card")).to_be_visible()
    await tab_to(page, "Pay by card")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("The credit is on your account")
    await tab_to(page, "To the console")
    await page.keyboard.press("Enter")
    await console.heading("Balance")
    await expect(page.locator(".figures")).to_contain_text("$7.90")


async def tab_to(page: Page, name: str) -> None:
    """Press Tab until the focus is where a name begins so."""
    for _ in range(TABS_MAX):
        await page.keyboard.press("Tab")
        named = await page.evaluate(
            "() => { const at = document.activeElement;"
            " return (at.labels?.[0] ?? at).innerText?.trim() ?? '' }"
        )
        if named.startswith(name):
            return
    pytest.fail(f"Tab never reaches {name}")


async def test_a_login_that_ends_in_the_middle_loses_no_input(
    market: Market, open_console: Any
) -> None:
    console: Console = await open_console("/console")
    page = console.page
    await log_in(console, market.buyer.email)
    await console.follow("API keys")
    await console.press("Create a key")
    await page.get_by_label("Name").fill("초안")
    await page.context.clear_cookies()
    await page.get_by_role("dialog").get_by_role("button", name="Create a key").click()
    again = page.get_by_role("dialog", name="Please log in again")
    await expect(again).to_contain_text("Your draft is kept.")
    await again.get_by_label("Password").fill(PASSWORD)
    await again.get_by_role("button", name="Log in").click()
    await expect(again).to_be_hidden()
    await expect(page.get_by_label("Name")).to_have_value("초안")
    await page.get_by_role("dialog").get_by_role("button", name="Create a key").click()
    await expect(page.get_by_text("It will not be shown again.")).to_be_visible()


async def log_in(console: Console, email: str) -> None:
    page = console.page
    await page.locator("input[name=email]").fill(email)
    await page.locator("input[name=password]").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.locator(".frame")).to_be_visible()


async def test_filters_are_in_the_address_and_lead_back(market: Market, open_console: Any) -> None:
    key = await market.buyer.key("filtered")
    await ask(market, key)
    console: Console = await open_console("/console/requests?status=failed&period=7")
    page = console.page
    await log_in(console, market.buyer.email)
    await console.heading("Requests")
    await expect(page.get_by_label("Status")).to_have_value("failed")
    await expect(page.get_by_text("No requests match.")).to_be_visible()
    await page.get_by_label("Status").select_option("ok")
    await expect(page.get_by_role("row", name="demo")).to_be_visible()
    assert page.url.endswith("/console/requests?status=ok&period=7")
    await page.go_back()
    await expect(page.get_by_text("No requests match.")).to_be_visible()
    async with page.expect_download() as downloading:
        await page.get_by_role("link", name="Download CSV").click()
    assert (await downloading.value).suggested_filename == "requests.csv"


async def test_an_order_that_was_not_paid_in_time_is_not_to_be_paid_any_more(
    market: Market, open_console: Any
) -> None:
    order = await market.order(market.sellers["toss"])
    console: Console = await open_console("/console/credit", locale="ko-KR")
    page = console.page
    await log_in(console, market.buyer.email)
    row = page.get_by_role("row").filter(has_text=order["id"])
    await expect(row.get_by_role("link", name="결제")).to_be_visible()
    await page.clock.set_fixed_time(datetime.now(UTC) + timedelta(hours=1))
    await page.reload()
    await expect(row).to_contain_text("만료")
    await expect(row).to_contain_text("다시 충전해 주세요")
    await expect(row.get_by_role("link", name="결제")).to_have_count(0)
    await expect(row.get_by_role("button", name="다시 확인")).to_be_visible()


@pytest.mark.parametrize(("language", "theme", "width"), axe.LOOKS)
async def test_axe_has_nothing_to_say_and_nothing_scrolls_sideways(
    market: Market, open_console: Any, language: str, theme: Any, width: int
) -> None:
    await ask(market, await market.buyer.key("가" * 64, models=["demo", "m/" + "x" * 200]))
    stream_id, _ = await ask(market, await market.buyer.key("second", budget="5.00"))
    await market.order(market.sellers["toss"])
    console: Console = await open_console(
        "/console",
        locale={"en": "en-US", "ko": "ko-KR"}[language],
        viewport={"width": width, "height": 740},
        color_scheme=theme,
    )
    page = console.page
    for path in ("/console", "/console/sign-up", "/console/forgotten", "/account#verify=tr_x"):
        await console.go(path)
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        await page.locator("form button[type=submit]").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        await console.audit(path)
    await console.go("/console")
    await log_in(console, market.buyer.email)
    story = f"requests/{stream_id}"
    for path, *names in PAGES:
        await console.turn(f"/console/{path.format(story=story)}")
        await console.heading(names[language == "ko"])
        await expect(page.locator(".loading")).to_have_count(0)
        await console.audit(path)
    await console.turn("/console/keys")
    await console.heading(("API keys", "API 키")[language == "ko"])
    await page.locator(".page-actions button").click()
    await page.get_by_role("dialog").locator("summary").click()
    await console.audit("the dialog of a new key")
    if width == PHONE:
        await console.turn("/console")
        await console.heading(("Overview", "개요")[language == "ko"])
        await page.get_by_role("button", name=("Menu", "메뉴")[language == "ko"]).click()
        keys = ("API keys", "API 키")[language == "ko"]
        await expect(page.get_by_role("link", name=keys, exact=True)).to_be_visible()
        await console.audit("the navigation of a phone")


async def test_a_dialog_gives_the_focus_back_before_anybody_can_type(
    market: Market, open_console: Any
) -> None:
    console: Console = await open_console("/console")
    await log_in(console, market.buyer.email)
    await console.follow("API keys")
    await console.press("Create a key")
    dialog = console.page.get_by_role("dialog")
    await expect(dialog.get_by_label("Name")).to_be_focused()
    # What a click does is done when it is over, but for what waits for the next frame.
    focused = await dialog.get_by_role("button", name="Cancel").evaluate(
        "button => { button.click();"
        " return Promise.resolve().then(() => document.activeElement.textContent.trim()) }"
    )
    assert focused == "Create a key"
