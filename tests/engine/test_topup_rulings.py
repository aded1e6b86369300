"""What persons decide holds against whatever comes at the same time."""

import asyncio
import logging

import pytest

from engine.test_topups import DOLLAR, PAID, Till
from stores.test_sqlite_audit_trail import ENTRY
from tokenferry.domain.topup import Payment, state_of
from tokenferry.domain.topup_review import Seen
from tokenferry.engine.audit_trail import AuditFilter
from tokenferry.engine.payments import ProviderUnsure
from tokenferry.engine.topup_rulings import TopUpRulings
from tokenferry.errors import InvalidRequest, PaymentUncertain, RefundRefused, ReviewRefused
from tokenferry.stores.sqlite_audit_trail import SqliteAuditTrail

LESS = PAID._replace(amount_minor=5_000)
SEEN = Seen("KRW", 5_000)


class Desk(Till):
    """A till, and somebody who decides."""

    def __init__(self, path):
        super().__init__(path)
        self.rulings = TopUpRulings(self.topups, self.store, self.disk, lambda: self.now_ms)

    async def review(self, payment=LESS):
        order = await self.order()
        self.teller.payment = payment
        return await self.topups.settle(order.order_id)

    async def refunding(self):
        order = await self.paid()
        self.teller.faults = [("refund", ProviderUnsure("점검 시간"))]
        with pytest.raises(PaymentUncertain):
            await self.topups.refund(order.order_id, 10_000, "")
        return self.store.find(order.order_id)

    def accept(self, order, seen=SEEN, credit=None):
        return self.rulings.accept(order.order_id, seen, credit, lambda *_: ENTRY)

    def give_up(self, order):
        return self.rulings.give_up(order.order_id, lambda _: ENTRY)

    def entries(self):
        trail = SqliteAuditTrail(self.path)
        try:
            return len(trail.entries(AuditFilter(99)))
        finally:
            trail.close()


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path / "t.db")
    yield desk
    desk.verify()
    desk.disk.close()
    desk.store.close()


class TestAccepting:
    async def test_once_however_many_decide(self, desk):
        order = await desk.review()
        done = await asyncio.gather(
            *(desk.accept(order) for _ in range(3)),
            desk.rulings.close(order.order_id, "no", ENTRY),
            desk.topups.settle(order.order_id),
            return_exceptions=True,
        )
        assert len([one for one in done if isinstance(one, ReviewRefused)]) == 3
        order = desk.store.find(order.order_id)
        assert desk.balance() == (3_500_000_000 if order.status == "paid" else 0)
        assert desk.entries() == 1

    async def test_what_the_provider_says_by_now_counts(self, desk):
        order = await desk.review()
        desk.teller.payment = PAID
        with pytest.raises(ReviewRefused) as refused:
            await desk.accept(order)
        assert refused.value.details["state"] == "paid"
        assert (desk.balance(), desk.entries()) == (7 * DOLLAR, 0)

    async def test_nothing_while_the_provider_is_silent(self, desk):
        order = await desk.review()
        desk.teller.faults = [("look_up", ProviderUnsure("timeout"))]
        with pytest.raises(PaymentUncertain):
            await desk.accept(order)
        assert (desk.balance(), desk.entries()) == (0, 0)

    async def test_of_money_without_a_rate_the_worth_is_said(self, desk):
        order = await desk.review(Payment("paid", "EUR", 700))
        with pytest.raises(InvalidRequest, match="no rate for EUR"):
            await desk.accept(order, Seen("EUR", 700))
        await desk.accept(order, Seen("EUR", 700), 8 * DOLLAR)
        assert (desk.balance(), desk.entries()) == (8 * DOLLAR, 1)


class TestGivingBack:
    async def test_how_much_was_paid_is_asked_once_more(self, desk):
        order = await desk.review()
        desk.teller.payment = LESS._replace(amount_minor=4_000)
        with pytest.raises(RefundRefused) as refused:
            await desk.topups.refund(order.order_id, 5_000, "")
        assert refused.value.details == {"refundable_minor": 4_000, "currency": "KRW"}
        after = await desk.topups.refund(order.order_id, 4_000, "")
        assert (state_of(after), desk.teller.refunds) == ("refunded", {1: 4_000})


class TestGivingUp:
    async def test_while_it_is_being_asked_for_and_is_made_after_all(self, desk, caplog):
        """Between the provider's doing it and our booking it, somebody gives it up."""
        order = await desk.refunding()
        desk.teller.meanwhile = lambda: desk.give_up(order)
        with caplog.at_level(logging.WARNING):
            after = await desk.topups.settle(order.order_id)
        assert (state_of(after), desk.balance()) == ("refunded", 0)
        assert (after.given_up_minor, after.late_minor) == (0, 10_000)
        assert "gave back 10000 KRW that had been given up" in caplog.text
        assert (desk.teller.refunds, desk.entries()) == ({1: 10_000}, 1)

    async def test_it_is_due_to_be_looked_for(self, desk):
        order = await desk.refunding()
        desk.store.looked_at(order.order_id, None)
        after = await desk.give_up(order)
        assert desk.store.due("toss", desk.now_ms, 10**15, 9) == [order.order_id]
        assert (state_of(after), desk.balance()) == ("paid", 7 * DOLLAR)
        with pytest.raises(RefundRefused, match="No refund"):
            await desk.give_up(order)
        assert desk.entries() == 1

    async def test_of_a_provider_that_is_not_configured_any_more(self, desk):
        order = await desk.refunding()
        desk.topups.shop.providers.clear()
        await desk.give_up(order)
        assert desk.balance() == 7 * DOLLAR

    async def test_what_changes_meanwhile_is_seen(self, desk):
        order = await desk.refunding()

        async def console():
            """A notice is settled between the question and the decision."""
            desk.teller.faults = []
            await desk.topups.settle(order.order_id)

        desk.teller.meanwhile = console
        with pytest.raises(RefundRefused, match="No refund"):
            await desk.give_up(order)
        assert (desk.teller.refunds, desk.balance(), desk.entries()) == ({1: 10_000}, 0, 0)
