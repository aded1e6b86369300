"""The upgrade at GET /v1/stream: who may open a WebSocket, and how a refusal reaches them.

A program gets an HTTP status. A browser sees any failed upgrade as 1006 without a reason, so that
a request with an Origin is accepted first and then closed with a code and a reason.
"""

from aiohttp import WSCloseCode, web

from tokenferry.engine.keys import Key
from tokenferry.errors import Draining, InvalidRequest, MissingKey, OriginRefused, TokenferryError
from tokenferry.protocol.messages import SUBPROTOCOL, TICKET_PREFIX
from tokenferry.protocol.session import Session
from tokenferry.server.arrivals import websocket_arrival
from tokenferry.server.client_socket import UNSUPPORTED_DATA
from tokenferry.server.credentials import authenticate, is_own, network
from tokenferry.server.hub import Hub
from tokenferry.server.responses import error_response
from tokenferry.server.tickets import Bearer
from tokenferry.server.transport import ClientProtocol
from tokenferry.server.websocket import Connection

CLOSE_TIMEOUT_S = 5.0
PROTOCOLS = "Sec-WebSocket-Protocol"


async def open_stream(request: web.Request, hub: Hub) -> web.StreamResponse:
    """Serve GET /v1/stream."""
    lines = request.headers.getall(PROTOCOLS, ())
    if len(lines) > 1:
        # All are one list (RFC 6455, 11.3.4); aiohttp would select from the first line alone.
        headers = request.headers.copy()
        headers[PROTOCOLS] = ", ".join(lines)
        request = request.clone(headers=headers)
    offered = [name.strip() for line in lines for name in line.split(",")]
    settings = hub.shared.settings
    socket = GatewaySocket(
        protocols=(SUBPROTOCOL,) if SUBPROTOCOL in offered else (),
        autoping=False,
        compress=False,
        max_msg_size=settings.frame_bytes_max + 1,  # aiohttp's limit is the first size refused
        timeout=CLOSE_TIMEOUT_S,
    )
    # Not `can_prepare`, which does the whole handshake once more.
    if request.headers.get("Upgrade", "").strip().lower() != "websocket":
        return error_response(
            MissingUpgrade("This is a WebSocket endpoint; connect to it with ws:// or wss://.")
        )
    if not request.headers.get("Sec-WebSocket-Key", "").isascii():
        return error_response(InvalidRequest("The request's Sec-WebSocket-Key is not Base64."))
    try:
        key, login = _authorize(request, hub, offered)
    except TokenferryError as error:
        hub.shared.metrics.refused(error)
        if "Origin" not in request.headers:
            return error_response(error)
        await socket.prepare(request)
        await socket.close(
            code=error.close_code or UNSUPPORTED_DATA, message=error.message.encode()[:123]
        )
        return socket
    try:
        await socket.prepare(request)
        aware = SUBPROTOCOL in offered
        await _serve(request, hub, socket, Bearer(key, login) if key else None, aware=aware)
    finally:
        if key is not None:
            hub.leave(key)
    return socket


async def _serve(
    request: web.Request, hub: Hub, socket: "GatewaySocket", bearer: Bearer | None, *, aware: bool
) -> None:
    protocol = request.protocol
    if not isinstance(protocol, ClientProtocol):
        raise TypeError("the server was not started with its own protocol factory")
    protocol.forget_http()
    key, login = bearer or (None, None)
    session = Session(aware=aware, authenticated=key is not None)
    socket.protocol = protocol
    socket.connection = connection = Connection(hub, socket, protocol, session, key)
    connection.arrival = websocket_arrival(request, hub)
    if key is None:
        connection.network = network(request, hub.trusted_proxies)
        hub.strangers += 1
    hub.connections.add(connection)
    if login is not None:
        hub.logins[connection] = login
    hub.shared.metrics.connected(1)
    try:
        await connection.serve()
    finally:
        protocol.user = None
        socket.connection = None  # a cycle, which would wait for the collector
        hub.connections.discard(connection)
        hub.logins.pop(connection, None)
        hub.shared.metrics.connected(-1)
        connection.detach_all()
        if connection.key is None:
            hub.strangers -= 1
        elif key is None:
            hub.leave(connection.key)  # it authenticated by its first frame


def _authorize(
    request: web.Request, hub: Hub, offered: list[str]
) -> tuple[Key | None, bytes | None]:
    """Return the key of an upgrade, None if the first frame is to bring it, and its login."""
    shared = hub.shared
    if shared.dispatcher.draining:
        raise Draining("The server is about to restart; connect again in a moment.")
    hub.check_room()
    origin = request.headers.get("Origin")
    check_origin(origin, request, shared.settings.origins)
    ticket = next((name for name in offered if name.startswith(TICKET_PREFIX)), None)
    login = None
    if "Authorization" in request.headers:
        key = authenticate(request, hub)
    elif ticket is not None:
        key, login = shared.tickets.redeem(ticket.removeprefix(TICKET_PREFIX), origin)
        shared.authenticator.check(key.public_id)
    else:
        hub.check_strangers()
        return None, None
    hub.admit(key)
    return key, login


def check_origin(origin: str | None, request: web.Request, allowed: tuple[str, ...]) -> None:
    """Make sure that a page from this origin may use the gateway.

    Raises:
        OriginRefused: If it may not.
    """
    if origin is None or origin in allowed or "*" in allowed:
        return
    if not is_own(origin, request):
        named = origin[:200].encode(errors="replace").decode()  # whatever bytes the header has
        raise OriginRefused(
            f"Pages from {named} may not use this gateway; "
            "add the origin to `origins` in the [server] table."
        )


class GatewaySocket(web.WebSocketResponse):
    """aiohttp's WebSocket, which says when it begins to close.

    Frames of tokens do not go through it; after a close frame none may follow (RFC 6455, 5.5.1).
    """

    connection: Connection | None = None
    protocol: ClientProtocol | None = None

    async def close(
        self, *, code: int = WSCloseCode.OK, message: bytes = b"", drain: bool = True
    ) -> bool:
        """Stop the connection's own writing, then do the closing handshake."""
        if self.connection is not None:
            self.connection.stop_writing()
        if self.protocol is not None and self.protocol.transport is None:
            # Nobody is there to shake hands with. aiohttp would fail to write, and keep the
            # exception with all its frames.
            return False
        return await super().close(code=code, message=message, drain=drain)


class MissingUpgrade(MissingKey):
    """A plain HTTP request came to the WebSocket endpoint."""

    code = "upgrade_required"
    type = "invalid_request_error"
    http_status = 426
