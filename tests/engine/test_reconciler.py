"""What notices have missed is found out, and no failure ends the search."""

import asyncio

import pytest

from engine.test_topups import BUYER, PAID, Teller, Till
from tokenferry.domain.topup import Order, Payment
from tokenferry.domain.topup_refund import ask_refund, give_up_refund
from tokenferry.engine.payments import ProviderUnsure
from tokenferry.engine.reconciler import (
    CONFIRM_LOOK_MS,
    DAY_MS,
    GIVEN_UP_MS,
    HOUR_MS,
    LIST_EVERY_MS,
    LIST_FIRST_MS,
    LIST_LOST_MS,
    LIST_OVERLAP_MS,
    LOOK_MS_MAX,
    MINUTE_MS,
    OPEN_MS,
    WAITING_MS,
    Reconciler,
    next_look,
)
from tokenferry.engine.topups import ORDER_MS
from tokenferry.errors import PaymentUncertain


@pytest.fixture
def till(tmp_path):
    till = Till(tmp_path / "t.db")
    yield till
    till.verify()
    till.disk.close()
    till.store.close()


@pytest.fixture
def reconciler(till):
    return Reconciler(till.topups, till.store, till.disk, lambda: till.now_ms)


async def live_through(till, reconciler, ms):
    """Let time pass, with all looks that become due in it."""
    end_ms = till.now_ms + ms
    looks = 0
    while till.now_ms < end_ms:
        till.now_ms = min(till.now_ms + MINUTE_MS, end_ms)
        looks += await reconciler.look_once(till.teller)
    return looks


async def test_a_payment_without_any_notice_is_credited(till, reconciler):
    order = await till.order()
    till.teller.payment = PAID
    assert await reconciler.look_once(till.teller) == 0
    await live_through(till, reconciler, 2 * MINUTE_MS)
    assert till.balance() == order.credit_nanos
    assert await live_through(till, reconciler, DAY_MS) == 0


async def test_an_order_that_nobody_pays_is_given_up_after_days_and_may_be_paid_late(
    till, reconciler
):
    order = await till.order()
    looks = await live_through(till, reconciler, OPEN_MS + HOUR_MS)
    assert 20 < looks < 100
    assert till.store.find(order.order_id).status == "expired"
    assert await live_through(till, reconciler, DAY_MS) == 0
    till.teller.payment = PAID
    await till.topups.notice("toss", {}, order.order_id.encode())
    assert till.balance() == order.credit_nanos


async def test_a_second_attempt_after_a_failure_is_asked_for_whatever_becomes_of_its_buyer(
    till, reconciler
):
    order = await till.order()
    till.teller.payment = Payment("failed", detail="the card was refused")
    await live_through(till, reconciler, 2 * MINUTE_MS)
    assert till.store.find(order.order_id).status == "failed"
    assert await live_through(till, reconciler, 10 * MINUTE_MS) == 0
    till.teller.faults = [("look_up", ProviderUnsure("the server died here"))]
    with pytest.raises(PaymentUncertain):
        await till.topups.returned("toss", order.order_id, "pk_2")
    till.teller.payment = PAID
    await live_through(till, reconciler, MINUTE_MS)
    assert till.balance() == order.credit_nanos


async def test_a_deposit_is_waited_for(till, reconciler):
    order = await till.order()
    till.teller.payment = Payment("waiting", secret="s")
    await live_through(till, reconciler, 10 * DAY_MS)
    till.teller.payment = PAID
    await live_through(till, reconciler, LOOK_MS_MAX + MINUTE_MS)
    assert till.balance() == order.credit_nanos


async def test_a_refund_that_was_given_up_is_looked_for_as_long_as_it_may_come(till, reconciler):
    order = await till.paid()
    order_id = order.order_id
    till.teller.faults = [("refund", ProviderUnsure("closed account"))]
    with pytest.raises(PaymentUncertain):
        await till.topups.refund(order_id, 10_000, "")
    till.store.change(
        order_id, None, lambda now, free: give_up_refund(now, None, free, till.now_ms)
    )
    looks = await live_through(till, reconciler, DAY_MS)
    assert looks == DAY_MS // LOOK_MS_MAX
    till.teller.payment = PAID._replace(refunded_minor=10_000)
    await live_through(till, reconciler, LOOK_MS_MAX + MINUTE_MS)
    assert till.store.find(order_id).late_minor == 10_000
    assert till.balance() == 0
    # There is nothing more to come.
    assert await live_through(till, reconciler, DAY_MS) == 0


