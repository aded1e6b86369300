"""The registry of the routes under /api: what each takes and gives, and who may ask.

A module of the API returns a list of `Route`s; the composition root hands all of them to one
`Api`, which reads and checks requests for them, and from which `api_document` makes
/api/openapi.json. A route is therefore documented by being served. To add one:

    class NewName(Body):
        \"\"\"What the request says; the docstring ends up in the document.\"\"\"
        name: Annotated[str, Meta(max_length=64)]

    class Renamed(Struct):
        \"\"\"What is answered.\"\"\"
        name: str

    async def rename(call: Call[NewName]) -> Renamed:
        return Renamed(call.body.name)

    Route("PUT", "/api/name", rename, "Give a new name", body=NewName, answer=Renamed)

A handler gets a `Call` with the decoded body and query and, unless the route is for `anyone`, the
account that asks. It returns an instance of `answer`, None for an answer without a body (204), or
a `web.StreamResponse` of its own for what is no JSON, and raises a `TokenferryError` for anything
else. With `body=None` the request's body is left unread: a webhook calls `read_body` itself.

Who asks is told by `Authorization: Bearer ts_…`, or by the cookie of a browser. A browser sends
that along wherever a request comes from, so that with it a request that changes something must
be JSON and come from a page of this server, or of an origin that the operator has named.

Source: RFC 6265bis (SameSite), RFC 6454; OWASP, "Cross-Site Request Forgery Prevention", 2026-11.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

import msgspec
from aiohttp import web
from msgspec import Struct

from tokenferry.domain.account import Account
from tokenferry.domain.api_key import bearer_token
from tokenferry.engine.accounts import LoginSession
from tokenferry.engine.keys import StoreUnusable
from tokenferry.errors import (
    AdminOnly,
    InvalidJSON,
    InvalidRequest,
    LoginRequired,
    OriginRefused,
    StorageUnavailable,
)
from tokenferry.protocol.chat import explain_invalid, why_unreadable
from tokenferry.server.credentials import is_own
from tokenferry.server.request_body import read_body
from tokenferry.server.responses import JSON, json_response

COOKIE = "tokenferry_session"
# No body of this API comes near it.
BODY_BYTES_MAX = 64 * 1024
_CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})

B = TypeVar("B")


class Body(Struct, forbid_unknown_fields=True):
    """What a request's body or query is read into; a field that is not there is refused."""


class NoBody(Body):
    """Nothing."""


@dataclass(frozen=True, slots=True)
class Call(Generic[B]):
    """One request.

    Attributes:
        request: As aiohttp has it.
        body: The decoded body; `NoBody` if the route takes none.
        query: The decoded query string, an instance of the route's `query`.
        session: Who asks; None on a route for `anyone`, or if a `visitor` is not logged in.
    """

    request: web.Request
    body: B
    query: Any
    session: LoginSession | None

    @property
    def account(self) -> Account:
        """Who asks, on a route that is not for `anyone`."""
        if self.session is None:
            raise TypeError("a route for anyone has no account")
        return self.session.account


# A visitor is anyone on a page of this server, logged in or not.
Access = Literal["anyone", "visitor", "session", "admin"]


@dataclass(frozen=True, slots=True)
class Route:
    """One route.

    Attributes:
        method: In capitals.
        path: As aiohttp writes it: `/api/keys/{public_id}`.
        handler: What serves it.
        summary: One line for the document.
        body: The type of the JSON body; None if it is not read.
        query: The type of the query string, whose fields are texts or integers.
        answer: The type of the JSON answer; None for none.
        status: The status of the answer, unless there is none: that is 204.
        access: Who may ask.
    """

    method: str
    path: str
    handler: Callable[[Call[Any]], Awaitable[Any]]
    summary: str
    body: type[Body] | None = None
    query: type[Body] | None = None
    answer: type[Struct] | None = None
    status: int = 200
    access: Access = "session"


