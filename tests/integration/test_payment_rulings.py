"""What persons decide of orders, over HTTP and with emulated providers: once, whatever happens."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from harness.accounts import Member
from harness.http_client import ConnectionFailed
from harness.market import Market

pytestmark = pytest.mark.asyncio(loop_scope="module")

LESS = {"amount_minor": 7_250, "currency": "KRW"}


@pytest_asyncio.fixture(loop_scope="module")
async def market(market: Market) -> AsyncIterator[Market]:
    yield market
    # The books are right after each of these.
    await market.verified()


async def review(market: Market, minor: int = 7_250) -> str:
    """Return the id of an order that was paid with another amount."""
    order = await market.order(market.sellers["portone"])
    market.portone.registered.clear()
    await market.portone_opens(order["id"])
    await market.portone.pay(order["id"], minor)
    await market.visit(f"{market.gateway.url}/pay/{order['id']}/return")
    assert await market.state(order["id"]) == ("review", "0.00")
    return str(order["id"])


async def shown(admin: Member, order_id: str) -> dict[str, Any]:
    listed = await admin.call("GET", "/api/admin/topups?limit=200")
    [row] = [row for row in listed.json["data"] if row["id"] == order_id]
    return dict(row)


async def trail(admin: Member, action: str, order_id: str) -> list[dict[str, Any]]:
    listed = await admin.call("GET", f"/api/admin/audit?action={action}")
    return [row["details"] for row in listed.json["data"] if row["target"] == order_id]


async def test_what_was_paid_instead_is_accepted_once(market: Market) -> None:
    order_id = await review(market)
    admin = await market.administrator()
    paid = {"currency": "KRW", "amount": "7250", "amount_minor": 7_250, "credit": "4.999999999"}
    assert (await shown(admin, order_id))["paid"] == paid
    path = f"/api/admin/topups/{order_id}/accept"
    assert (await market.buyer.call("POST", path, LESS)).status == 403
    for wrong in ({"amount_minor": 7_251}, {"currency": "USD"}):
        refused = await admin.call("POST", path, {**LESS, **wrong})
        assert (refused.status, refused.error["code"]) == (409, "review_refused")
        assert (refused.json["paid_minor"], refused.json["currency"]) == (7_250, "KRW")
    for credit in ("0.00", "-1.00", "much"):
        assert (await admin.call("POST", path, {**LESS, "credit": credit})).status == 400
    assert await market.balance() == "0.00"
    # A double click, and notices at the same time.
    *answers, _ = await asyncio.gather(
        *(admin.call("POST", path, LESS) for _ in range(4)), market.portone.release_notices()
    )
    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409]
    await market.portone.release_notices()
    assert await market.state(order_id) == ("paid", "4.999999999")
    assert await market.balance() == "4.999999999"
    assert await trail(admin, "topup.accept", order_id) == [{**LESS, "credit": "4.999999999"}]
    # From here on it is an order as any other.
    row = await shown(admin, order_id)
    assert (row["amount_minor"], row["credit"]) == (7_250, "4.999999999")
    await market.portone.console_cancel(order_id)
    await market.portone.release_notices()
    assert await market.state(order_id) == ("refunded", "0.00")
    assert await market.balance() == "0.00"


async def test_an_administrator_says_what_it_is_worth(market: Market) -> None:
    order_id = await review(market)
    admin = await market.administrator()
    path = f"/api/admin/topups/{order_id}/accept"
    done = await admin.call("POST", path, {**LESS, "credit": "4.50"})
    assert (done.status, done.json["credited"]) == (200, "4.50")
    half = await admin.call("POST", f"/api/admin/topups/{order_id}/refund", {"amount_minor": 3_625})
    assert (half.status, half.json["credited"]) == (200, "2.25")
    assert await market.balance() == "2.25"


async def test_killed_while_an_order_is_accepted(market: Market) -> None:
    order_id = await review(market)
    admin = await market.administrator()
    path = f"/api/admin/topups/{order_id}/accept"
    await market.portone.fail_next("html")
    assert (await admin.call("POST", path, LESS)).status == 503
    assert await market.balance() == "0.00"
    await market.portone.fail_next("hang", route=order_id)
    looks = len(market.portone.calls)
    asked = asyncio.create_task(admin.call("POST", path, LESS))
    async with asyncio.timeout(20):
        while len(market.portone.calls) == looks:
            await asyncio.sleep(0.01)
    await market.gateway.kill()
    with pytest.raises(ConnectionFailed):
        await asked
    await market.portone.release()
    await market.gateway.start()
    assert await trail(admin, "topup.accept", order_id) == []
    assert await market.state(order_id) == ("review", "0.00")
    assert (await admin.call("POST", path, LESS)).status == 200
    # Killed at once after it: what was decided is there, with its entry.
    await market.gateway.kill()
    await market.gateway.start()
    assert await market.balance() == "4.999999999"
    assert (await admin.call("POST", path, LESS)).status == 409
    assert len(await trail(admin, "topup.accept", order_id)) == 1


async def test_what_was_paid_instead_is_given_back(market: Market) -> None:
    order_id = await review(market)
    admin = await market.administrator()
    path = f"/api/admin/topups/{order_id}/refund"
    more = await admin.call("POST", path, {"amount_minor": 7_251})
    assert (more.status, more.json["refundable_minor"]) == (409, 7_250)
    answers = await asyncio.gather(
        *(admin.call("POST", path, {"amount_minor": 7_250}) for _ in range(3))
    )
    assert sorted(answer.status for answer in answers) == [200, 409, 409]
    assert await market.state(order_id) == ("refunded", "0.00")
    assert await market.balance() == "0.00"
    gone = await admin.call("POST", f"/api/admin/topups/{order_id}/accept", LESS)
    assert (gone.status, gone.json["state"]) == (409, "refunded")


async def test_one_that_was_settled_elsewhere_is_closed_and_stays_so(market: Market) -> None:
    order_id = await review(market)
    admin = await market.administrator()
    path = f"/api/admin/topups/{order_id}/close"
    assert (await admin.call("POST", path, {"reason": " "})).status == 400
    answers = await asyncio.gather(
        *(admin.call("POST", path, {"reason": "paid by transfer"}) for _ in range(3))
    )
    assert sorted(answer.status for answer in answers) == [200, 409, 409]
    assert await trail(admin, "topup.close", order_id) == [{"reason": "paid by transfer"}]
    await market.portone.release_notices()
    page = await market.visit(f"{market.gateway.url}/pay/{order_id}/return")
    assert "The operator has settled this order otherwise" in page.body.decode()
    await market.portone.console_cancel(order_id)
    await market.portone.release_notices()
    row = await shown(admin, order_id)
    assert (row["state"], row["refunded_minor"], row["credited"]) == ("closed", 7_250, "0.00")
    assert await market.balance() == "0.00"


async def stuck(market: Market, admin: Member) -> str:
    """Return the id of an order whose refund Toss neither makes nor refuses."""
    order = await market.order(market.sellers["toss"])
    await market.visit(await market.sellers["toss"].pay(order["id"]))
    market.toss.fail_next("error", method="POST", path="cancel")
    path = f"/api/admin/topups/{order['id']}/refund"
    assert (await admin.call("POST", path, {"amount_minor": 10_000})).status == 503
    assert await market.state(order["id"]) == ("refunding", "0.00")
    return str(order["id"])


async def test_a_refund_that_never_ends_is_given_up_and_asked_for_anew(market: Market) -> None:
    admin = await market.administrator()
    # As long as it is tried, it fails.
    market.toss.fail_next("error", 50, method="POST", path="cancel")
    order_id = await stuck(market, admin)
    path = f"/api/admin/topups/{order_id}/refund/give-up"
    assert (await market.buyer.call("POST", path, {})).status == 403
    answers = await asyncio.gather(*(admin.call("POST", path, {}) for _ in range(3)))
    assert sorted(answer.status for answer in answers) == [200, 409, 409]
    assert await market.balance() == market.sellers["toss"].credit
    assert await trail(admin, "topup.abandon", order_id) == [
        {"amount_minor": 10_000, "currency": "KRW"}
    ]
    row = await shown(admin, order_id)
    assert (row["state"], row["given_up_minor"], row["late_minor"]) == ("paid", 10_000, 0)
    market.toss.clear_faults()
    again = await admin.call(
        "POST", f"/api/admin/topups/{order_id}/refund", {"amount_minor": 4_000}
    )
    assert (again.status, again.json["state"]) == (200, "partly_refunded")
    assert (again.json["given_up_minor"], again.json["late_minor"]) == (10_000, 0)


async def test_a_refund_that_is_made_after_it_was_given_up_is_found_and_shown(
    market: Market,
) -> None:
    """Nobody has to come by: the gateway asks again by itself, after a kill as well."""
    admin = await market.administrator()
    market.toss.fail_next("error", 50, method="POST", path="cancel")
    order_id = await stuck(market, admin)
    given_up = await admin.call("POST", f"/api/admin/topups/{order_id}/refund/give-up", {})
    assert given_up.json["credited"] == market.sellers["toss"].credit
    market.toss.clear_faults()
    await market.gateway.kill()
    market.toss.refund(market.toss_key(order_id), 10_000, f"Refund 1 of {order_id}")
    market.make_due(order_id)
    await market.gateway.start()
    async with asyncio.timeout(30):
        while (await market.state(order_id))[0] != "refunded":
            await asyncio.sleep(0.05)
    row = await shown(admin, order_id)
    assert (row["given_up_minor"], row["late_minor"], row["credited"]) == (0, 10_000, "0.00")
    assert "that had been given up" in market.gateway.log()


async def test_a_refund_is_given_up_while_its_provider_is_silent_and_after_a_kill(
    market: Market,
) -> None:
    admin = await market.administrator()
    market.toss.fail_next("error", 50, method="POST", path="cancel")
    order_id = await stuck(market, admin)
    await market.gateway.kill()
    await market.gateway.start()
    # Neither what is asked for the decision, nor what the reconciler asks, has an answer.
    market.toss.fail_next("html", 50, method="GET")
    given_up = await admin.call("POST", f"/api/admin/topups/{order_id}/refund/give-up", {})
    market.toss.clear_faults()
    assert (given_up.status, given_up.json["state"]) == (200, "paid")
    assert await market.balance() == market.sellers["toss"].credit


async def test_a_refund_that_stripe_has_no_money_for_is_asked_for_again_when_it_has(
    market: Market,
) -> None:
    """For a day Stripe repeats the refusal to the key that it was asked with."""
    seller = market.sellers["stripe"]
    order = await market.order(seller)
    await market.visit(await seller.pay(order["id"]))
    admin = await market.administrator()
    market.stripe.fail_next(
        status=400, match="POST /v1/refunds", kept=True, type="invalid_request_error",
        code="balance_insufficient", message="Insufficient funds in your Stripe balance.",
    )  # fmt: skip
    path, wanted = f"/api/admin/topups/{order['id']}/refund", {"amount_minor": 500}
    refused = await admin.call("POST", path, wanted)
    assert (refused.status, "Insufficient funds" in refused.error["message"]) == (422, True)
    assert await market.balance() == seller.credit
    done = await admin.call("POST", path, wanted)
    assert (done.status, done.json["state"]) == (200, "refunded")
    assert await market.balance() == "0.00"
