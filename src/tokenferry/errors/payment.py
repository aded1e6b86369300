"""Somebody buys credit, or gets money back, and it does not work."""

from tokenferry.errors.root import TokenferryError


class PaymentError(TokenferryError):
    """Something stands in the way of a payment; no credit and no money has moved by this."""

    code = "payment_failed"
    type = "payment_error"
    http_status = 400


class PaymentsOff(PaymentError):
    """The gateway does not take payments, or not by this provider, or not of this amount."""

    code = "payment_method_unavailable"
    http_status = 404


class TopUpNotFound(PaymentError):
    """No such order, or another account's: the two cannot be told apart."""

    code = "topup_not_found"
    http_status = 404


class TooManyTopUps(PaymentError):
    """The account has as many unpaid orders as it may."""

    code = "too_many_topups"
    http_status = 409


class PaymentDeclined(PaymentError):
    """The payment provider will not do it, for the reason given."""

    code = "payment_declined"
    http_status = 422


class RefundRefused(PaymentError):
    """There is not so much to give back; `details` say how much there is."""

    code = "refund_refused"
    http_status = 409


class ReviewRefused(PaymentError):
    """The top-up does not wait for a decision, or not for this one; `details` say what is so."""

    code = "review_refused"
    http_status = 409


class PaymentUncertain(PaymentError):
    """The payment provider does not answer. What it has done meanwhile is found out by itself."""

    code = "payment_provider_silent"
    http_status = 503
    retryable = True


class WebhookRefused(PaymentError):
    """The notice does not come from the payment provider."""

    code = "webhook_refused"
    http_status = 401
