"""Credit is bought at emulated providers, over HTTP: once, whatever is lost."""

import asyncio
import re
import sqlite3
from contextlib import closing, suppress
from html import unescape
from pathlib import Path

import pytest
from emulators.toss import SECRET_KEY

from harness.accounts import call, member
from harness.gateway import SERVER, Gateway
from harness.http_client import ConnectionFailed
from harness.market import WON_CREDIT, Market
from tokenferry.engine.topups import LOOKS_PER_HOUR
from tokenferry.server.payment_texts import OUTCOMES, WORDS

pytestmark = pytest.mark.asyncio(loop_scope="module")


every_seller = pytest.mark.parametrize("name", ["toss", "portone", "stripe"])


@every_seller
async def test_the_buyer_comes_back_and_has_the_credit_once(market: Market, name: str) -> None:
    seller = market.sellers[name]
    order = await market.order(seller)
    assert (order["state"], order["credit"], order["credited"]) == ("open", seller.credit, "0.00")
    back = await seller.pay(order["id"])
    for _ in range(3):
        page = await market.visit(back)
        assert page.status == 200
        assert "The credit is on your account" in page.body.decode()
    assert await market.balance() == seller.credit
    assert await market.state(order["id"]) == ("paid", seller.credit)


@every_seller
async def test_the_notice_alone_is_enough_and_comes_as_often_as_it_likes(
    market: Market, name: str
) -> None:
    seller = market.sellers[name]
    order = await market.order(seller)
    back = await seller.pay(order["id"])
    if name == "toss":
        # The merchant has to confirm first, and the browser brings what is confirmed; the
        # notice is about what came of that.
        await market.visit(back)
    await asyncio.gather(seller.notices(), seller.notices())
    await seller.notices(times=3)
    assert await market.state(order["id"]) == ("paid", seller.credit)
    assert await market.balance() == seller.credit


@every_seller
async def test_a_forged_notice_credits_nothing(market: Market, name: str) -> None:
    seller = market.sellers[name]
    order = await market.order(seller)
    status = await seller.forge(order["id"])
    # Toss signs nothing: the notice has the provider asked, and that is all.
    assert status == (200 if name == "toss" else 401)
    assert await market.balance() == "0.00"
    assert await market.state(order["id"]) == ("open", "0.00")


@every_seller
async def test_an_order_of_another_provider_is_not_settled(market: Market, name: str) -> None:
    """A paid order's id in a notice of a provider by whom nobody has paid."""
    seller = market.sellers[name]
    order = await market.order(market.sellers["stripe" if name != "stripe" else "portone"])
    if name == "toss":
        assert await seller.forge(order["id"]) == 200
    elif name == "portone":
        data = {"storeId": market.portone.store_id, "paymentId": order["id"]}
        right = market.portone.notices.make({"type": "Transaction.Paid", "data": data})
        assert await market.portone.notices.send(*right) == 200
    else:
        thing = {"object": "checkout.session", "client_reference_id": order["id"]}
        event = {
            "object": "event",
            "type": "checkout.session.completed",
            "livemode": False,
            "data": {"object": thing},
        }
        assert await market.stripe.send(*market.stripe.notice(event)) == 200
    assert await market.balance() == "0.00"


@pytest.mark.parametrize("name", ["toss", "portone", "stripe", "alipay"])
async def test_what_is_not_configured_takes_nothing(tmp_path: Path, name: str) -> None:
    gateway = await Gateway(tmp_path, server=dict(SERVER)).start()
    try:
        answer = await call(gateway, "POST", f"/api/webhooks/{name}", {"data": {}})
        assert (answer.status, answer.error["code"]) == (404, "payment_method_unavailable")
        options = await call(gateway, "GET", "/api/topups/options")
        assert options.json == {"providers": [], "packages": []}
    finally:
        await gateway.kill()


