"""Orders are settled whatever is lost, repeated, reordered or cut off on the way."""

import asyncio
import re
from contextlib import closing
from dataclasses import dataclass, field

import pytest

from stores.test_sqlite_audit_trail import ENTRY
from tokenferry.domain.ledger import Charge, grant
from tokenferry.domain.topup import Order, Payment
from tokenferry.engine.audit_trail import AuditEntry, AuditFilter
from tokenferry.engine.links import World
from tokenferry.engine.payments import (
    Buyer,
    Hint,
    OrderFilter,
    ProviderRefuses,
    ProviderUnsure,
    Redirect,
    Urls,
    WebhookForged,
)
from tokenferry.engine.shop import Package, Shop
from tokenferry.engine.topups import LOOKS_PER_HOUR, ORDER_MS, ORDERS_OPEN_MAX, TopUps
from tokenferry.engine.workers import Workers
from tokenferry.errors import (
    PaymentDeclined,
    PaymentsOff,
    PaymentUncertain,
    RateLimited,
    RefundRefused,
    TooManyTopUps,
    TopUpNotFound,
    WebhookRefused,
)
from tokenferry.stores.sqlite_accounts import SqliteAccounts
from tokenferry.stores.sqlite_audit import SqliteAudit
from tokenferry.stores.sqlite_audit_trail import SqliteAuditTrail
from tokenferry.stores.sqlite_ledger import SqliteLedger
from tokenferry.stores.sqlite_topups import SqliteTopUps

DOLLAR = 10**9
BUYER = Buyer("acc_1", "buyer@example.com", "ko")
PACKAGE = Package("KRW-10000", "KRW", 10_000, 7 * DOLLAR, "1 USD = 1428 KRW (2026-11-27)")
PAID = Payment("paid", "KRW", 10_000)


@dataclass
class Teller:
    """A provider whose state the test sets; `calls` is what it was asked for."""

    name: str = "toss"
    live: bool = True
    currencies: frozenset = frozenset({"KRW"})
    payment: Payment = field(default_factory=lambda: Payment("open"))
    faults: list = field(default_factory=list)
    calls: list = field(default_factory=list)
    refunds: dict = field(default_factory=dict)
    meanwhile: object = None
    next_ref: str = "pk_1"

    def _fault(self, name):
        if self.faults and self.faults[0][0] == name:
            raise self.faults.pop(0)[1]

    async def begin(self, order: Order, urls: Urls, buyer: Buyer):
        self.calls.append(("begin", order.order_id, urls.success))
        self._fault("begin")
        begun = order.payment_ref or self.next_ref
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return Redirect(f"https://pay.example/{begun}", begun)

    async def look_up(self, order: Order) -> Payment:
        self.calls.append(("look_up", order.payment_ref))
        self._fault("look_up")
        payment, meanwhile = self.payment, self.meanwhile
        if meanwhile is not None:
            self.meanwhile = None
            await meanwhile()
        return payment

    async def refund(self, order: Order) -> None:
        self.calls.append(("refund", order.refunds, order.pending_minor))
        self._fault("refund")
        if self.refunds.setdefault(order.refunds, order.pending_minor):
            refunded = sum(self.refunds.values())
            self.payment = self.payment._replace(refunded_minor=refunded)
        # Done, and then its answer is lost, if the test wants that.
        self._fault("answer")

    async def read_webhook(self, headers, body):
        self._fault("read_webhook")
        if body == b"forged":
            raise WebhookForged("no signature")
        order_id, _, secret = body.decode().partition(" ")
        return Hint(order_id, secret or None) if order_id else None

    async def changed_since(self, since_ms):
        self._fault("changed_since")
        return []

    async def close(self):
        self.calls.append(("close",))


