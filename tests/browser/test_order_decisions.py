"""What waits for a decision is decided in the console, against emulated providers."""

import pytest
from playwright.async_api import Page, expect

from harness import axe
from harness.accounts import Member, logged_in
from harness.market import Market

pytestmark = [pytest.mark.needs("chromium", "web"), pytest.mark.asyncio(loop_scope="module")]


async def review(market: Market) -> str:
    order = await market.order(market.sellers["portone"])
    market.portone.registered.clear()
    await market.portone_opens(order["id"])
    await market.portone.pay(order["id"], 7_250)
    await market.check(order["id"])
    return str(order["id"])


async def account_page(market: Market, admin: Member, open_page) -> Page:
    url = f"{market.gateway.url}/console/admin/accounts/{market.buyer.account_id}"
    return await open_page(url, **logged_in(admin))


async def test_another_payment_is_accepted(market: Market, open_page) -> None:
    order_id = await review(market)
    admin = await market.administrator()
    page = await account_page(market, admin, open_page)
    row = page.get_by_role("table", name="Orders").get_by_role("row").filter(has_text=order_id)
    await expect(row).to_contain_text("Has to be looked at")
    await row.get_by_role("button", name=f"Accept {order_id}").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("₩7,250 was paid; ₩10,000 was ordered.")
    await expect(dialog.get_by_label("Credit for it")).to_have_value("4.999999999")
    await axe.examine(page, "accept")
    await dialog.get_by_role("button", name="Credit", exact=True).click()
    await expect(row).to_contain_text("₩7,250")
    await expect(row.get_by_role("button", name=f"Refund {order_id}")).to_be_visible()
    assert await market.balance() == "4.999999999"


async def test_what_was_paid_is_given_back_or_the_order_closed(market: Market, open_page) -> None:
    back, closed = await review(market), await review(market)
    admin = await market.administrator()
    page = await account_page(market, admin, open_page)
    orders = page.get_by_role("table", name="Orders")
    await orders.get_by_role("button", name=f"Refund {back}").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_label("Refund", exact=True)).to_have_value("7250")
    await dialog.get_by_role("button", name="Refund", exact=True).click()
    await expect(orders.get_by_role("row").filter(has_text=back)).to_contain_text("Refunded")
    await orders.get_by_role("button", name=f"Close {closed}").click()
    await dialog.get_by_label("Reason").fill("paid by transfer")
    await dialog.get_by_role("button", name="Close", exact=True).last.click()
    row = orders.get_by_role("row").filter(has_text=closed)
    await expect(row).to_contain_text("Settled otherwise paid by transfer")
    assert (await market.state(back), await market.state(closed)) == (
        ("refunded", "0.00"), ("closed", "0.00"),
    )  # fmt: skip


async def test_a_refund_without_an_end_is_given_up(market: Market, open_page) -> None:
    seller = market.sellers["toss"]
    order = await market.order(seller)
    await market.visit(await seller.pay(order["id"]))
    admin = await market.administrator()
    market.toss.fail_next("error", 50, method="POST", path="cancel")
    path = f"/api/admin/topups/{order['id']}/refund"
    assert (await admin.call("POST", path, {"amount_minor": 10_000})).status == 503
    page = await account_page(market, admin, open_page)
    orders = page.get_by_role("table", name="Orders")
    await orders.get_by_role("button", name=f"Give up the refund of {order['id']}").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("the credit for ₩10,000 stands again")
    await dialog.get_by_role("button", name="Give up", exact=True).click()
    row = orders.get_by_role("row").filter(has_text=order["id"])
    await expect(row).to_contain_text("A refund of ₩10,000 was given up.")
    assert await market.balance() == seller.credit
    market.toss.refund(market.toss_key(order["id"]), 10_000)
    await row.get_by_role("button", name=f"Ask the provider about {order['id']}").click()
    await expect(row).to_contain_text("The provider has given back ₩10,000 after it was given up.")
    assert await market.balance() == "0.00"