@every_seller
async def test_all_notices_are_lost_and_the_buyer_never_comes_back(
    market: Market, name: str
) -> None:
    seller = market.sellers[name]
    order = await market.order(seller)
    back = await seller.pay(order["id"])
    if name == "toss":
        # Agreed to, written down, and the answer to the confirmation was lost.
        market.toss.fail_next("reset", method="POST", path="confirm")
        page = await market.visit(back)
        assert page.status == 503
    await market.gateway.kill()
    market.make_due(order["id"])
    await market.gateway.start()
    async with asyncio.timeout(30):
        while await market.state(order["id"]) != ("paid", seller.credit):
            await asyncio.sleep(0.05)
    assert await market.balance() == seller.credit


async def test_a_buyer_does_not_wait_for_a_provider_that_takes_its_time(market: Market) -> None:
    """The page goes on by itself, and so does what it waits for, if nobody looks any more."""
    await market.buyer.call("PATCH", "/api/account", {"language": "ko"})
    seller = market.sellers["toss"]
    order = await market.order(seller)
    back = await seller.pay(order["id"])
    market.toss.fail_next("stall", method="POST", path="confirm")
    pages = await asyncio.gather(market.visit(back), market.visit(back))
    for page in pages:
        text = page.body.decode()
        assert (page.status, WORDS["ko"]["confirming"] in text) == (202, True)
        assert re.search(r'http-equiv="refresh" content="5;url=[^"]+paymentKey=', text)
    confirmed = [call for call in market.toss.calls if order["id"] in str(call[3])]
    assert [call[:2] for call in confirmed] == [("POST", "/v1/payments/confirm")]
    market.toss.cut_hung()
    async with asyncio.timeout(120):
        while await market.state(order["id"]) != ("paid", seller.credit):
            await asyncio.sleep(0.05)
    assert await market.balance() == seller.credit


async def test_killed_between_confirmation_and_credit(market: Market) -> None:
    """Toss has the money, we have said nothing yet, and the process dies."""
    seller = market.sellers["toss"]
    order = await market.order(seller)
    back = await seller.pay(order["id"])
    market.toss.fail_next("hang", method="POST", path="confirm")
    visit = asyncio.create_task(market.visit(back))
    await asyncio.wait_for(market.toss.hung.wait(), 20)
    await market.gateway.kill()
    # On a slow machine, the buyer has been told to wait by then.
    with suppress(ConnectionFailed):
        await visit
    market.toss.cut_hung()
    assert market.toss.books.payments[market.toss_key(order["id"])]["status"] == "DONE"
    await market.gateway.start()
    assert await market.balance() == "0.00"
    assert (await market.toss.deliver(times=2))[-1] == 200
    assert await market.balance() == seller.credit
    confirmed = [call for call in market.toss.calls if order["id"] in str(call[3])]
    assert [call[:2] for call in confirmed] == [("POST", "/v1/payments/confirm")]


async def test_killed_in_the_middle_of_a_refund(market: Market) -> None:
    seller = market.sellers["toss"]
    order = await market.order(seller)
    await market.visit(await seller.pay(order["id"]))
    admin = await market.administrator()
    market.toss.hung.clear()
    market.toss.fail_next("hang", method="POST", path="cancel")
    path = f"/api/admin/topups/{order['id']}/refund"
    refund = asyncio.create_task(admin.call("POST", path, {"amount_minor": 4_000}))
    await asyncio.wait_for(market.toss.hung.wait(), 20)
    await market.gateway.kill()
    with pytest.raises(ConnectionFailed):
        await refund
    market.toss.cut_hung()
    await market.gateway.start()
    # Who wanted it has been kept with the credit that it took.
    (row,) = (await admin.call("GET", "/api/admin/audit?action=topup.refund")).json["data"]
    assert (row["target"], row["by"]) == (order["id"], admin.account_id)
    assert row["details"] == {"amount_minor": 4_000, "currency": "KRW"}
    # Due since before the provider was asked.
    async with asyncio.timeout(30):
        while (await market.state(order["id"]))[0] != "partly_refunded":
            await asyncio.sleep(0.05)
    assert await market.balance() == "4.137931034"
    [payment] = [p for p in market.toss.state()["payments"] if p["orderId"] == order["id"]]
    assert payment["balanceAmount"] == 6_000