class Till:
    """Top-ups over a real database."""

    def __init__(self, path):
        self.path = path
        self.now_ms = 1_000
        self.teller = Teller()
        self.store = SqliteTopUps(path)
        self.disk = Workers("till", 1, 50)
        self.numbers = iter(range(1, 10_000))
        world = World(
            lambda: self.now_ms,
            lambda: self.now_ms * 10**6,
            lambda count: next(self.numbers).to_bytes(count),
        )
        shop = Shop(
            {PACKAGE.package_id: PACKAGE, "USD-500": Package("USD-500", "USD", 500, 5, "")},
            {"toss": self.teller},
            lambda order_id: Urls(f"https://g/{order_id}/return", f"https://g/{order_id}/failed"),
        )
        self.topups = TopUps(self.store, self.disk, shop, world)

    async def order(self) -> Order:
        order, _ = await self.topups.create(BUYER, "toss", "KRW-10000")
        return await self.topups.find(order.order_id)

    async def paid(self) -> Order:
        order = await self.order()
        self.teller.payment = PAID
        return await self.topups.settle(order.order_id)

    def balance(self) -> int:
        accounts = SqliteAccounts(self.path)
        try:
            return accounts.balance_nanos("acc_1")
        finally:
            accounts.close()

    def audited(self) -> list[AuditEntry]:
        with closing(SqliteAuditTrail(self.path)) as trail:
            return [entry for _, entry in trail.entries(AuditFilter(9))]

    def spend(self, nanos: int) -> None:
        ledger = SqliteLedger(self.path)
        charge = Charge(f"st_{nanos}", "acc_1", "k", "m", "p", "m", 1, 2, 1, 0, 0, 1, 0, False,
                        nanos, nanos, 0, "stop", None, 1, None, 1)  # fmt: skip
        ledger.commit([charge])
        ledger.close()

    def verify(self) -> None:
        audit = SqliteAudit(self.path)
        assert audit.verify().differences == []
        audit.close()


@pytest.fixture
def till(tmp_path):
    till = Till(tmp_path / "t.db")
    yield till
    till.verify()
    till.disk.close()
    till.store.close()


class TestOrdering:
    async def test_an_order_is_written_before_the_provider_is_asked(self, till):
        till.teller.faults = [("begin", ProviderUnsure("timeout"))]
        with pytest.raises(PaymentUncertain):
            await till.topups.create(BUYER, "toss", "KRW-10000")
        [order] = till.store.listing(OrderFilter("acc_1", None, 5))
        assert (order.amount_minor, order.credit_nanos) == (10_000, 7 * DOLLAR)
        assert order.note == PACKAGE.note

    async def test_its_name_is_one_that_every_payment_company_takes(self, till):
        """KCP, KPN and Smartro want letters and digits, up to 40; Toss at least 6."""
        order = await till.order()
        assert re.fullmatch("[A-Za-z0-9]{6,40}", order.order_id)

    async def test_the_payments_name_is_written_before_the_buyer_goes_there(self, till):
        order = await till.order()
        assert order.payment_ref == "pk_1"
        assert till.teller.calls == [
            ("begin", order.order_id, f"https://g/{order.order_id}/return")
        ]

    async def test_who_begins_twice_at_once_is_led_to_the_one_payment_that_is_asked_for(self, till):
        """Who pays another one pays where nobody looks."""
        till.teller.faults = [("begin", ProviderUnsure("timeout"))]
        with pytest.raises(PaymentUncertain):
            await till.topups.create(BUYER, "toss", "KRW-10000")
        [order] = till.store.listing(OrderFilter("acc_1", None, 5))

        async def other():
            till.teller.next_ref = "pk_2"
            _, begun = await till.topups.begin(order.order_id, BUYER)
            assert begun.payment_ref == "pk_2"

        till.teller.meanwhile = other
        _, begun = await till.topups.begin(order.order_id, BUYER)
        assert begun.payment_ref == "pk_2"
        assert till.store.find(order.order_id).payment_ref == "pk_2"

    @pytest.mark.parametrize(
        ("provider", "package"),
        [("stripe", "KRW-10000"), ("toss", "KRW-1"), ("toss", "USD-500"), ("", "")],
    )
    async def test_only_what_is_sold_can_be_bought(self, till, provider, package):
        with pytest.raises(PaymentsOff):
            await till.topups.create(BUYER, provider, package)
        assert till.store.listing(OrderFilter(None, None, 5)) == []

    async def test_a_provider_that_refuses_says_why(self, till):
        till.teller.faults = [("begin", ProviderRefuses("최소 결제 금액 미만입니다"))]
        with pytest.raises(PaymentDeclined, match="최소 결제 금액"):
            await till.topups.create(BUYER, "toss", "KRW-10000")

    async def test_unpaid_orders_are_limited_and_expired_ones_do_not_count(self, till):
        for _ in range(ORDERS_OPEN_MAX):
            await till.order()
        with pytest.raises(TooManyTopUps):
            await till.order()
        till.now_ms += 3_600_000
        await till.order()

    async def test_what_has_expired_is_not_begun_anew_at_its_old_rate(self, till):
        order = await till.order()
        till.now_ms = order.expires_ms - 1
        await till.topups.begin(order.order_id, BUYER)
        till.now_ms += 1
        with pytest.raises(PaymentDeclined, match="expired"):
            await till.topups.begin(order.order_id, BUYER)
        assert [call[0] for call in till.teller.calls] == ["begin", "begin"]

    async def test_nor_is_a_payment_confirmed_that_the_buyer_agreed_to_later_still(self, till):
        """Whoever was on the provider's page in time is slow, and not late."""
        order = await till.order()
        till.now_ms = order.expires_ms + ORDER_MS - 1
        await till.topups.returned("toss", order.order_id, "pk_slow")
        assert till.store.find(order.order_id).payment_ref == "pk_slow"
        till.now_ms += 1
        await till.topups.returned("toss", order.order_id, "pk_late")
        assert till.store.find(order.order_id).payment_ref == "pk_slow"
        # What was paid for all that is credited.
        till.teller.payment = PAID
        assert (await till.topups.settle(order.order_id)).status == "paid"


