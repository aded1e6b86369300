"""What the emulated Toss Payments holds, and the rules by which it changes.

No HTTP: payments as Toss's `Payment` objects, transactions, and a clock that can be moved.

Source: docs.tosspayments.com, "Core API", "API error codes" and "Payment flow", November 2026.
Weakness: where the documents are silent (the code for a wrong amount, whether a payment that nobody
has confirmed is found by its order) it is a guess, and `hidden_until_confirmed` offers both.
"""

import secrets
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

KST = timezone(timedelta(hours=9))
WINDOW_S = 30 * 60
CONFIRM_S = 10 * 60
ACCOUNT_S = 7 * 24 * 3600
Json = dict[str, Any]


class TossError(Exception):
    """An answer of the API that is an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message


def not_found() -> TossError:
    return TossError(404, "NOT_FOUND_PAYMENT", "존재하지 않는 결제 입니다.")


class TossBooks:
    """Payments, and what buyers, banks, merchants and the console do with them."""

    def __init__(self) -> None:
        self.clock_offset_s = 0.0
        self.hidden_until_confirmed = False
        self.payments: dict[str, Json] = {}
        self.transactions: list[Json] = []
        # What the API does not show: where the buyer goes, until when something may happen.
        self._private: dict[str, Json] = {}
        # Called with a payment after its status has changed.
        self.changed: Callable[[Json], None] = lambda _: None

    # -- the clock ---------------------------------------------------------------------------

    def now(self) -> float:
        return time.time() + self.clock_offset_s

    def advance(self, seconds: float) -> None:
        """Move the clock; what is overdue then expires."""
        self.clock_offset_s += seconds
        for payment in list(self.payments.values()):
            self._expire(payment)

    def stamp(self) -> str:
        return datetime.fromtimestamp(self.now(), UTC).astimezone(KST).isoformat("T", "seconds")

    # -- the buyer ---------------------------------------------------------------------------

    def open_window(
        self,
        order_id: str,
        amount: float,
        *,
        currency: str = "KRW",
        order_name: str = "",
        success_url: str = "http://127.0.0.1/success",
        fail_url: str = "http://127.0.0.1/fail",
    ) -> Json:
        """Create a payment, as `requestPayment` in the buyer's browser does."""
        self._refuse_second(order_id)
        key = f"tferr{secrets.token_hex(12)}"
        payment: Json = {
            "mId": "tferry", "version": "2022-11-16", "paymentKey": key, "type": "NORMAL",
            "orderId": order_id, "orderName": order_name, "currency": currency, "method": None,
            "totalAmount": amount, "balanceAmount": amount, "suppliedAmount": amount, "vat": 0,
            "taxFreeAmount": 0, "status": "READY", "requestedAt": self.stamp(), "approvedAt": None,
            "useEscrow": False, "lastTransactionKey": None, "cultureExpense": False, "card": None,
            "virtualAccount": None, "transfer": None, "easyPay": None, "cancels": None,
            "secret": None, "failure": None, "isPartialCancelable": True, "receipt": None,
            "cashReceipt": None, "country": "KR",
        }  # fmt: skip
        self.payments[key] = payment
        until = self.now() + WINDOW_S
        self._private[key] = {"success": success_url, "fail": fail_url, "until": until}
        return payment

    def agree(self, key: str, method: str = "CARD") -> str:
        """Let the buyer agree to a payment; return where the browser goes then."""
        payment = self.payments[key]
        self._expire(payment)
        if payment["status"] != "READY":
            raise TossError(400, "ALREADY_PROCESSED_PAYMENT", "이미 처리된 결제 입니다.")
        payment["method"] = {"CARD": "카드", "VIRTUAL_ACCOUNT": "가상계좌"}.get(method, method)
        self._private[key] |= {"until": self.now() + CONFIRM_S, "account": method != "CARD"}
        self._become(payment, "IN_PROGRESS")
        query = f"paymentType=NORMAL&orderId={payment['orderId']}&paymentKey={key}"
        return _with_query(
            self._private[key]["success"], f"{query}&amount={payment['totalAmount']}"
        )

    def give_up(self, key: str, code: str = "PAY_PROCESS_ABORTED") -> str:
        """Let a payment fail in its window; return where the browser goes then."""
        payment = self.payments[key]
        payment["failure"] = {"code": code, "message": "결제가 취소되었거나 실패했습니다."}
        self._become(payment, "ABORTED")
        query = f"code={code}&message=failed&orderId={payment['orderId']}"
        return _with_query(self._private[key]["fail"], query)

    def deposit(self, key: str) -> None:
        """Pay into a payment's virtual account."""
        payment = self.payments[key]
        if payment["status"] != "WAITING_FOR_DEPOSIT" or payment["virtualAccount"]["expired"]:
            raise TossError(400, "NOT_WAITING", "입금 대기 중이 아닙니다.")
        payment["approvedAt"] = self.stamp()
        self._book(payment, payment["totalAmount"], "DONE")
        self._become(payment, "DONE")

    def bounce(self, key: str) -> None:
        """Let a deposit go back, as after a bank's error."""
        payment = self.payments[key]
        if payment["status"] != "DONE" or payment["virtualAccount"] is None:
            raise TossError(400, "NO_DEPOSIT", "입금된 가상계좌가 아닙니다.")
        payment["approvedAt"] = None
        self._book(payment, payment["totalAmount"], "WAITING_FOR_DEPOSIT")
        self._become(payment, "WAITING_FOR_DEPOSIT")

    # -- the merchant ------------------------------------------------------------------------

    def find(self, key: str) -> Json:
        payment = self.payments.get(key)
        if payment is None or self._is_hidden(payment):
            raise not_found()
        self._expire(payment)
        return payment

    def find_by_order(self, order_id: str) -> Json:
        """Return an order's payment: the confirmed one, else the newest."""
        found = [p for p in self.payments.values() if p["orderId"] == order_id]
        found = [p for p in found if not self._is_hidden(p)]
        if not found:
            raise not_found()
        approved = [p for p in found if p["approvedAt"] is not None]
        return self.find((approved or found)[-1]["paymentKey"])

    def confirm(self, body: Json) -> Json:
        key, amount = body.get("paymentKey"), body.get("amount")
        payment = self.payments.get(key) if isinstance(key, str) else None
        if payment is None:
            raise not_found()
        self._expire(payment)
        status = payment["status"]
        if status in ("READY", "EXPIRED", "ABORTED") or payment["orderId"] != body.get("orderId"):
            message = "결제 시간이 만료되어 결제 진행 데이터가 존재하지 않습니다."
            raise TossError(404, "NOT_FOUND_PAYMENT_SESSION", message)
        if status != "IN_PROGRESS":
            raise TossError(400, "ALREADY_PROCESSED_PAYMENT", "이미 처리된 결제 입니다.")
        self._refuse_second(payment["orderId"])
        if type(amount) is not int or amount != payment["totalAmount"]:
            raise TossError(400, "INVALID_REQUEST", "결제 금액이 일치하지 않습니다.")
        payment["secret"] = f"ps_{secrets.token_hex(14)}"
        if self._private[key]["account"]:
            payment["virtualAccount"] = {
                "accountNumber": "X6505636518308", "accountType": "일반", "bankCode": "20",
                "customerName": "김토스", "expired": False, "settlementStatus": "INCOMPLETED",
                "refundStatus": "NONE", "refundReceiveAccount": None,
            }  # fmt: skip
            self._private[key]["until"] = self.now() + ACCOUNT_S
            self._book(payment, amount, "WAITING_FOR_DEPOSIT")
            self._become(payment, "WAITING_FOR_DEPOSIT")
        else:
            payment["approvedAt"] = self.stamp()
            payment["card"] = {"number": "433012******1234", "amount": amount}
            self._book(payment, amount, "DONE")
            self._become(payment, "DONE")
        return payment

    def cancel(self, key: str, body: Json, *, console: bool = False) -> Json:
        payment = self.find(key)
        status, balance = payment["status"], payment["balanceAmount"]
        amount = balance if body.get("cancelAmount") is None else body["cancelAmount"]
        if not body.get("cancelReason"):
            raise TossError(400, "INVALID_REQUEST", "취소 사유는 필수입니다.")
        if status == "CANCELED":
            raise TossError(400, "ALREADY_CANCELED_PAYMENT", "이미 취소된 결제 입니다.")
        if status not in ("DONE", "PARTIAL_CANCELED", "WAITING_FOR_DEPOSIT"):
            raise TossError(403, "NOT_CANCELABLE_PAYMENT", "취소 할 수 없는 결제 입니다.")
        if type(amount) is not int or not 0 < amount <= balance:
            raise TossError(403, "NOT_CANCELABLE_AMOUNT", "취소 할 수 없는 금액 입니다.")
        if body.get("refundableAmount", balance) != balance:
            message = "잔액 결과가 일치하지 않습니다."
            raise TossError(400, "NOT_MATCHES_REFUNDABLE_AMOUNT", message)
        if status == "WAITING_FOR_DEPOSIT" and amount < balance:
            message = "입금 대기중인 결제는 부분 환불이 불가합니다."
            raise TossError(403, "NOT_ALLOWED_PARTIAL_REFUND_WAITING_DEPOSIT", message)
        account = body.get("refundReceiveAccount")
        deposited = payment["virtualAccount"] is not None and status != "WAITING_FOR_DEPOSIT"
        if deposited and not console and not _is_account(account):
            raise TossError(400, "INVALID_REFUND_ACCOUNT_INFO", "환불 계좌 정보가 필요합니다.")
        payment["balanceAmount"] = balance - amount
        # What was given back part by part stays PARTIAL_CANCELED to the end.
        whole = payment["balanceAmount"] == 0 and not payment["cancels"]
        self._book(payment, -amount, "CANCELED" if whole else "PARTIAL_CANCELED")
        cancel = {
            "cancelAmount": amount, "cancelReason": body["cancelReason"],
            "refundableAmount": payment["balanceAmount"], "canceledAt": self.stamp(),
            "transactionKey": payment["lastTransactionKey"], "cancelStatus": "DONE",
            "cancelRequestId": None, "receiptKey": None, "taxFreeAmount": 0,
        }  # fmt: skip
        payment["cancels"] = [*(payment["cancels"] or []), cancel]
        self._private[key].setdefault("accounts", []).append(account)
        self._become(payment, "CANCELED" if whole else "PARTIAL_CANCELED")
        return payment

    def accounts_paid(self, key: str) -> list[Json | None]:
        """Return where each cancellation's money went; None for whence it came."""
        return list(self._private[key].get("accounts", []))

    def list_transactions(self, start: str, end: str, after: str | None, limit: int) -> list[Json]:
        """Return transactions of a time, both ends included, in Korean time without offset."""
        try:
            first, last = (datetime.fromisoformat(t).replace(tzinfo=KST) for t in (start, end))
        except ValueError:
            raise TossError(400, "INVALID_DATE", "날짜 데이터가 잘못 되었습니다.") from None
        rows = [
            row
            for row in self.transactions
            if first <= datetime.fromisoformat(row["transactionAt"]) < last + timedelta(seconds=1)
        ]
        if after is not None:
            keys = [row["transactionKey"] for row in rows]
            if after not in keys:
                raise TossError(400, "INVALID_TRANSACTION_KEY", "잘못된 페이징 키 입니다.")
            rows = rows[keys.index(after) + 1 :]
        return rows[:limit]

    # -- inside ------------------------------------------------------------------------------

    def _refuse_second(self, order_id: str) -> None:
        """Refuse to take money for an order twice."""
        taken = ("DONE", "PARTIAL_CANCELED", "CANCELED", "WAITING_FOR_DEPOSIT")
        if any(p["orderId"] == order_id and p["status"] in taken for p in self.payments.values()):
            message = "이미 승인 및 취소가 진행된 중복된 주문번호 입니다."
            raise TossError(400, "DUPLICATED_ORDER_ID", message)

    def _is_hidden(self, payment: Json) -> bool:
        return self.hidden_until_confirmed and payment["status"] in ("READY", "IN_PROGRESS")

    def _become(self, payment: Json, status: str) -> None:
        payment["status"] = status
        self.changed(payment)

    def _book(self, payment: Json, amount: float, status: str) -> None:
        key = f"txrd_{secrets.token_hex(13)}"
        payment["lastTransactionKey"] = key
        row = {"transactionKey": key, "amount": amount, "status": status}
        row |= {name: payment[name] for name in ("mId", "paymentKey", "orderId", "currency")}
        self.transactions.append(
            {**row, "method": payment["method"], "transactionAt": self.stamp()}
        )

    def _expire(self, payment: Json) -> None:
        if self.now() < self._private[payment["paymentKey"]]["until"]:
            return
        if payment["status"] in ("READY", "IN_PROGRESS"):
            payment["failure"] = {"code": "EXPIRED_PAYMENT", "message": "결제가 만료되었습니다."}
            self._become(payment, "EXPIRED")
        elif payment["status"] == "WAITING_FOR_DEPOSIT":
            # Toss sends no notice of it, and the status stays.
            payment["virtualAccount"]["expired"] = True


def _with_query(url: str, query: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{query}"


def _is_account(account: Any) -> bool:
    names = ("bank", "accountNumber", "holderName")
    return isinstance(account, dict) and all(isinstance(account.get(name), str) for name in names)
