"""What the chat page asks for without a key: by its login, or as a guest.

    GET    /api/chat/models          who the page is, and which models it may use
    POST   /api/chat/ticket          a ticket for `/v1/stream`
    DELETE /api/chat/streams/{id}    end an answer, when no WebSocket is to be had

With the login's cookie the page is the account: it has a key of the account, named "Chat page",
which is made when it is first needed and whose text nobody ever sees. Without a login it is a
guest, whom a cookie of its own tells from others, if the operator lets guests in.

The page says whom it takes itself for. A login that has ended meanwhile therefore gives
`login_required`, and not a guest who finds none of the account's answers.

Source: docs/decisions/0019-chat-page.md; RFC 6265bis, section 5.6.
Weakness: two tabs that come for the first time in the same moment get two cookies, of which one
is kept; what the other tab began can then not be resumed.
"""

from typing import Any, Literal

from aiohttp import web
from msgspec import Struct

from tokenferry.domain.api_key import KeyTerms
from tokenferry.engine.guests import SECRET_BYTES, Guests
from tokenferry.engine.keys import Key, KeyStore, create_key
from tokenferry.errors import LoginRequired
from tokenferry.server import tickets
from tokenferry.server.account_site import AccountSite
from tokenferry.server.api_routes import Body, Call, Route
from tokenferry.server.credentials import is_secure, network
from tokenferry.server.hub import Hub
from tokenferry.server.keys_api import check_room
from tokenferry.server.models_api import ModelsApi
from tokenferry.server.responses import json_response
from tokenferry.server.streams_api import StreamsApi

GUEST_COOKIE = "tokenferry_guest"
# Longer than anything that the cookie gives access to is kept.
GUEST_COOKIE_S = 30 * 86_400
# What the owner of an account sees in the list of keys.
KEY_NAME = "Chat page"

Who = Literal["account", "guest"]


class Visitor(Body):
    """Whom the page takes itself for."""

    who: Who


class ChatTicket(Struct):
    """A single-use ticket, and for how many seconds it is good."""

    ticket: str
    expires_in: int


class ChatModels(Struct):
    """Who the page is, and its models, as `GET /v1/models` lists them."""

    who: Who
    email: str | None
    data: list[dict[str, Any]]


class ChatApi:
    """The routes of the chat page.

    Args:
        hub: What the handlers work with.
        models: The models.
        site: The accounts.
    """

    def __init__(self, hub: Hub, models: ModelsApi, site: AccountSite) -> None:
        self._hub = hub
        self._models = models
        self._site = site
        self._streams = StreamsApi(hub)

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("GET", "/api/chat/models", self._list, "The chat page's models",
                  answer=ChatModels, access="visitor"),
            Route("POST", "/api/chat/ticket", self._ticket, "A ticket for the chat page",
                  body=Visitor, answer=ChatTicket, access="visitor"),
            Route("DELETE", "/api/chat/streams/{id}", self._cancel, "End an answer",
                  body=Visitor, access="visitor"),
        ]  # fmt: skip

    async def _list(self, call: Call[Any]) -> ChatModels:
        if call.session is None:
            return ChatModels("guest", None, self._models.listing(self._guests().anybody))
        account = call.account
        key = Key("", KEY_NAME, account.account_id)
        return ChatModels("account", account.email, self._models.listing(key))

    async def _ticket(self, call: Call[Visitor]) -> web.Response:
        request = call.request
        secret = None
        if call.body.who == "guest":
            guests = self._guests()
            guests.count(network(request, self._hub.trusted_proxies))
            key = guests.of_secret(request.cookies.get(GUEST_COOKIE))
            if key is None:
                secret, key = guests.newcomer(self._site.world.random(SECRET_BYTES))
        else:
            key = await self._account_key(call)
        login = None if key.is_guest or call.session is None else call.session.token_hash
        ticket = self._hub.shared.tickets.issue(key, request.headers.get("Origin"), login)
        answer = ChatTicket(ticket, tickets.LIFETIME_S)
        response = json_response(answer, headers={"cache-control": "no-store"})
        if secret is not None:
            response.set_cookie(
                GUEST_COOKIE,
                secret,
                max_age=GUEST_COOKIE_S,
                path="/api/chat",
                httponly=True,
                samesite="Strict",
                secure=self._site.secure or is_secure(request),
            )
        return response

    async def _cancel(self, call: Call[Visitor]) -> web.Response:
        key: Key | None
        if call.body.who == "guest":
            key = self._guests().of_secret(call.request.cookies.get(GUEST_COOKIE))
        else:
            key = await self._account_key(call)
        owner = "" if key is None else key.public_id
        return await self._streams.cancel(owner, call.request.match_info["id"])

    def _guests(self) -> Guests:
        """Return the guests.

        Raises:
            LoginRequired: If there are to be none.
        """
        guests = self._hub.shared.guests
        if guests is None:
            raise LoginRequired("Log in, or use an API key: this server has nothing for guests.")
        return guests

    async def _account_key(self, call: Call[Any]) -> Key:
        """Return the page's key of the account that is logged in; it is made if there is none.

        Raises:
            LoginRequired: If nobody is logged in.
            TooManyKeys: If the account may have no more.
        """
        if call.session is None:
            raise LoginRequired("The login has ended. Log in again.")
        account_id = call.account.account_id
        store, world = self._site.keys, self._site.world

        def find_or_make() -> str:
            found = _page_key(store, account_id)
            if found is not None:
                return found
            check_room(store, account_id)
            create_key(store, KEY_NAME, world.wall_ms(), world.random, KeyTerms(account_id))
            return _page_key(store, account_id) or ""

        return self._hub.shared.authenticator.check(await self._site.disk.run(find_or_make))


def _page_key(store: KeyStore, account_id: str) -> str | None:
    """Return the public id of the page's key, if the account has one that is good."""
    for record in store.of_account(account_id):
        if record.name == KEY_NAME and record.revoked_at_ms is None:
            return record.public_id
    return None