class TestSettling:
    async def test_of_many_at_once_one_credits(self, till):
        order = await till.order()
        till.teller.payment = PAID
        settled = await asyncio.gather(*(till.topups.settle(order.order_id) for _ in range(20)))
        assert {order.standing_nanos for order in settled} == {7 * DOLLAR}
        assert till.balance() == 7 * DOLLAR

    async def test_an_answer_that_is_older_than_a_change_is_asked_for_again(self, till):
        """The slow look-up says `paid`; before it is booked, a refund was seen by another one."""
        order = await till.paid()

        async def another():
            till.teller.payment = PAID._replace(refunded_minor=10_000)
            await till.topups.settle(order.order_id)

        till.teller.meanwhile = another
        settled = await till.topups.settle(order.order_id)
        assert (settled.standing_nanos, till.balance()) == (0, 0)

    async def test_nothing_is_booked_while_the_provider_does_not_say(self, till):
        order = await till.order()
        till.teller.payment = PAID
        till.teller.faults = [("look_up", ProviderUnsure("HTTP 502 with no JSON"))]
        with pytest.raises(PaymentUncertain):
            await till.topups.settle(order.order_id)
        assert till.balance() == 0
        assert (await till.topups.settle(order.order_id)).status == "paid"

    async def test_the_buyers_word_is_written_before_it_is_acted_on(self, till):
        order = await till.order()
        till.teller.faults = [("look_up", ProviderUnsure("the server died here"))]
        with pytest.raises(PaymentUncertain):
            await till.topups.returned("toss", order.order_id, "pk_new")
        assert till.store.find(order.order_id).payment_ref == "pk_new"

    async def test_what_is_credited_does_not_change_its_name(self, till):
        order = await till.paid()
        await till.topups.returned("toss", order.order_id, "pk_of_another")
        assert till.store.find(order.order_id).payment_ref == "pk_1"

    async def test_an_order_is_settled_by_its_own_provider_alone(self, till):
        order = await till.order()
        till.teller.payment = PAID
        with pytest.raises(TopUpNotFound):
            await till.topups.returned("portone", order.order_id, None)
        with pytest.raises(PaymentsOff):
            await till.topups.notice("portone", {}, order.order_id.encode())
        assert till.balance() == 0

    async def test_who_asks_all_the_time_is_held_off(self, till):
        order = await till.order()
        for _ in range(LOOKS_PER_HOUR):
            await till.topups.returned("toss", order.order_id, None)
        with pytest.raises(RateLimited):
            await till.topups.returned("toss", order.order_id, None)

    async def test_unknown_orders(self, till):
        for ask in (till.topups.settle, till.topups.find):
            with pytest.raises(TopUpNotFound):
                await ask("tu_none")


