"""The HTTP routes, and what all of them share: authentication, request ids, CORS, error shapes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web

from tokenferry.domain.ledger import OPERATOR
from tokenferry.engine.keys import Key
from tokenferry.engine.read_limit import BODY_BYTES_PER_READ
from tokenferry.errors import (
    AdminOnly,
    InternalError,
    InvalidRequest,
    RequestError,
    TokenferryError,
)
from tokenferry.protocol.chat import parse_request
from tokenferry.server import tickets
from tokenferry.server.credentials import authenticate, count_reads
from tokenferry.server.event_stream import complete
from tokenferry.server.hub import Hub
from tokenferry.server.metrics import CONTENT_TYPE
from tokenferry.server.models_api import ModelsApi
from tokenferry.server.providers_api import provider_list
from tokenferry.server.random_ids import random_hex
from tokenferry.server.request_body import read_body
from tokenferry.server.responses import (
    FAILURES,
    SERVER_NAME,
    STANDINGS,
    error_response,
    json_response,
    rate_headers,
    told,
)
from tokenferry.server.signposts import directions
from tokenferry.server.streams_api import StreamsApi
from tokenferry.server.upgrade import check_origin, open_stream

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CORS_HEADERS_ALLOWED = "authorization, content-type, openai-organization, openai-project"
CORS_MAX_AGE_S = 600
# Of an estimate's body of that size each step takes some milliseconds, and of the largest tens of
# them; for so long others have their turn in between, who need several rounds of the event loop.
LARGE_BYTES = 256 << 10
PAUSE_S = 0.005
# nginx's number for it, in logs; it never reaches anybody.
CLIENT_CLOSED_REQUEST = 499
UNREADABLE_BODY = "The body is not what its content-encoding says; send it as it is, or as gzip."
EXPOSED_HEADERS = (
    "x-request-id, x-stream-id, retry-after, retry-after-ms, "
    "x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "
    "x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens, "
    "x-ratelimit-limit-reads, x-ratelimit-remaining-reads, x-ratelimit-reset-reads, "
    "x-tokenferry-cost, x-tokenferry-balance, x-tokenferry-notice, "
    "x-tokenferry-attempts"
)


class NotFound(RequestError):
    """There is no such page."""

    code = "not_found"
    http_status = 404


class MethodNotAllowed(RequestError):
    """The page is there, but not for this method."""

    code = "method_not_allowed"
    http_status = 405


class HttpApi:
    """The routes.

    Args:
        hub: What the handlers work with.
        models: The routes of the models.
    """

    def __init__(self, hub: Hub, models: ModelsApi) -> None:
        self._hub = hub
        self._models = models

    def add_to(self, app: web.Application) -> None:
        """Add the routes to an application."""
        app.middlewares.append(self._middleware)
        app.on_response_prepare.append(self._prepare)
        app.router.add_get("/v1/stream", self._stream, allow_head=False)
        app.router.add_post("/v1/stream/tickets", self._ticket)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/chat/completions/estimate", self._estimate)
        app.router.add_get("/v1/providers", self._providers)
        StreamsApi(self._hub).add_to(app)
        self._models.add_to(app)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)

    # -- what all share ------------------------------------------------------------------------

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        request["id"] = request_id = f"req_{random_hex(12)}"
        if request.method == hdrs.METH_OPTIONS:
            return self._preflight(request)
        try:
            return await handler(request)
        except FAILURES as exc:
            error = told(exc)
            self._hub.shared.metrics.refused(error)
            return error_response(error)
        except (web.HTTPException, web.RequestPayloadError) as exc:
            response = error_response(self._explain(exc, request))
            if isinstance(exc, web.RequestPayloadError):
                request.content.feed_eof()  # or aiohttp reads on, and fails in its own way
                response.force_close()
            return response
        except ConnectionError:
            return web.Response(status=CLIENT_CLOSED_REQUEST)  # nobody is there to read it
        except Exception:
            log.exception("unhandled error", extra={"request_id": request_id})
            return error_response(
                InternalError(f"The gateway failed. The operator's log has more at {request_id}.")
            )

    def _explain(
        self, exc: web.HTTPException | web.RequestPayloadError, request: web.Request
    ) -> TokenferryError:
        if isinstance(exc, web.RequestPayloadError):
            return InvalidRequest(UNREADABLE_BODY)
        if isinstance(exc, web.HTTPNotFound):
            return NotFound(directions(request.method, request.path))
        if isinstance(exc, web.HTTPMethodNotAllowed):
            allowed = ", ".join(sorted(exc.allowed_methods))
            return MethodNotAllowed(f"{request.path[:200]} takes {allowed} only.")
        return InvalidRequest(f"The request cannot be served: {exc.reason}.")

    async def _prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        headers[hdrs.SERVER] = SERVER_NAME
        if (request_id := request.get("id")) is not None:
            headers["x-request-id"] = request_id
        if standings := request.get(STANDINGS):
            headers.update(rate_headers(standings))
        origin = request.headers.get("Origin")
        if origin is not None and self._allows(origin):
            headers["access-control-allow-origin"] = origin
            headers["access-control-expose-headers"] = EXPOSED_HEADERS
            headers["vary"] = "Origin"

    def _allows(self, origin: str) -> bool:
        origins = self._hub.shared.settings.origins
        return origin in origins or "*" in origins

    def _preflight(self, request: web.Request) -> web.Response:
        origin = request.headers.get("Origin")
        if origin is None or not self._allows(origin):
            return web.Response(status=403)
        return web.Response(
            status=204,
            headers={
                "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE",
                # SDKs send x-stainless-* headers that no list could name.
                "access-control-allow-headers": request.headers.get(
                    "Access-Control-Request-Headers", CORS_HEADERS_ALLOWED
                ),
                "access-control-max-age": str(CORS_MAX_AGE_S),
            },
        )

    # -- the routes ----------------------------------------------------------------------------

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        key = authenticate(request, self._hub)
        chat = parse_request(await self._body(request, key))
        return await complete(request, self._hub, key, chat)

    async def _body(self, request: web.Request, key: Key) -> bytes:
        hub = self._hub
        return await read_body(
            request,
            hub.shared.settings.body_bytes_max,
            ". Send less, or raise `body_bytes_max`.",
            room=hub.room,
            account_id=key.account_id,
        )

    async def _estimate(self, request: web.Request) -> web.Response:
        key = authenticate(request, self._hub)
        body = await self._body(request, key)
        count_reads(request, self._hub, key, 1 + len(body) // BODY_BYTES_PER_READ)
        pause_s = PAUSE_S if len(body) >= LARGE_BYTES else 0
        chat = parse_request(body)
        dispatcher = self._hub.shared.dispatcher
        await asyncio.sleep(pause_s)
        attempts = dispatcher.attempts(chat)
        await asyncio.sleep(pause_s)
        estimate = dispatcher.engine.billing.estimate(key, chat, attempts)
        return json_response({"object": "estimate", "model": chat.model} | estimate)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        return await open_stream(request, self._hub)

    async def _ticket(self, request: web.Request) -> web.Response:
        key = authenticate(request, self._hub)
        origin = request.headers.get("Origin")
        check_origin(origin, request, self._hub.shared.settings.origins)
        ticket = self._hub.shared.tickets.issue(key, origin)
        return json_response({"ticket": ticket, "expires_in": tickets.LIFETIME_S})

    async def _providers(self, request: web.Request) -> web.Response:
        self._check_operator(request)
        return json_response(provider_list(self._hub.shared.dispatcher.engine.router))

    async def _healthz(self, _: web.Request) -> web.Response:
        return json_response({"status": "ok"})

    async def _readyz(self, _: web.Request) -> web.Response:
        dispatcher = self._hub.shared.dispatcher
        if dispatcher.draining:
            return json_response({"status": "draining"}, status=503)
        if (store := dispatcher.storage_fault) is not None:
            # Where its files are is nothing for strangers.
            reason = f"{store} takes nothing; the log says why"
            return json_response({"status": "storage_unavailable", "reason": reason}, status=503)
        return json_response({"status": "ready"})

    async def _metrics(self, request: web.Request) -> web.Response:
        if not self._hub.shared.settings.metrics_public:
            self._check_operator(request)
        shared = self._hub.shared
        body = shared.metrics.exposition(stores=shared.dispatcher.storage_fault is None)
        return web.Response(body=body, headers={"content-type": CONTENT_TYPE})

    def _check_operator(self, request: web.Request) -> None:
        """Make sure that a request brings a key of the operator's own.

        Raises:
            AuthenticationError: If it brings no good key.
            AdminOnly: If it brings an account's.
        """
        if authenticate(request, self._hub).account_id != OPERATOR:
            raise AdminOnly("This is for the operator's own keys.")
