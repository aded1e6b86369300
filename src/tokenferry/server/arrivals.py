"""How requests come in, for their traces; nothing is looked at where no traces are sent.

Source: W3C Trace Context, 3 (the headers).
"""

from aiohttp import web

from tokenferry.engine.traces import Arrival
from tokenferry.server.hub import Hub

CONTEXT_HEADERS = ("traceparent", "tracestate")


def http_arrival(request: web.Request, hub: Hub) -> Arrival | None:
    """Return how a request came over HTTP; None where no traces are sent."""
    if hub.shared.dispatcher.engine.tracer is None:
        return None
    facts = {
        "http.request.method": request.method,
        "http.route": request.path,
        "url.path": request.path,
        "url.scheme": request.scheme,
    }
    return Arrival(f"{request.method} {request.path}", facts, _context(request))


def websocket_arrival(request: web.Request, hub: Hub) -> Arrival | None:
    """Return how each of a connection's requests comes; None where no traces are sent.

    Their traces are a part of the one that the upgrade names.
    """
    if hub.shared.dispatcher.engine.tracer is None:
        return None
    facts = {"http.route": request.path, "network.protocol.name": "websocket"}
    return Arrival(f"create {request.path}", facts, _context(request))


def _context(request: web.Request) -> dict[str, str]:
    return {name: request.headers[name] for name in CONTEXT_HEADERS if name in request.headers}
