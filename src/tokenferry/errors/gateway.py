"""The gateway's own faults and states."""

from tokenferry.errors.root import TokenferryError


class GatewayError(TokenferryError):
    """The gateway itself cannot serve the request."""


class InternalError(GatewayError):
    """A defect of ours; the request id leads to the log entry."""

    close_code = 1011


class Draining(GatewayError):
    """The server is about to stop and takes no new work."""

    code = "server_draining"
    http_status = 503
    close_code = 1012
    retryable = True


class Overloaded(GatewayError):
    """The server is at one of its own limits."""

    code = "server_overloaded"
    http_status = 503
    close_code = 4100
    retryable = True


class StreamTooLarge(Overloaded):
    """The answer outgrew what the journal keeps of one stream."""

    code = "stream_too_large"
    retryable = False


class StorageUnavailable(GatewayError):
    """The disk takes nothing: what cannot be committed may not be begun."""

    code = "storage_unavailable"
    http_status = 503
    close_code = 4100
    retryable = True


class UpstreamLost(GatewayError):
    """The server process died while it was reading the provider's answer."""

    code = "upstream_lost"
    http_status = 502
    retryable = True


class QueueFull(GatewayError):
    """Too many wait for the provider already."""

    code = "queue_full"
    http_status = 503
    retryable = True


class QueueTimeout(GatewayError):
    """The request has waited for its turn as long as one may."""

    code = "queue_timeout"
    http_status = 503
    retryable = True