class TestNotices:
    async def test_a_notice_has_the_provider_asked(self, till):
        order = await till.order()
        # What the notice says is of no matter: only what the provider answers.
        await till.topups.notice("toss", {}, order.order_id.encode())
        assert till.balance() == 0
        till.teller.payment = PAID
        for _ in range(3):
            await till.topups.notice("toss", {}, order.order_id.encode())
        assert till.balance() == 7 * DOLLAR

    async def test_a_forged_one_is_refused_and_asks_nobody(self, till):
        order = await till.order()
        till.teller.payment = PAID
        with pytest.raises(WebhookRefused):
            await till.topups.notice("toss", {}, b"forged")
        await till.topups.settle(order.order_id)
        assert [call[0] for call in till.teller.calls] == ["begin", "look_up"]

    async def test_a_wrong_secret_is_refused(self, till):
        order = await till.order()
        till.teller.payment = Payment("waiting", secret="ps_1")
        await till.topups.settle(order.order_id)
        till.teller.payment = PAID
        with pytest.raises(WebhookRefused):
            await till.topups.notice("toss", {}, f"{order.order_id} ps_2".encode())
        assert till.balance() == 0
        await till.topups.notice("toss", {}, f"{order.order_id} ps_1".encode())
        assert till.balance() == 7 * DOLLAR

    async def test_what_is_not_ours_is_taken_and_forgotten(self, till):
        await till.topups.notice("toss", {}, b"tu_of_another_shop")
        await till.topups.notice("toss", {}, b"")
        assert till.teller.calls == []

    async def test_one_that_fails_is_to_come_again(self, till):
        """A notice that was answered with 200 and not settled is lost: it must be an error."""
        order = await till.order()
        till.teller.payment = PAID
        till.teller.faults = [("look_up", ProviderUnsure("down"))]
        with pytest.raises(PaymentUncertain):
            await till.topups.notice("toss", {}, order.order_id.encode())
        await till.topups.notice("toss", {}, order.order_id.encode())
        assert till.balance() == 7 * DOLLAR

    async def test_an_unreadable_one_for_now_is_to_come_again(self, till):
        till.teller.faults = [("read_webhook", ProviderUnsure("down"))]
        with pytest.raises(PaymentUncertain):
            await till.topups.notice("toss", {}, b"x")