@every_seller
async def test_an_administrator_gives_money_back(market: Market, name: str) -> None:
    seller = market.sellers[name]
    order = await market.order(seller)
    await market.visit(await seller.pay(order["id"]))
    admin = await market.administrator()
    path = f"/api/admin/topups/{order['id']}/refund"
    refused = await admin.call("POST", path, {"amount_minor": seller.minor + 1})
    assert (refused.status, refused.json["refundable_minor"]) == (409, seller.minor)
    assert (await market.buyer.call("POST", path, {"amount_minor": 1})).status == 403
    done = await admin.call("POST", path, {"amount_minor": seller.minor})
    assert (done.status, done.json["state"], done.json["credited"]) == (200, "refunded", "0.00")
    assert await market.balance() == "0.00"
    listed = await admin.call("GET", f"/api/admin/topups?account={market.buyer.account_id}")
    [row] = listed.json["data"]
    assert (row["id"], row["refunded_minor"], row["lost"]) == (order["id"], seller.minor, "0.00")


@every_seller
async def test_a_refund_at_the_providers_console_is_noticed(market: Market, name: str) -> None:
    seller = market.sellers[name]
    order = await market.order(seller)
    await market.visit(await seller.pay(order["id"]))
    await seller.refund_at_console(order["id"])
    await seller.notices()
    assert await market.state(order["id"]) == ("refunded", "0.00")
    assert await market.balance() == "0.00"


async def test_a_dispute_after_the_credit_was_spent_suspends_until_somebody_looks(
    market: Market,
) -> None:
    seller = market.sellers["stripe"]
    order = await market.order(seller)
    await market.visit(await seller.pay(order["id"]))
    admin = await market.administrator()
    path = f"/api/admin/accounts/{market.buyer.account_id}/grants"
    taken = await admin.call("POST", path, {"amount": "-3.00", "reason": "spent"})
    assert taken.status in (200, 201), taken.body
    dispute = market.stripe.books.dispute(market.session(order["id"]))
    await market.stripe.deliver()
    listed = await admin.call("GET", f"/api/admin/topups?account={market.buyer.account_id}")
    [row] = listed.json["data"]
    assert (row["state"], row["credited"], row["lost"]) == ("disputed", "0.00", "3.00")
    assert (await market.buyer.call("GET", "/api/balance")).status == 403
    market.stripe.books.set_dispute(dispute["id"], "won")
    await market.stripe.deliver()
    listed = await admin.call("GET", f"/api/admin/topups?account={market.buyer.account_id}")
    assert (listed.json["data"][0]["state"], listed.json["data"][0]["lost"]) == ("paid", "0.00")


async def test_a_deposit_comes_later_goes_back_and_comes_again(market: Market) -> None:
    seller = market.sellers["toss"]
    order = await market.order(seller)
    key = market.toss.request_payment(
        order["id"], 10_000, success_url=f"{market.gateway.url}/pay/{order['id']}/return"
    )
    page = await market.visit(market.toss.pay(key, "VIRTUAL_ACCOUNT"))
    assert OUTCOMES["en"]["waiting"] in page.body.decode()
    assert await market.balance() == "0.00"
    market.toss.lose()
    market.toss.deposit(key)
    # The secret of a deposit's notice must be the payment's.
    assert (
        await market.toss.forge(
            {
                "secret": "ps_wrong",
                "status": "DONE",
                "transactionKey": "t",
                "orderId": order["id"],
                "createdAt": "2026-11-27T00:00:00",
            }
        )
        == 401
    )
    assert set(await market.toss.deliver(newest_first=True)) == {200}
    assert await market.balance() == seller.credit
    market.toss.bounce(key)
    await market.toss.deliver()
    assert await market.balance() == "0.00"
    market.toss.deposit(key)
    await market.toss.deliver(times=2)
    assert await market.balance() == seller.credit


