"""What the headers of POST /v1/chat/completions say of the stream that it creates.

Source: spec/PROTOCOL.md, section 10.
"""

from aiohttp import web

from tokenferry.engine.options import Options
from tokenferry.errors import InvalidRequest
from tokenferry.protocol.messages import IDEMPOTENCY_KEY_CHARACTERS
from tokenferry.server.arrivals import http_arrival
from tokenferry.server.hub import Hub

RECOVERY = "x-tokenferry-recovery"
ON_DISCONNECT = "x-tokenferry-on-disconnect"
IDEMPOTENCY_KEY = "Idempotency-Key"


def create_options(request: web.Request, hub: Hub) -> Options:
    """Return what becomes of the stream when its client is lost.

    Raises:
        InvalidRequest: If a header's value is none that is known.
    """
    idempotency_key = request.headers.get(IDEMPOTENCY_KEY)
    if idempotency_key is not None and not _is_key(idempotency_key):
        raise InvalidRequest(
            f"An idempotency key has 1 to {IDEMPOTENCY_KEY_CHARACTERS} characters, in UTF-8.",
            param=IDEMPOTENCY_KEY,
        )
    settings = hub.shared.settings
    recovery = request.headers.get(RECOVERY, "fail")
    if recovery not in ("fail", "continue"):
        raise InvalidRequest(f"{RECOVERY} must be `fail` or `continue`.", param=RECOVERY)
    comes_back = idempotency_key is not None or recovery == "continue"
    default = "continue" if comes_back else settings.http_on_disconnect
    wish = request.headers.get(ON_DISCONNECT, default)
    if wish not in ("cancel", "continue"):
        raise InvalidRequest(
            f"{ON_DISCONNECT} must be `cancel` or `continue`.", param=ON_DISCONNECT
        )
    return Options(
        on_disconnect_cancel=wish == "cancel",
        orphan_timeout_s=settings.orphan_timeout_s,
        idempotency_key=idempotency_key,
        recovery=recovery,
        arrival=http_arrival(request, hub),
        request_id=request["id"],
    )


def _is_key(text: str) -> bool:
    """Say whether a header may be an idempotency key: aiohttp passes bytes of any encoding on."""
    if not 0 < len(text) <= IDEMPOTENCY_KEY_CHARACTERS:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
