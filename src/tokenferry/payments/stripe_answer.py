"""What Stripe's answers may be taken for: their fields, statuses and errors.

What is not understood is never taken for "not paid": it is `ProviderUnsure`, and asked again.

Source: docs.stripe.com/api (errors, refunds, disputes, payment intents; version 2026-10-28),
read in November 2026.
"""

from collections.abc import Collection, Mapping
from typing import Any

import stripe

from tokenferry.engine.payments import ProviderRefuses, ProviderUnsure

# For people; a page of HTML says nothing more at greater length.
WORDS_MAX = 300
# Money that is on its way back counts as given back: it cannot be spent any more.
_REFUND_GOES = ("succeeded", "pending", "requires_action")
_REFUND_FAILED = ("failed", "canceled")
# The bank has taken the money when a dispute begins, and keeps it when it is lost.
_DISPUTE_TAKEN = ("needs_response", "under_review", "lost")
# An inquiry moves no money, and a dispute that was won gives it back. `charge_refunded`, of old
# disputes, was a refund, which is counted as one.
_DISPUTE_NOT_TAKEN = (
    "warning_needs_response",
    "warning_under_review",
    "warning_closed",
    "won",
    "charge_refunded",
)
# Blocked before money moved, or settled with it; an appeal, of either side. The documents do not
# say which, the movements do.
_DISPUTE_MAY_BE_TAKEN = ("prevented", "appeal_needs_response", "appeal_under_review")


def text(answer: Mapping[str, Any], name: str) -> str:
    """Return a field that must be a text with something in it.

    Raises:
        ProviderUnsure: If it is not.
    """
    value = answer.get(name)
    if isinstance(value, str) and value:
        return value
    raise ProviderUnsure(f"Stripe's answer has no {name}")


def count(answer: Mapping[str, Any], name: str) -> int:
    """Return a field that must be an amount: a whole number that is not negative.

    Raises:
        ProviderUnsure: If it is not.
    """
    value = answer.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ProviderUnsure(f"Stripe's answer has no {name}")


def flag(answer: Mapping[str, Any], name: str) -> bool:
    """Return a field that must be true or false.

    Raises:
        ProviderUnsure: If it is not.
    """
    value = answer.get(name)
    if isinstance(value, bool):
        return value
    raise ProviderUnsure(f"Stripe's answer has no {name}")


def part(answer: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a field that must be an object.

    Raises:
        ProviderUnsure: If it is not.
    """
    value = answer.get(name)
    if isinstance(value, dict):
        return value
    raise ProviderUnsure(f"Stripe's answer has no {name}")


def belongs(session: Mapping[str, Any], order_id: str) -> None:
    """Check that a session is about an order.

    Raises:
        ProviderUnsure: If it is about another one, or does not say.
    """
    if text(session, "client_reference_id") != order_id:
        raise ProviderUnsure("Stripe's answer is about another order")


def broken_off(intent: Mapping[str, Any]) -> str | None:
    """Return why a payment that was under way has failed; None if it has not.

    Args:
        intent: Of a session that is complete: the buyer cannot try again.

    Raises:
        ProviderUnsure: If its status is not known.
    """
    status = text(intent, "status")
    error = intent.get("last_payment_error")
    if status == "canceled":
        return "the payment was canceled"
    if status == "requires_payment_method" and isinstance(error, dict):
        message = error.get("message")
        return message[:WORDS_MAX] if isinstance(message, str) else "the payment failed"
    if status in (
        "processing",
        "requires_action",
        "requires_capture",
        "requires_confirmation",
        "requires_payment_method",
        "succeeded",  # the session is about to say so
    ):
        return None
    raise ProviderUnsure(f"the payment has the unknown status {status}")


def judge_refund(refund: Mapping[str, Any]) -> None:
    """Return if a refund is done or on its way.

    Raises:
        ProviderRefuses: If it failed.
        ProviderUnsure: If its status is not known.
    """
    status = text(refund, "status")
    if status in _REFUND_FAILED:
        why = refund.get("failure_reason")
        raise ProviderRefuses(f"the refund is {status}" + (f": {why}" if why else ""))
    if status not in _REFUND_GOES:
        raise ProviderUnsure(f"the refund has the unknown status {status}")


def given_back(refund: Mapping[str, Any], currency: str) -> int:
    """Return how much a refund gives back.

    Raises:
        ProviderUnsure: If its status is not known, or if it is not in that currency.
    """
    status = text(refund, "status")
    if status in _REFUND_FAILED:
        return 0
    if status not in _REFUND_GOES:
        raise ProviderUnsure(f"the refund has the unknown status {status}")
    return _amount(refund, currency)


def taken_back(dispute: Mapping[str, Any], currency: str, paid: int) -> int:
    """Return how much a bank has taken back with a dispute, and has not given back.

    Args:
        dispute: The dispute.
        currency: What was paid in.
        paid: What was paid: if the bank counts in another currency, the buyer's, all of it.

    Raises:
        ProviderUnsure: If its status is not known.
    """
    taken = count(dispute, "amount")
    if text(dispute, "currency") != currency:
        taken = paid
    status = text(dispute, "status")
    if status in _DISPUTE_NOT_TAKEN:
        return 0
    if status in _DISPUTE_MAY_BE_TAKEN:
        return taken if _moved(dispute) < 0 else 0
    if status not in _DISPUTE_TAKEN:
        raise ProviderUnsure(f"the dispute has the unknown status {status}")
    return taken


def fault(
    what: str, error: stripe.StripeError, secrets: Collection[str]
) -> ProviderRefuses | ProviderUnsure:
    """Return what an error of the SDK means.

    Only what Stripe itself says is wrong with a request, or with a card, is a refusal. Its words
    are passed on; of other answers only what they are.

    Args:
        what: What was asked for.
        error: The error.
        secrets: What must not be in a text.
    """
    status = error.http_status
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        return ProviderUnsure(f"{what}: Stripe refuses the secret key (HTTP {status})")
    if isinstance(error, stripe.APIConnectionError):
        return ProviderUnsure(f"{what}: {error.user_message}")
    body = error.json_body
    told = body.get("error") if isinstance(body, dict) else None
    told = told if isinstance(told, dict) else {}
    kind, code, words = (told.get(name) for name in ("type", "code", "message"))
    if isinstance(error, stripe.InvalidRequestError | stripe.CardError) and kind in (
        "invalid_request_error",
        "card_error",
    ):
        said = words if isinstance(words, str) else f"{kind} {code}"
        for secret in secrets:
            said = said.replace(secret, "…")
        return ProviderRefuses(said[:WORDS_MAX])
    return ProviderUnsure(f"{what}: HTTP {status} {kind or ''} {code or ''}".rstrip())


def _amount(answer: Mapping[str, Any], currency: str) -> int:
    if text(answer, "currency") != currency:
        raise ProviderUnsure("Stripe's amounts are in different currencies")
    return count(answer, "amount")


def _moved(dispute: Mapping[str, Any]) -> int:
    """Return what a dispute has moved: below zero, if it was taken. In whatever currency."""
    moves = dispute.get("balance_transactions")
    if not isinstance(moves, list) or not all(isinstance(move, dict) for move in moves):
        raise ProviderUnsure("Stripe's answer has no balance_transactions")
    amounts = [move.get("amount") for move in moves]
    if not all(isinstance(amount, int) for amount in amounts):
        raise ProviderUnsure("Stripe's answer has no amount")
    return sum(amounts)