async def test_an_amount_that_was_tampered_with_is_for_a_person(market: Market) -> None:
    order = await market.order(market.sellers["portone"])
    # As where the registration of the amount were not enforced.
    market.portone.registered.clear()
    await market.portone_opens(order["id"])
    await market.portone.pay(order["id"], 100)
    page = await market.visit(f"{market.gateway.url}/pay/{order['id']}/return")
    assert "not what was ordered" in page.body.decode()
    assert await market.state(order["id"]) == ("review", "0.00")


async def test_somebody_elses_order_is_none(market: Market) -> None:
    order = await market.order(market.sellers["toss"])
    other = await member(market.gateway, f"other{next(market.numbers)}@example.com")
    for method, path, body in (
        ("GET", f"/api/topups/{order['id']}", None),
        ("POST", f"/api/topups/{order['id']}/check", {}),
        ("GET", "/api/topups/tu_none", None),
    ):
        answer = await other.call(method, path, body)
        assert (answer.status, answer.error["code"]) == (404, "topup_not_found")
    assert (await other.call("GET", "/api/topups")).json == {"data": []}
    assert (await other.call("GET", "/api/admin/topups")).status == 403


async def test_what_is_wrong_with_a_wish_is_said(market: Market) -> None:
    for wish, status in (
        ({"provider": "toss", "package": "USD-500"}, 404),
        ({"provider": "toss", "package": "KRW-99999"}, 404),
        ({"provider": "alipay", "package": "USD-500"}, 404),
        ({"provider": "toss"}, 400),
        ({"provider": "toss", "package": "KRW-10000", "amount": 1}, 400),
    ):
        answer = await market.buyer.call("POST", "/api/topups", wish)
        assert answer.status == status, answer.body
    assert (await market.buyer.call("GET", "/api/topups")).json == {"data": []}
    options = (await call(market.gateway, "GET", "/api/topups/options")).json
    assert options["packages"] == [
        {"id": "USD-500", "currency": "USD", "amount": "5.00", "credit": "5.00"},
        {"id": "KRW-10000", "currency": "KRW", "amount": "10000", "credit": WON_CREDIT},
    ]
    assert {seller["name"]: seller["live"] for seller in options["providers"]} == {
        "toss": False, "portone": False, "stripe": False,
    }  # fmt: skip


async def test_pages_of_no_order_and_while_the_provider_is_silent(market: Market) -> None:
    for path in ("/pay/tu_none", "/pay/tu_none/return", "/pay/tu_none/failed"):
        page = await market.visit(f"{market.gateway.url}{path}", **{"Accept-Language": "ko-KR"})
        assert (page.status, "주문을 찾을 수 없습니다" in page.body.decode()) == (404, True)
    order = await market.order(market.sellers["portone"])
    await market.portone.fail_next("html")
    page = await market.visit(f"{market.gateway.url}/pay/{order['id']}/return")
    assert page.status == 503
    assert "Nothing is lost" in page.body.decode()


async def test_a_buyer_whose_card_was_refused_sees_why(market: Market) -> None:
    order = await market.order(market.sellers["portone"])
    await market.portone_opens(order["id"])
    await market.portone.fail(order["id"], "카드 한도 초과")
    page = await market.visit(f"{market.gateway.url}/pay/{order['id']}/return?code=FAILURE")
    text = page.body.decode()
    assert (OUTCOMES["en"]["open"] in text, "카드 한도 초과" in text) == (True, True)
    assert WORDS["en"]["again"] in text


