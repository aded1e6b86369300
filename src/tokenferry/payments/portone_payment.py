"""What PortOne V2 says of a payment, read: what was paid, given back, and taken by banks.

Source: `Payment`, `PaymentCancellation`, `Dispute` and `Trigger` in PortOne's OpenAPI schema V2
(developers.portone.io repository at af926bd, August 2026).

Weakness: a dispute has no amount. While it is open, all that is left of the payment counts as
taken; what a lost one costs is a cancellation by `CHARGEBACK`. A payment that is cancelled in part
shows no disputes. Whether an account took what was transferred back is not looked at.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeGuard

from tokenferry.domain.topup import Payment
from tokenferry.engine.payments import ProviderRefuses, ProviderUnsure

# Nobody has paid, and somebody still can: of many attempts one may succeed.
_OPEN = frozenset({"READY", "FAILED"})
# Somebody has done their part, or is to deposit; the money has not come.
_WAITING = frozenset({"PAY_PENDING", "VIRTUAL_ACCOUNT_ISSUED"})
_PAID = frozenset({"PAID", "PARTIAL_CANCELLED", "CANCELLED"})


def payment_of(found: Mapping[str, Any]) -> Payment:
    """Return what stands of a payment.

    Args:
        found: PortOne's `Payment`.

    Raises:
        ProviderUnsure: If anything of it is missing or not known.
    """
    status = text_of(found, "status")
    if status in _OPEN:
        failure = found.get("failure")
        reasons = failure if status == "FAILED" and is_object(failure) else {}
        detail = reasons.get("reason") or reasons.get("pgMessage") or ""
        return Payment("open", detail=str(detail))
    reference = text_of(found, "transactionId")
    live = _channel(found) == "LIVE"
    # An account that was closed before anything came has no `paidAt`. This takes back what was
    # credited, if a paid one should ever lack it.
    never_paid = status == "CANCELLED" and not isinstance(found.get("paidAt"), str)
    if status in _WAITING or never_paid:
        return Payment("waiting", live=live, payment_ref=reference)
    if status not in _PAID:
        raise ProviderUnsure(f"look-up: status {status[:40]!r} is not known")
    total, cancelled = amount_of(found, "total"), amount_of(found, "cancelled")
    if status == "CANCELLED":
        # All of it, also where a discount was a part that nobody paid.
        cancelled = total
    taken = sum(
        _whole(each, "totalAmount")
        for each in _cancellations(found)
        if each.get("trigger") == "CHARGEBACK" and each["status"] == "SUCCEEDED"
    )
    if not taken <= cancelled <= total:
        raise ProviderUnsure("look-up: more was cancelled than paid")
    disputed = total - cancelled if _is_disputed(found) else 0
    return Payment(
        "paid",
        currency=text_of(found, "currency"),
        amount_minor=total,
        refunded_minor=cancelled - taken,
        disputed_minor=taken + disputed,
        live=live,
        payment_ref=reference,
    )


def _is_disputed(found: Mapping[str, Any]) -> bool:
    """Return whether a dispute is open: what a lost one costs is a cancellation later."""
    states = [each.get("status") if is_object(each) else None for each in _list(found, "disputes")]
    if not all(state in ("UNRESOLVED", "RESOLVED") for state in states):
        raise ProviderUnsure("look-up: the state of a dispute is not known")
    return "UNRESOLVED" in states


def was_cancelled(found: Mapping[str, Any], tag: str) -> bool:
    """Return whether a refund of ours was done; False if nothing was tried.

    Raises:
        ProviderUnsure: If it is under way.
        ProviderRefuses: If it was tried and has failed.
    """
    ours = [each for each in _cancellations(found) if tag in str(each.get("reason"))]
    # If a refund was tried twice, its success is what counts.
    ours.sort(key=lambda each: ("SUCCEEDED", "REQUESTED", "FAILED").index(each["status"]))
    return bool(ours) and is_done(ours[0])


def is_done(cancellation: Any) -> bool:
    """Return whether a cancellation was done; False if there is none.

    Raises:
        ProviderUnsure: If it is under way.
        ProviderRefuses: If it has failed.
    """
    status = cancellation.get("status") if is_object(cancellation) else None
    if status == "REQUESTED":
        raise ProviderUnsure("cancel: it was asked for and is not done yet")
    if status == "FAILED":
        raise ProviderRefuses("the cancellation failed")
    return status == "SUCCEEDED"


def _cancellations(found: Mapping[str, Any]) -> list[Any]:
    listed = _list(found, "cancellations")
    for each in listed:
        status = each.get("status") if is_object(each) else None
        if status not in ("SUCCEEDED", "REQUESTED", "FAILED"):
            raise ProviderUnsure("look-up: the state of a cancellation is not known")
    return listed


def _channel(found: Mapping[str, Any]) -> Literal["LIVE", "TEST"]:
    channel = found.get("channel")
    kind = channel.get("type") if is_object(channel) else None
    if kind == "LIVE":
        return "LIVE"
    if kind == "TEST":
        return "TEST"
    raise ProviderUnsure("look-up: it is not known whether it is real money")


def amount_of(found: Mapping[str, Any], name: str) -> int:
    """Return one of a payment's amounts, in its currency's smallest unit.

    Raises:
        ProviderUnsure: If it is not there.
    """
    amount = found.get("amount")
    return _whole(amount if is_object(amount) else {}, name)


def _whole(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if type(value) is not int or value < 0:
        raise ProviderUnsure(f"look-up: no whole number in {name}")
    return value


def text_of(fields: Mapping[str, Any], name: str) -> str:
    """Return a text that must be there.

    Raises:
        ProviderUnsure: If it is not.
    """
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise ProviderUnsure(f"there is no {name} in what PortOne says")
    return value


def _list(found: Mapping[str, Any], name: str) -> list[Any]:
    # Which of them a payment has depends on its state.
    value = found.get(name, [])
    if not isinstance(value, list):
        raise ProviderUnsure(f"look-up: {name} is no list")
    return value


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Return whether something is a JSON object."""
    return isinstance(value, dict)