class SessionSource(Protocol):
    """Where logins are looked up."""

    async def session(self, token: str) -> LoginSession:
        """Return the login that a token stands for.

        Raises:
            LoginRequired: If it stands for none.
            AccountSuspended: If the account is suspended.
            StoreUnusable: If the store fails.
        """


class Api:
    """Serves routes.

    Args:
        routes: All of them.
        sessions: Where logins are looked up.
        origins: The browser origins that may use the API besides the server's own.
    """

    def __init__(
        self, routes: Iterable[Route], sessions: SessionSource, origins: Sequence[str]
    ) -> None:
        self.routes = tuple(routes)
        self._sessions = sessions
        # A cookie is not handed to just anybody, even where keys are.
        self._origins = frozenset(origins) - {"*"}

    def add_to(self, app: web.Application) -> None:
        """Add the routes to an application."""
        for route in self.routes:
            app.router.add_route(route.method, route.path, self._serving(route))

    def _serving(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            try:
                session = await self._session(route, request)
                body = NoBody() if route.body is None else await _body(request, route.body)
                query = None if route.query is None else _query(request, route.query)
                answer = await route.handler(Call(request, body, query, session))
            except StoreUnusable as exc:
                raise StorageUnavailable("The server's storage fails; try later.") from exc
            if isinstance(answer, web.StreamResponse):
                return answer
            if answer is None:
                return web.Response(status=web.HTTPNoContent.status_code)
            response = json_response(answer, status=route.status)
            # It may hold a token, and is one person's in any case.
            response.headers["cache-control"] = "no-store"
            return response

        return serve

    async def _session(self, route: Route, request: web.Request) -> LoginSession | None:
        if route.access == "anyone":
            return None
        header, cookie = request.headers.get("Authorization"), request.cookies.get(COOKIE)
        if route.access == "visitor":
            self._check_page(request)
            return await self._visitor(cookie)
        if header is None and cookie is not None:
            self._check_page(request)
            session = await self._sessions.session(cookie)
        elif header is None:
            raise LoginRequired("Log in first: POST /api/sessions.")
        else:
            session = await self._sessions.session(bearer_token(header))
        if route.access == "admin" and session.account.role != "admin":
            raise AdminOnly("This is for the administrators of this gateway.")
        return session

    async def _visitor(self, cookie: str | None) -> LoginSession | None:
        if cookie is None:
            return None
        try:
            return await self._sessions.session(cookie)
        except LoginRequired:
            return None

    def _check_page(self, request: web.Request) -> None:
        """Make sure that a request with a cookie was made by a page that may make it.

        Raises:
            OriginRefused: If it was not.
            InvalidRequest: If it could have been made by a form of any page.
        """
        if request.method not in _CHANGING:
            return
        origin = request.headers.get("Origin")
        own = origin is not None and is_own(origin, request)
        if not own and origin not in self._origins:
            raise OriginRefused(
                "With a cookie, this takes the Origin of a page of this server, or one of "
                "`origins` in its [server] table. Programs send `Authorization: Bearer ts_…`."
            )
        _check_type(request)


def _check_type(request: web.Request) -> None:
    if request.content_type != JSON:
        raise InvalidRequest(f"Send the header `Content-Type: {JSON}`.", param="Content-Type")


async def _body(request: web.Request, kind: type[Body]) -> Body:
    """Read and decode a body.

    Raises:
        InvalidJSON: If it is no JSON.
        MissingParameter: If a field is absent.
        InvalidRequest: If a field is unknown, or has a wrong type or value.
        PayloadTooLarge: If it is too long.
        RequestTooSlow: If it does not come in time.
    """
    _check_type(request)
    data = await read_body(request, BODY_BYTES_MAX, "; send less.")
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as exc:
        raise explain_invalid(str(exc)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise InvalidJSON(
            f"The body must be a JSON object in UTF-8: {why_unreadable(data, exc)}."
        ) from None


def _query(request: web.Request, kind: type[Body]) -> Body:
    try:
        return msgspec.convert(dict(request.query), kind, strict=False)
    except msgspec.ValidationError as exc:
        raise explain_invalid(str(exc)) from None