async def test_a_buyer_whose_transfer_failed_tries_again_with_the_same_order(
    market: Market,
) -> None:
    order = await market.order(market.sellers["stripe"])
    books, first = market.stripe.books, market.session(order["id"])
    books.pay(first, later=True)
    back = f"{market.gateway.url}/pay/{order['id']}/return"
    assert OUTCOMES["en"]["waiting"] in (await market.visit(back)).body.decode()
    # Nothing can be paid twice: while the transfer is under way there is no other session.
    waiting = await market.visit(f"{market.gateway.url}/pay/{order['id']}")
    assert (waiting.status, OUTCOMES["en"]["waiting"] in waiting.body.decode()) == (200, True)
    books.break_off(first, "The transfer was rejected.")
    await market.stripe.deliver()
    text = (await market.visit(back)).body.decode()
    assert (OUTCOMES["en"]["failed"] in text, WORDS["en"]["again"] in text) == (True, True)
    # Twice at once: both are led to the same session, and the other one is nobody's.
    pages = await asyncio.gather(
        *(market.visit(f"{market.gateway.url}/pay/{order['id']}") for _ in range(2))
    )
    assert [page.status for page in pages] == [303, 303]
    [url] = {page.headers["location"] for page in pages}
    [second] = [name for name, session in books.sessions.items() if session["url"] == url]
    assert second != first
    assert await market.state(order["id"]) == ("open", "0.00")
    books.pay(second)
    await market.stripe.deliver(times=2)
    assert await market.state(order["id"]) == ("paid", market.sellers["stripe"].credit)
    assert await market.balance() == market.sellers["stripe"].credit


async def test_a_buyer_who_comes_back_while_the_database_is_locked_loses_nothing(
    market: Market,
) -> None:
    """What Toss's page brings along is asked for again by the page: without it nobody confirms."""
    await market.buyer.call("PATCH", "/api/account", {"language": "ko"})
    order = await market.order(market.sellers["toss"])
    back = await market.sellers["toss"].pay(order["id"])
    with closing(sqlite3.connect(market.gateway.data_dir / "tokenferry.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        page = await market.visit(back)
        other.rollback()
    text = page.body.decode()
    assert (page.status, WORDS["ko"]["busy"] in text) == (503, True)
    [again] = re.findall(r'http-equiv="refresh" content="5;url=([^"]+)"', text)
    assert "paymentKey=" in again
    page = await market.visit(f"{market.gateway.url}{unescape(again)}")
    assert (page.status, OUTCOMES["ko"]["paid"] in page.body.decode()) == (200, True)
    assert await market.state(order["id"]) == ("paid", WON_CREDIT)


async def test_pages_of_what_is_refused_or_asked_too_often_are_in_the_buyers_language(
    market: Market,
) -> None:
    await market.buyer.call("PATCH", "/api/account", {"language": "ko"})
    order = await market.order(market.sellers["portone"])
    # Paid, and nothing of it has reached us.
    await market.sellers["portone"].pay(order["id"])
    page = await market.visit(f"{market.gateway.url}/pay/{order['id']}")
    assert (page.status, WORDS["ko"]["refused"] in page.body.decode()) == (422, True)
    assert "ALREADY_PAID" in page.body.decode()
    for _ in range(LOOKS_PER_HOUR + 1):
        page = await market.visit(f"{market.gateway.url}/pay/{order['id']}/return")
    assert (page.status, WORDS["ko"]["often"] in page.body.decode()) == (429, True)
    assert 'content="60;url=' in page.body.decode()


@every_seller
async def test_an_order_of_long_ago_cannot_be_paid_any_more(market: Market, name: str) -> None:
    """Its rate is that of long ago: nobody is to wait for a better one."""
    order = await market.order(market.sellers[name])
    path = market.gateway.data_dir / "tokenferry.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "UPDATE topup_order SET expires_ms = created_ms WHERE order_id = ?", (order["id"],)
        )
    page = await market.visit(f"{market.gateway.url}/pay/{order['id']}")
    text = page.body.decode()
    assert (page.status, "The order has expired" in text) == (200, True)
    assert "Try again" not in text


async def test_no_secret_reaches_pages_or_logs(market: Market) -> None:
    for seller in market.sellers.values():
        order = await market.order(seller)
        page = await market.visit(order["pay_url"])
        for secret in (SECRET_KEY, market.portone.api_secret, market.stripe.secret_key,
                       market.stripe.webhook_secret, market.portone.webhook_secret):  # fmt: skip
            assert secret not in page.body.decode()
            assert secret not in market.gateway.log()


async def test_the_amount_of_won_is_what_the_rate_says() -> None:
    assert int(WON_CREDIT.replace(".", "")) == 10_000 * 10**9 // 1450