class TestRefunds:
    async def test_a_refund_takes_the_credit_and_gives_the_money(self, till):
        order = await till.paid()
        after = await till.topups.refund(order.order_id, 4_000, "")
        assert (after.refunded_minor, after.pending_minor) == (4_000, 0)
        assert till.balance() == 4_200_000_000
        again = await till.topups.refund(order.order_id, 6_000, "")
        assert (again.refunded_minor, till.balance()) == (10_000, 0)
        assert [call for call in till.teller.calls if call[0] == "refund"] == [
            ("refund", 1, 4_000),
            ("refund", 2, 6_000),
        ]

    async def test_what_is_spent_is_not_given_back(self, till):
        order = await till.paid()
        till.spend(4 * DOLLAR)
        with pytest.raises(RefundRefused) as refused:
            await till.topups.refund(order.order_id, 5_000, "")
        most = refused.value.details["refundable_minor"]
        assert most == 4_285
        assert not [call for call in till.teller.calls if call[0] == "refund"]
        await till.topups.refund(order.order_id, most, "")
        assert till.balance() < DOLLAR // 1_000

    async def test_one_that_the_provider_refuses_leaves_the_credit_and_can_be_repeated(self, till):
        order = await till.paid()
        till.teller.faults = [("refund", ProviderRefuses("계좌 오류"))]
        with pytest.raises(PaymentDeclined, match="계좌 오류"):
            await till.topups.refund(order.order_id, 10_000, "")
        assert till.balance() == 7 * DOLLAR
        after = await till.topups.refund(order.order_id, 10_000, "")
        assert (after.refunded_minor, till.balance()) == (10_000, 0)

    async def test_who_wants_it_is_kept_with_the_credit_that_it_takes(self, till):
        order = await till.paid()
        told = []

        def on_asked():
            told.append((till.balance(), till.audited(), [call[0] for call in till.teller.calls]))

        with pytest.raises(RefundRefused):
            await till.topups.refund(order.order_id, 10_001, "", ENTRY, on_asked)
        assert (told, till.audited()) == ([], [])
        before = [call[0] for call in till.teller.calls]
        till.teller.faults = [("refund", ProviderRefuses("계좌 오류"))]
        with pytest.raises(PaymentDeclined):
            await till.topups.refund(order.order_id, 10_000, "", ENTRY, on_asked)
        assert told == [(0, [ENTRY], before)]

    @pytest.mark.parametrize("where", ["refund", "answer"])
    async def test_one_whose_answer_is_lost_holds_the_credit_until_it_is_known(self, till, where):
        order = await till.paid()
        till.teller.faults = [(where, ProviderUnsure("reset"))]
        with pytest.raises(PaymentUncertain):
            await till.topups.refund(order.order_id, 10_000, "")
        assert till.balance() == 0
        with pytest.raises(RefundRefused):
            await till.topups.refund(order.order_id, 10_000, "")
        # Somebody has to ask: the order is due.
        assert till.store.due("toss", till.now_ms, 10**9, 5) == [order.order_id]
        settled = await till.topups.settle(order.order_id)
        assert (settled.refunded_minor, settled.pending_minor) == (10_000, 0)
        assert till.teller.refunds == {1: 10_000}
        assert till.balance() == 0

    async def test_of_two_at_once_one_is_done(self, till):
        order = await till.paid()
        outcomes = await asyncio.gather(
            *(till.topups.refund(order.order_id, 10_000, "") for _ in range(4)),
            return_exceptions=True,
        )
        assert till.balance() == 0
        assert sum(till.teller.refunds.values()) == 10_000
        assert any(isinstance(outcome, Order) for outcome in outcomes)
        assert all(isinstance(outcome, Order | RefundRefused) for outcome in outcomes)


class TestDisputes:
    async def test_what_a_bank_takes_back_after_it_was_spent_suspends_the_account(self, till):
        accounts = SqliteAccounts(till.path)
        try:
            from tokenferry.domain.account import Account

            accounts.create(
                Account("acc_1", "buyer@example.com", "member", "active", "ko", 1), None, 0
            )
            order = await till.paid()
            till.spend(3 * DOLLAR)
            till.teller.payment = PAID._replace(disputed_minor=10_000)
            await till.topups.settle(order.order_id)
            assert till.balance() == 0
            account = accounts.find("acc_1")
            assert account.state == "suspended"
            assert order.order_id in account.suspended_reason
            till.teller.payment = PAID
            won = await till.topups.settle(order.order_id)
            # The loss first: what was spent was had.
            assert (won.short_nanos, till.balance()) == (0, 4 * DOLLAR)
        finally:
            accounts.close()

    async def test_other_credit_is_taken_as_far_as_it_goes(self, till):
        accounts = SqliteAccounts(till.path)
        accounts.book(grant("acc_1", 2 * DOLLAR, "g1", 1, "welcome"))
        accounts.close()
        order = await till.paid()
        till.spend(8 * DOLLAR)
        till.teller.payment = PAID._replace(disputed_minor=5_000)
        settled = await till.topups.settle(order.order_id)
        assert (settled.short_nanos, till.balance()) == (2_500_000_000, 0)