async def test_a_refund_that_was_given_up_is_not_looked_for_for_ever(till, reconciler):
    order = await till.paid()
    given_up = order._replace(given_up_minor=1, given_up_ms=till.now_ms)
    assert next_look(given_up, till.now_ms + GIVEN_UP_MS - 1) is not None
    assert next_look(given_up, till.now_ms + GIVEN_UP_MS) is None


async def test_a_refund_that_is_asked_for_while_the_next_look_is_planned_is_not_forgotten(
    till, reconciler, monkeypatch
):
    order = await till.order()
    till.teller.payment = PAID
    till.now_ms += 2 * MINUTE_MS
    looked_at = till.store.looked_at

    def asked_meanwhile(order_id, *plan):
        """Whoever asks for the refund has written it, and dies."""
        monkeypatch.undo()
        till.store.change(order_id, None, lambda now, free: ask_refund(now, 10_000, "", free, 1))
        looked_at(order_id, *plan)

    monkeypatch.setattr(till.store, "looked_at", asked_meanwhile)
    await reconciler.look_once(till.teller)
    assert till.store.find(order.order_id).pending_minor == 10_000
    await live_through(till, reconciler, MINUTE_MS)
    assert till.store.find(order.order_id).refunded_minor == 10_000


async def test_a_refund_without_an_answer_finds_its_end(till, reconciler):
    order = await till.paid()
    till.teller.faults = [("answer", ProviderUnsure("reset")), ("refund", ProviderUnsure("502"))]
    with pytest.raises(Exception, match="does not answer"):
        await till.topups.refund(order.order_id, 4_000, "")
    await live_through(till, reconciler, 3 * MINUTE_MS)
    after = till.store.find(order.order_id)
    assert (after.pending_minor, after.refunded_minor) == (0, 4_000)
    assert till.teller.refunds == {1: 4_000}


async def test_one_order_that_fails_keeps_no_other_from_its_credit(till, reconciler):
    first, second = await till.order(), await till.order()
    till.teller.payment = PAID
    till.teller.faults = [("look_up", RuntimeError("a defect"))]
    await live_through(till, reconciler, MINUTE_MS)
    standing = {till.store.find(o.order_id).standing_nanos for o in (first, second)}
    assert standing == {0, first.credit_nanos}
    await live_through(till, reconciler, 5 * MINUTE_MS)
    assert till.balance() == 2 * first.credit_nanos


async def test_an_order_of_a_clock_that_was_ahead_is_asked_for(till, reconciler):
    till.now_ms += DAY_MS
    order = await till.order()
    till.now_ms -= DAY_MS
    till.teller.payment = PAID
    assert await reconciler.look_once(till.teller) == 1
    assert till.balance() == order.credit_nanos
    assert await live_through(till, reconciler, 2 * DAY_MS) == 0


async def test_a_provider_that_does_not_answer_keeps_nobody_from_anothers_credit(
    till, reconciler, monkeypatch
):
    monkeypatch.setattr("tokenferry.engine.reconciler.POLL_S", 0)
    other = Teller("stripe", payment=PAID)
    till.topups.shop.providers["stripe"] = other
    await till.order()
    paid, _ = await till.topups.create(BUYER, "stripe", "KRW-10000")
    till.now_ms += MINUTE_MS
    silent = asyncio.Event()

    async def wait_for_ever():
        silent.set()
        await asyncio.Event().wait()

    till.teller.meanwhile = wait_for_ever
    running = asyncio.create_task(reconciler.run())
    await silent.wait()
    while till.balance() == 0:
        await asyncio.sleep(0)
    assert till.balance() == paid.credit_nanos
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_list_that_takes_long_keeps_nobody_from_their_credit(till, reconciler, monkeypatch):
    monkeypatch.setattr("tokenferry.engine.reconciler.POLL_S", 0)
    order = await till.order()
    listing = asyncio.Event()

    async def changed_since(_):
        listing.set()
        await asyncio.Event().wait()

    till.teller.changed_since = changed_since
    running = asyncio.create_task(reconciler.run())
    await listing.wait()
    till.now_ms += MINUTE_MS
    till.teller.payment = PAID
    while till.balance() == 0:
        await asyncio.sleep(0)
    assert till.balance() == order.credit_nanos
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_whoever_was_to_confirm_a_payment_may_die_within_its_ten_minutes(till, reconciler):
    """The buyer is slow, agrees, and the server dies before it asks for the confirmation."""
    order = await till.order()
    for minutes in (30, 39):
        await live_through(till, reconciler, minutes * MINUTE_MS)
    till.store.agree(order.order_id, "pk_1")
    await live_through(till, reconciler, 10 * MINUTE_MS)
    assert till.teller.calls.count(("look_up", "pk_1")) >= 2


