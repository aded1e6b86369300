"""What can happen at the emulated PortOne: to payments, by operators and banks, and to calls.

Source: PortOne's OpenAPI schema V2 and its guides (developers.portone.io repository at af926bd,
August 2026).
"""

import asyncio
import time
from typing import Any

from emulators.portone_notices import WEBHOOK_SECRET, Notices
from emulators.portone_payments import Payment, Refused, stamp

API_SECRET = "portone-secret-of-the-emulator"
STORE_ID = "store-emulated"
CHANNEL_KEY = "channel-key-emulated"
PAGE_MAX = 1000


class PortOneService:
    """The service. Its public coroutines are what buyers, operators and faults do.

    Args:
        webhook_url: Where notices go; None for nowhere.
        live: Whether its channel is for real money.
    """

    api_secret = API_SECRET
    webhook_secret = WEBHOOK_SECRET
    store_id = STORE_ID
    channel_key = CHANNEL_KEY

    def __init__(self, webhook_url: str | None = None, *, live: bool = False) -> None:
        self.channel_type = "LIVE" if live else "TEST"
        self.offset_s = 0.0
        self.payments: dict[str, Payment] = {}
        self.registered: dict[str, tuple[int, str]] = {}
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self.cancel_outcome = "SUCCEEDED"
        self.page_size_max = PAGE_MAX
        self.notices = Notices(webhook_url, self.now)
        self.faults: list[dict[str, str | int]] = []
        self.released = asyncio.Event()

    def now(self) -> float:
        """Return its clock, Unix time."""
        return time.time() + self.offset_s

    # -- what a buyer does ---------------------------------------------------------------------

    async def open_window(self, request: dict[str, Any]) -> Payment:
        """Begin an attempt, as `PortOne.requestPayment` does."""
        payment_id, total = str(request["paymentId"]), int(request["totalAmount"])
        currency = str(request["currency"]).removeprefix("CURRENCY_")
        if request.get("storeId") != self.store_id:
            raise Refused(403, "FORBIDDEN", "no such store")
        if request.get("channelKey") != self.channel_key:
            raise Refused(404, "CHANNEL_NOT_FOUND")
        if self.registered.get(payment_id, (total, currency)) != (total, currency):
            raise Refused(400, "INVALID_REQUEST", "not what was registered")
        payment, now_s = self.payments.get(payment_id), self.now()
        if payment is not None and payment.was_paid:
            raise Refused(409, "ALREADY_PAID")
        begun = Payment(
            payment_id,
            self.store_id,
            self.channel_key,
            self.channel_type,
            total,
            currency,
            str(request.get("orderName", "")),
            now_s,
            now_s,
            attempt=payment.attempt + 1 if payment else 1,
            redirect_url=str(request.get("redirectUrl", "")),
        )
        self.payments[payment_id] = begun
        await self.notices.tell(begun, "Ready")
        return begun

    async def pay(
        self, payment_id: str, amount: int | None = None, currency: str | None = None
    ) -> Payment:
        """Pay; with an amount that the browser was made to ask for, if it was tampered with."""
        payment = await self._attempt(payment_id, amount, currency)
        payment.paid_s = self.now()
        return await self._turn(payment, "PAID", "Paid")

    async def fail(self, payment_id: str, reason: str = "한도 초과") -> Payment:
        """Let an attempt fail."""
        payment = await self._attempt(payment_id)
        payment.failure = {"reason": reason, "pgCode": "REJECTED", "pgMessage": reason}
        return await self._turn(payment, "FAILED", "Failed")

    async def give_up(self, payment_id: str) -> Payment:
        """Close the window."""
        return await self.fail(payment_id, "사용자가 결제를 취소하였습니다")

    async def pend(self, payment_id: str) -> Payment:
        """Leave it to the payment company."""
        return await self._turn(await self._attempt(payment_id), "PAY_PENDING", "PayPending")

    async def issue_account(self, payment_id: str) -> Payment:
        """Choose a virtual account."""
        payment = await self._attempt(payment_id)
        payment.account = "110-000-000001"
        return await self._turn(payment, "VIRTUAL_ACCOUNT_ISSUED", "VirtualAccountIssued")

    async def deposit(self, payment_id: str) -> Payment:
        """Pay into the virtual account."""
        payment = self._held(payment_id, "VIRTUAL_ACCOUNT_ISSUED")
        payment.paid_s = self.now()
        return await self._turn(payment, "PAID", "Paid")

    async def bounce(self, payment_id: str) -> Payment:
        """Let a deposit go back to the bank it came from."""
        payment = self._held(payment_id, "PAID")
        payment.paid_s = None
        return await self._turn(payment, "VIRTUAL_ACCOUNT_ISSUED", "VirtualAccountIssued")

    # -- what operators, banks and time do -----------------------------------------------------

    async def close_account(self, payment_id: str) -> Payment:
        """Close a virtual account before anything came; PortOne calls it a failure then."""
        payment = self._held(payment_id, "VIRTUAL_ACCOUNT_ISSUED")
        payment.failure = {"reason": "계좌말소"}
        return await self._turn(payment, "FAILED", "Failed")

    async def cancel_unpaid(self, payment_id: str) -> Payment:
        """Cancel what nobody has paid: CANCELLED, without the time it was paid at."""
        payment = self._held(payment_id, "VIRTUAL_ACCOUNT_ISSUED")
        return await self._turn(payment, "CANCELLED", "Cancelled")

    async def console_cancel(
        self, payment_id: str, amount: int | None = None, trigger: str = "CONSOLE"
    ) -> Payment:
        """Give something back at the console, or by `CHARGEBACK`; None for all that is left."""
        asked = {"reason": "관리자 취소", "amount": amount}
        payment = self.payments[payment_id]
        made = payment.cancel(asked, trigger, self.now(), "SUCCEEDED")
        await self._tell_cancelled(payment, made.id)
        return payment

    async def finish_cancel(self, payment_id: str, *, ok: bool) -> Payment:
        """End a cancellation that was only asked for."""
        payment = self.payments[payment_id]
        asked = [each for each in payment.cancellations if each.status == "REQUESTED"]
        if not asked:
            raise Refused(409, "WRONG_STATUS", "nothing was only asked for")
        made = asked[0]
        made.status = "SUCCEEDED" if ok else "FAILED"
        payment.settle_cancellations(self.now())
        if ok:
            await self._tell_cancelled(payment, made.id)
        return payment

    async def dispute(self, payment_id: str) -> Payment:
        """Let a buyer dispute it."""
        payment = self._held(payment_id, "PAID")
        payment.disputes.append(
            {"status": "UNRESOLVED", "reason": "not received", "createdAt": stamp(self.now())}
        )
        await self.notices.tell(payment, "DisputeCreated")
        return payment

    async def resolve_dispute(self, payment_id: str, *, lost: bool) -> Payment:
        """End a dispute; one that is lost costs what is left of the payment.

        That it shows as a cancellation by `CHARGEBACK` follows from the name alone.
        """
        payment = self.payments[payment_id]
        payment.disputes[-1] |= {"status": "RESOLVED", "resolvedAt": stamp(self.now())}
        await self.notices.tell(payment, "DisputeResolved")
        return await self.console_cancel(payment_id, None, "CHARGEBACK") if lost else payment

    async def distort(self, payment_id: str, fields: dict[str, Any]) -> Payment:
        """Show fields otherwise than they are; None leaves one out."""
        payment = self.payments[payment_id]
        payment.distorted = fields
        return payment

    # -- notices -------------------------------------------------------------------------------

    async def set_notices(self, mode: str, url: str | None = None) -> None:
        """Let notices be sent at once (`send`), held back (`hold`) or lost (`lose`)."""
        self.notices.mode = mode
        self.notices.url = url or self.notices.url

    async def release_notices(self, *, reverse: bool = False, times: int = 1) -> int:
        """Send what was held back or not accepted; late, several times, or the last first."""
        return await self.notices.release(reverse=reverse, times=times)

    async def send_notice(
        self,
        payment_id: str,
        kind: str = "Transaction.Paid",
        secret: str = WEBHOOK_SECRET,
        age_s: float = 0,
        more: str = "",
    ) -> int:
        """Send a notice of anything: forged with another secret, old, of an unknown kind.

        Args:
            payment_id: What it is about; it need not exist.
            kind: Its type.
            secret: What it is signed with.
            age_s: How old it is.
            more: Another signature before its own.

        Returns:
            The answer's status.
        """
        data = {"storeId": self.store_id, "paymentId": payment_id, "transactionId": "t"}
        made = self.notices.make({"type": kind, "data": data}, secret=secret, age_s=age_s)
        headers, body = made
        headers["webhook-signature"] = f"{more} {headers['webhook-signature']}".strip()
        return await self.notices.send(headers, body)

    # -- faults --------------------------------------------------------------------------------

    async def fail_next(
        self, kind: str, calls: int = 1, route: str = "", status: int = 500, code: str = ""
    ) -> None:
        """Let the next calls go wrong.

        Args:
            kind: `error` (with `status` and `code`), `html` (a 502 page), `pg` (the payment
                company's error); or after it was done: `hang`, `reset`; or before: `hold` until
                `release`.
            calls: How many.
            route: Only those whose method and path contain it.
            status: Of an error.
            code: Of an error; none for a body without type.
        """
        fault = {"kind": kind, "route": route, "status": status, "code": code}
        self.faults += [dict(fault) for _ in range(calls)]

    async def set_cancel_outcome(self, outcome: str) -> None:
        """Let cancellations end as `SUCCEEDED`, `REQUESTED` or `FAILED`."""
        self.cancel_outcome = outcome

    async def set_clock(self, offset_s: float) -> None:
        """Set the clock: so much later than it is."""
        self.offset_s = offset_s

    async def release(self) -> None:
        """Let go of calls that hang or are held."""
        self.released.set()
        self.released = asyncio.Event()

    # -- inside --------------------------------------------------------------------------------

    async def _attempt(
        self, payment_id: str, amount: int | None = None, currency: str | None = None
    ) -> Payment:
        payment = self.payments.get(payment_id)
        if payment and payment.status in ("READY", "PAY_PENDING") and amount is None:
            return payment
        known = self.registered.get(payment_id)
        if payment:
            known = (payment.total, payment.currency)
        total, in_currency = known or (0, "KRW")
        return await self.open_window(
            {
                "storeId": self.store_id,
                "channelKey": self.channel_key,
                "paymentId": payment_id,
                "totalAmount": total if amount is None else amount,
                "currency": currency or in_currency,
                "redirectUrl": payment.redirect_url if payment else "",
            }
        )

    def _held(self, payment_id: str, status: str) -> Payment:
        payment = self.payments[payment_id]
        if payment.status != status:
            raise Refused(409, "WRONG_STATUS", f"it is {payment.status}, not {status}")
        return payment

    async def _turn(self, payment: Payment, status: str, notice: str) -> Payment:
        payment.turn(status, self.now())
        await self.notices.tell(payment, notice)
        return payment

    async def _tell_cancelled(self, payment: Payment, cancellation_id: str) -> None:
        notice = "Cancelled" if payment.status == "CANCELLED" else "PartialCancelled"
        await self.notices.tell(payment, notice, cancellation_id)
