"""What the emulated Stripe keeps: sessions, payments, refunds, disputes, events, and its rules.

Source: docs.stripe.com/api, version 2026-10-28, November 2026; only what a shop with Checkout
uses. It does no I/O and holds its own clock: the real one and `offset_s`.
"""

import copy
import time
from collections.abc import Callable
from typing import Any

Thing = dict[str, Any]

API_VERSION = "2026-10-28.endive"
DAY_S = 24 * 60 * 60
EVENT_DAYS = 30
SESSION_MIN_S = 30 * 60
# The least charge in dollars; of won none is known to us.
LEAST = {"usd": 50}
SESSION_PARAMS = (
    "cancel_url", "client_reference_id", "customer_email", "expires_at", "line_items", "locale",
    "metadata", "mode", "payment_intent_data", "success_url",
)  # fmt: skip
REFUND_PARAMS = ("amount", "metadata", "payment_intent")
TAKEN = ("needs_response", "under_review", "lost")


class StripeFault(Exception):
    """An error that the API answers with."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        error = {"type": kind, "message": message, "code": code, "param": param}
        self.body = {"error": {key: value for key, value in error.items() if value is not None}}


class StripeBooks:
    """One account of Stripe, in one mode."""

    def __init__(self, *, live: bool, on_event: Callable[[Thing], None]) -> None:
        self.live = live
        self.offset_s = 0.0
        self.sessions: dict[str, Thing] = {}
        self.intents: dict[str, Thing] = {}
        self.charges: dict[str, Thing] = {}
        self.refunds: dict[str, Thing] = {}
        self.disputes: dict[str, Thing] = {}
        self.events: dict[str, Thing] = {}
        # What the next refunds come to; `failed` is what a closed account makes of it.
        self.refund_status = "succeeded"
        self._on_event = on_event
        self._last = 0

    def now_s(self) -> float:
        return time.time() + self.offset_s

    # -- the API ---------------------------------------------------------------------------

    def create_session(self, params: Thing, origin: str) -> Thing:
        only(params, SESSION_PARAMS)
        mode = params.get("mode")
        if mode != "payment":
            raise StripeFault(400, f"Only payments are emulated, not {mode}", param="mode")
        for name in ("success_url", "line_items"):
            if not params.get(name):
                raise StripeFault(
                    400, f"Missing required param: {name}.", code="parameter_missing", param=name
                )
        currency, total = "", 0
        for item in params["line_items"].values():
            price = item.get("price_data", {})
            if not price.get("product_data", {}).get("name"):
                raise StripeFault(400, "Missing required param: name.", code="parameter_missing")
            currency = price.get("currency", "")
            total += positive(price, "unit_amount") * positive(item, "quantity")
        if currency not in ("usd", "krw"):
            raise StripeFault(400, f"Invalid currency: {currency}", param="currency")
        if total < LEAST.get(currency, 1):
            raise StripeFault(
                400, "The total amount due must add up to at least $0.50", code="amount_too_small"
            )
        expires_s = int(params.get("expires_at") or self.now_s() + DAY_S)
        if not SESSION_MIN_S <= expires_s - int(self.now_s()) <= DAY_S:
            raise StripeFault(
                400, "The `expires_at` timestamp must be from 30 minutes to 24 hours ahead.",
                param="expires_at",
            )  # fmt: skip
        session = self._thing("checkout.session", "cs_live" if self.live else "cs_test") | {
            "amount_subtotal": total,
            "amount_total": total,
            "cancel_url": params.get("cancel_url"),
            "client_reference_id": params.get("client_reference_id"),
            "currency": currency,
            "customer_email": params.get("customer_email"),
            "expires_at": expires_s,
            "locale": params.get("locale"),
            "metadata": dict(params.get("metadata") or {}),
            "mode": "payment",
            "payment_intent": None,
            "payment_status": "unpaid",
            "status": "open",
            "success_url": params["success_url"],
            "_intent_metadata": dict(
                (params.get("payment_intent_data") or {}).get("metadata") or {}
            ),
        }
        session["url"] = f"{origin}/pay/{session['id']}"
        self.sessions[session["id"]] = session
        return session

    def session(self, session_id: str) -> Thing:
        """Return a session, which expires when its time has come."""
        session = found(self.sessions, session_id, "checkout.session")
        if session["status"] == "open" and self.now_s() >= session["expires_at"]:
            self._over(session)
        return session

    def create_refund(self, params: Thing) -> Thing:
        only(params, REFUND_PARAMS)
        intent = found(self.intents, params.get("payment_intent", ""), "payment_intent")
        charge = self.charges[intent["latest_charge"]] if intent["latest_charge"] else None
        if charge is None or charge["status"] != "succeeded":
            raise StripeFault(
                400, "This PaymentIntent does not have a successful charge to refund."
            )
        left = charge["amount"] - charge["amount_refunded"]
        if not left:
            raise StripeFault(
                400, "The charge has already been refunded.", code="charge_already_refunded"
            )
        if any(
            dispute["status"] in TAKEN and dispute["charge"] == charge["id"]
            for dispute in self.disputes.values()
        ):
            raise StripeFault(400, "The charge has been disputed.", code="charge_disputed")
        amount = positive(params, "amount") if "amount" in params else left
        if amount > left:
            raise StripeFault(
                400, f"Refund amount ({amount}) is greater than unrefunded amount ({left})",
                param="amount",
            )  # fmt: skip
        refund = self._thing("refund", "re") | {
            "amount": amount,
            "charge": charge["id"],
            "currency": charge["currency"],
            "failure_reason": None,
            "metadata": dict(params.get("metadata") or {}),
            "payment_intent": intent["id"],
            "status": "succeeded",
        }
        del refund["livemode"]
        self.refunds[refund["id"]] = refund
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        self._emit("refund.created", refund)
        self._emit("charge.refunded", charge)
        if self.refund_status != "succeeded":
            self.set_refund(refund["id"], self.refund_status)
        return refund

    # -- what buyers, banks and the console do ---------------------------------------------

    def pay(self, session_id: str, *, later: bool = False, amount: int | None = None) -> Thing:
        """Pay a session; `later`: by a transfer under way. `amount`: not what was asked for."""
        session = self.session(session_id)
        if session["status"] != "open":
            raise StripeFault(400, f"The session is {session['status']}.")
        if amount is not None:
            session["amount_total"] = amount
        intent = self._thing("payment_intent", "pi") | {
            "amount": session["amount_total"],
            "currency": session["currency"],
            "last_payment_error": None,
            "latest_charge": None,
            "metadata": dict(session["_intent_metadata"]),
            "status": "processing",
        }
        self.intents[intent["id"]] = intent
        session.update(status="complete", payment_intent=intent["id"], url=None)
        if not later:
            self._charge(session)
        self._emit("checkout.session.completed", session)
        return session

    def arrive(self, session_id: str) -> Thing:
        """Let the transfer of a session that was paid `later` arrive."""
        session = self.session(session_id)
        self._charge(session)
        self._emit("checkout.session.async_payment_succeeded", session)
        return session

    def break_off(self, session_id: str, message: str = "The transfer was rejected.") -> Thing:
        """Let it fail."""
        session = self.session(session_id)
        self.intents[session["payment_intent"]].update(
            status="requires_payment_method", last_payment_error={"message": message}
        )
        self._emit("checkout.session.async_payment_failed", session)
        return session

    def expire(self, session_id: str) -> Thing:
        session = self.session(session_id)
        if session["status"] != "open":
            raise StripeFault(400, "Only Checkout Sessions with a status in [open] can be expired.")
        return self._over(session)

    def console_refund(self, session_id: str, amount: int | None = None) -> Thing:
        """Refund at the console: nothing of ours is in its metadata."""
        params: Thing = {"payment_intent": self.session(session_id)["payment_intent"] or ""}
        return self.create_refund(params if amount is None else {**params, "amount": str(amount)})

    def set_refund(self, refund_id: str, status: str) -> Thing:
        """Change what became of a refund; one that fails is not in its charge's sum any more."""
        refund = found(self.refunds, refund_id, "refund")
        charge = self.charges[refund["charge"]]
        if status in ("failed", "canceled") and refund["status"] not in ("failed", "canceled"):
            charge["amount_refunded"] -= refund["amount"]
            charge["refunded"] = False
        refund["status"] = status
        if status == "failed":
            refund["failure_reason"] = "lost_or_stolen_card"
            self._emit("refund.failed", refund)
        self._emit("refund.updated", refund)
        return refund

    def dispute(
        self, session_id: str, amount: int | None = None, status: str = "needs_response"
    ) -> Thing:
        """Let the buyer's bank dispute a payment."""
        intent = found(self.intents, self.session(session_id)["payment_intent"], "payment_intent")
        charge = self.charges[intent["latest_charge"]]
        charge["disputed"] = True
        dispute = self._thing("dispute", "du") | {
            "amount": charge["amount"] if amount is None else amount,
            "balance_transactions": [],
            "charge": charge["id"],
            "currency": charge["currency"],
            "metadata": {},
            "payment_intent": intent["id"],
            "reason": "fraudulent",
            "status": status,
        }
        self.disputes[dispute["id"]] = dispute
        self._move(dispute)
        self._emit("charge.dispute.created", dispute)
        return dispute

    def set_dispute(self, dispute_id: str, status: str, *, moves: bool | None = None) -> Thing:
        """Change a dispute; `moves`: whether it takes money, where the status does not say."""
        dispute = found(self.disputes, dispute_id, "dispute")
        dispute["status"] = status
        self._move(dispute, moves=moves)
        closed = status in ("won", "lost", "warning_closed", "prevented")
        self._emit(f"charge.dispute.{'closed' if closed else 'updated'}", dispute)
        return dispute

    def shown(self, thing: Thing, expand: list[str] | None = None) -> Thing:
        """Return an object as the API shows it, with what `expand` names in place of ids."""
        copied = {key: copy.deepcopy(value) for key, value in thing.items() if key[0] != "_"}
        for path in expand or []:
            name, _, rest = path.partition(".")
            table = {"payment_intent": self.intents, "latest_charge": self.charges}.get(name)
            if table is None:
                raise StripeFault(400, f"This property cannot be expanded ({name}).")
            if isinstance(copied.get(name), str):
                copied[name] = self.shown(table[copied[name]], [rest] if rest else None)
        return copied

    def kept_events(self) -> list[Thing]:
        oldest_s = self.now_s() - EVENT_DAYS * DAY_S
        return [event for event in self.events.values() if event["created"] >= oldest_s]

    # -- within ----------------------------------------------------------------------------

    def _charge(self, session: Thing) -> None:
        intent = self.intents[session["payment_intent"]]
        charge = self._thing("charge", "ch") | {
            "amount": intent["amount"],
            "amount_refunded": 0,
            "currency": intent["currency"],
            "disputed": False,
            "metadata": dict(intent["metadata"]),
            "paid": True,
            "payment_intent": intent["id"],
            "refunded": False,
            "status": "succeeded",
        }
        self.charges[charge["id"]] = charge
        intent.update(status="succeeded", latest_charge=charge["id"])
        session["payment_status"] = "paid"

    def _over(self, session: Thing) -> Thing:
        session.update(status="expired", url=None)
        self._emit("checkout.session.expired", session)
        return session

    def _move(self, dispute: Thing, *, moves: bool | None = None) -> None:
        moved = sum(move["amount"] for move in dispute["balance_transactions"])
        take = dispute["status"] in TAKEN if moves is None else moves
        if take == (moved < 0):
            return
        amount = -dispute["amount"] if take else -moved
        dispute["balance_transactions"].append(
            self._thing("balance_transaction", "txn") | {"amount": amount, "type": "adjustment"}
        )
        self._emit(f"charge.dispute.funds_{'withdrawn' if take else 'reinstated'}", dispute)

    def _thing(self, kind: str, prefix: str) -> Thing:
        self._last += 1
        created = int(self.now_s())
        number = f"{prefix}_{self._last:06}"
        return {"id": number, "object": kind, "created": created, "livemode": self.live}

    def _emit(self, kind: str, thing: Thing) -> None:
        event = self._thing("event", "evt") | {
            "api_version": API_VERSION,
            "data": {"object": self.shown(thing)},
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": kind,
        }
        self.events[event["id"]] = event
        self._on_event(event)


def found(table: dict[str, Thing], name: str, kind: str) -> Thing:
    if name not in table:
        raise StripeFault(404, f"No such {kind}: '{name}'", code="resource_missing", param="id")
    return table[name]


def positive(params: Thing, name: str) -> int:
    value = params.get(name, "")
    if not (isinstance(value, str) and value.isascii() and value.isdigit() and int(value)):
        raise StripeFault(400, f"Invalid positive integer: {value}", param=name)
    return int(value)


def only(params: Thing, names: tuple[str, ...]) -> None:
    for name in params:
        if name not in names:
            raise StripeFault(
                400, f"Received unknown parameter: {name}", code="parameter_unknown", param=name
            )