class TestLists:
    async def test_what_changed_later_is_in_the_list(self, till, reconciler):
        order = await till.paid()
        asked = []

        async def changed_since(since_ms):
            asked.append(since_ms)
            return ["tu_of_another_shop", order.order_id]

        till.teller.changed_since = changed_since
        till.teller.payment = PAID._replace(refunded_minor=10_000)
        till.now_ms += 10 * DAY_MS
        first_ms = till.now_ms
        assert await reconciler.list_once(till.teller)
        assert till.balance() == 0
        assert not await reconciler.list_once(till.teller)
        till.now_ms += LIST_EVERY_MS
        assert await reconciler.list_once(till.teller)
        assert asked == [first_ms - LIST_FIRST_MS, first_ms - LIST_OVERLAP_MS]

    async def test_what_cannot_be_settled_now_is_asked_for_by_itself(self, till, reconciler):
        order = await till.paid()
        await live_through(till, reconciler, 2 * MINUTE_MS)
        assert await reconciler.look_once(till.teller) == 0

        async def changed_since(since_ms):
            return [order.order_id]

        till.teller.changed_since = changed_since
        till.teller.payment = PAID._replace(refunded_minor=10_000)
        till.teller.faults = [("look_up", ProviderUnsure("502"))] * 2
        assert await reconciler.list_once(till.teller)
        # Not listed again, every few seconds, for one order's sake.
        assert not await reconciler.list_once(till.teller)
        await live_through(till, reconciler, 2 * HOUR_MS)
        assert till.balance() == 0

    async def test_a_clock_that_was_ahead_leaves_nothing_unlisted(self, till, reconciler):
        asked = []

        async def changed_since(since_ms):
            asked.append(since_ms)
            return []

        till.teller.changed_since = changed_since
        till.now_ms += 400 * DAY_MS
        assert await reconciler.list_once(till.teller)
        till.now_ms -= 200 * DAY_MS
        assert await reconciler.list_once(till.teller)
        assert asked[1] == till.now_ms - LIST_LOST_MS
        assert till.store.watermark("toss") == till.now_ms

    async def test_a_silent_provider_is_asked_again_from_where_it_was(self, till, reconciler):
        till.teller.faults = [("changed_since", ProviderUnsure("502"))]
        assert not await reconciler.list_once(till.teller)
        assert till.store.watermark("toss") is None
        assert await reconciler.list_once(till.teller)


async def test_it_goes_on_whatever_happens(till, reconciler, monkeypatch):
    monkeypatch.setattr("tokenferry.engine.reconciler.POLL_S", 0)
    order = await till.order()
    till.now_ms += MINUTE_MS
    rounds = 0

    def due(*_):
        nonlocal rounds
        rounds += 1
        if rounds < 3:
            raise RuntimeError("the disk is gone")
        return [order.order_id]

    monkeypatch.setattr(till.store, "due", due)
    till.teller.payment = PAID
    running = asyncio.create_task(reconciler.run())
    while till.balance() == 0:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.parametrize(
    ("status", "age_ms", "after_ms"),
    [
        ("open", 0, MINUTE_MS),
        ("open", 8 * MINUTE_MS, 2 * MINUTE_MS),
        ("open", 79 * MINUTE_MS, CONFIRM_LOOK_MS),
        ("open", 80 * MINUTE_MS, 20 * MINUTE_MS),
        ("open", 2 * DAY_MS, LOOK_MS_MAX),
        ("open", OPEN_MS - 5, 5),
        ("open", OPEN_MS, None),
        ("waiting", OPEN_MS, LOOK_MS_MAX),
        ("waiting", WAITING_MS, None),
        ("paid", 0, None),
        ("failed", 0, None),
        ("review", 0, None),
    ],
)
def test_when_an_order_is_due_again(status, age_ms, after_ms):
    expires_ms = 1_000 + ORDER_MS
    order = Order("tu_1", "a", "toss", "KRW", 1, 1, True, "", 1_000, expires_ms, status=status)
    now_ms = 1_000 + age_ms
    assert next_look(order, now_ms) == (None if after_ms is None else now_ms + after_ms)
    pending = order._replace(pending_minor=1)
    assert next_look(pending, now_ms) == now_ms + MINUTE_MS
