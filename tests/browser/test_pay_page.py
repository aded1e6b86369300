"""Buyers pay in a browser: by the providers' windows, in both languages, on all widths."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from harness import axe
from harness.market import Market
from tokenferry.server.payment_texts import OUTCOMES, WORDS

pytestmark = [pytest.mark.needs("chromium", "web"), pytest.mark.asyncio(loop_scope="module")]

# Where pictures go, for whoever wants to look at them.
PICTURES = os.environ.get("PAY_PICTURES")
PHONE = 390


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport={"width": PHONE, "height": 800})
    page = await context.new_page()
    page.set_default_timeout(15_000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    yield page
    await context.close()
    # The emulators' own pages have no icon.
    assert not [line for line in complaints if "favicon" not in line and "404" not in line]


async def picture(page: Page, name: str) -> None:
    if PICTURES:
        await page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


async def introduce(page: Page) -> None:
    await page.get_by_label(WORDS["en"]["name"]).fill("김구매")
    await page.get_by_label(WORDS["en"]["phone"]).fill("010-1234-5678")


async def test_by_card_at_toss_in_korean(market: Market, page: Page) -> None:
    await market.buyer.call("PATCH", "/api/account", {"language": "ko"})
    order = await market.order(market.sellers["toss"])
    await page.goto(order["pay_url"])
    await expect(page.locator("html")).to_have_attribute("lang", "ko")
    await expect(page.locator("dl")).to_contain_text("₩10,000")
    await picture(page, "toss-ko-phone")
    await axe.examine(page, "pay, on a phone")
    await page.set_viewport_size({"width": 1280, "height": 800})
    await page.emulate_media(color_scheme="dark")
    await picture(page, "toss-ko-dark")
    await page.get_by_role("button", name=WORDS["ko"]["card"]).click()
    await page.get_by_role("button", name="Pay by card").click()
    await expect(page.get_by_role("status")).to_have_text(OUTCOMES["ko"]["paid"])
    await picture(page, "paid-ko-dark")
    await axe.examine(page, "paid, in the dark")
    assert await market.state(order["id"]) == ("paid", order["credit"])
    # Coming back, also by the back button, is no second payment.
    await page.goto(order["pay_url"])
    await expect(page.get_by_role("status")).to_have_text(OUTCOMES["ko"]["paid"])
    assert await market.balance() == order["credit"]


async def test_giving_up_at_toss_and_trying_again(market: Market, page: Page) -> None:
    order = await market.order(market.sellers["toss"])
    await page.goto(order["pay_url"])
    await page.get_by_role("button", name=WORDS["en"]["card"]).click()
    await page.get_by_role("button", name="Give up").click()
    await expect(page.get_by_role("status")).to_have_text(OUTCOMES["en"]["open"])
    await picture(page, "open-en-phone")
    await page.get_by_role("link", name=WORDS["en"]["again"]).click()
    await page.get_by_role("button", name=WORDS["en"]["virtual"]).click()
    await page.get_by_role("button", name="Pay into a virtual account").click()
    await expect(page.get_by_role("status")).to_have_text(OUTCOMES["en"]["waiting"])
    market.toss.deposit(market.toss_key(order["id"]))
    await page.get_by_role("link", name=WORDS["en"]["refresh"]).click()
    await expect(page.get_by_role("status")).to_have_text(OUTCOMES["en"]["paid"])
    assert await market.balance() == order["credit"]


async def test_at_portone(market: Market, page: Page) -> None:
    order = await market.order(market.sellers["portone"])
    await page.goto(order["pay_url"])
    await picture(page, "portone-asks")
    await axe.examine(page, "pay, with name and phone number")
    # Without them no window is opened.
    await page.get_by_role("button", name=WORDS["en"]["easy"]).click()
    await expect(page.get_by_label(WORDS["en"]["name"])).to_be_focused()
    await introduce(page)
    await page.get_by_role("button", name=WORDS["en"]["easy"]).click()
    await picture(page, "portone-emulator")
    await page.get_by_role("button", name="Pay", exact=True).click()
    await expect(page.get_by_role("status")).to_have_text(OUTCOMES["en"]["paid"])
    assert await market.balance() == order["credit"]


async def test_by_a_deposit_at_portone(market: Market, page: Page) -> None:
    order = await market.order(market.sellers["portone"])
    await page.goto(order["pay_url"])
    await introduce(page)
    await page.get_by_role("button", name=WORDS["en"]["virtual"]).click()
    await page.get_by_role("button", name="Take a virtual account").click()
    await expect(page.get_by_role("status")).to_have_text(OUTCOMES["en"]["waiting"])
    await market.portone.deposit(order["id"])
    await page.get_by_role("link", name=WORDS["en"]["refresh"]).click()
    await expect(page.get_by_role("status")).to_have_text(OUTCOMES["en"]["paid"])
    assert await market.balance() == order["credit"]


async def test_at_stripe(market: Market, page: Page) -> None:
    order = await market.order(market.sellers["stripe"])
    await page.goto(f"{market.gateway.url}/pay/{order['id']}")
    assert page.url.startswith(market.stripe.url)
    await page.get_by_role("button", name="Pay", exact=True).click()
    await expect(page.get_by_role("status")).to_have_text(OUTCOMES["en"]["paid"])
    assert await market.balance() == "5.00"


async def test_a_script_that_does_not_load_is_said(market: Market, page: Page) -> None:
    order = await market.order(market.sellers["toss"])
    await page.route("**/v2/standard", lambda route: route.fulfill(status=200, body=""))
    await page.goto(order["pay_url"])
    await page.get_by_role("button", name=WORDS["en"]["card"]).click()
    await expect(page.locator("#outcome")).to_have_text(WORDS["en"]["no_script"])
    await expect(page.get_by_role("button", name=WORDS["en"]["card"])).to_be_enabled()


async def test_both_languages_say_the_same_things() -> None:
    assert WORDS["en"].keys() == WORDS["ko"].keys()
    assert OUTCOMES["en"].keys() == OUTCOMES["ko"].keys()
