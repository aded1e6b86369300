"""The account of who asks: signing up, logging in and out, passwords.

    POST   /api/accounts                  sign up
    POST   /api/accounts/verify           use the link of the mail after it
    POST   /api/sessions                  log in
    GET    /api/sessions/current          the login
    DELETE /api/sessions/current          log out
    POST   /api/password-resets           have a link sent
    POST   /api/password-resets/confirm   use it
    GET    /api/account                   the account
    PATCH  /api/account                   its language, its password

Source: RFC 6265bis, section 5.6 (cookie attributes).
"""

from typing import Annotated, Any

from aiohttp import web
from msgspec import Meta, Struct

from tokenferry.domain.account import Account, Language, Role, State
from tokenferry.domain.password import CHARACTERS_MAX, CHARACTERS_MIN
from tokenferry.engine.accounts import LoginSession
from tokenferry.engine.membership import Membership
from tokenferry.errors import InvalidRequest, MissingParameter
from tokenferry.server.api_routes import COOKIE, Body, Call, Route
from tokenferry.server.credentials import is_secure, network
from tokenferry.server.responses import json_response

# What is longer is no address, and no password, whatever comes of normalising it.
Email = Annotated[str, Meta(max_length=1_000)]
# Decomposed Hangul has three characters a syllable.
Password = Annotated[str, Meta(max_length=4 * CHARACTERS_MAX)]
NewPassword = Annotated[
    str,
    Meta(
        max_length=4 * CHARACTERS_MAX,
        description=f"{CHARACTERS_MIN} to {CHARACTERS_MAX} characters, after composing (NFC).",
    ),
]
Token = Annotated[str, Meta(max_length=100)]


class SignUp(Body):
    """Who signs up."""

    email: Email
    password: NewPassword
    language: Language = "en"


class SignedUp(Struct):
    """What has become of a sign-up: `unverified` waits for the link in the mail."""

    state: State


class Login(Body):
    """Who logs in."""

    email: Email
    password: Password


class AccountFacts(Struct):
    """An account."""

    id: str
    email: str | None
    role: Role
    state: State
    language: Language
    created: int


class SessionFacts(Struct):
    """A login."""

    account: AccountFacts
    expires: int


class LoggedIn(Struct):
    """A new login; the token is shown this once."""

    token: str
    account: AccountFacts
    expires: int


class ResetWish(Body):
    """Who has forgotten a password."""

    email: Email


class ResetTaken(Struct):
    """That the wish was heard, whoever had it."""

    status: str


class NewPasswordByLink(Body):
    """A new password, and what the link of a mail carries."""

    token: Token
    password: NewPassword


class AccountChange(Body):
    """What is to change. A new password takes the old one; it ends all other logins."""

    language: Language | None = None
    old_password: Password | None = None
    new_password: NewPassword | None = None


class AccountsApi:
    """The routes of one's own account.

    Args:
        membership: What does the work.
        proxies: How many proxies of one's own are in front.
        secure: Whether browsers reach the server by TLS, as far as the configuration says.
    """

    def __init__(self, membership: Membership, *, proxies: int, secure: bool) -> None:
        self._membership = membership
        self._proxies = proxies
        self._secure = secure

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("POST", "/api/accounts", self._sign_up, "Sign up",
                  body=SignUp, answer=SignedUp, status=201, access="anyone"),
            Route("POST", "/api/accounts/verify", self._verify, "Prove an address",
                  body=NewPasswordByLink, answer=AccountFacts, access="anyone"),
            Route("POST", "/api/sessions", self._log_in, "Log in",
                  body=Login, answer=LoggedIn, status=201, access="anyone"),
            Route("GET", "/api/sessions/current", self._session, "Show the login",
                  answer=SessionFacts),
            Route("DELETE", "/api/sessions/current", self._log_out, "Log out"),
            Route("POST", "/api/password-resets", self._ask_reset, "Have a link sent",
                  body=ResetWish, answer=ResetTaken, status=202, access="anyone"),
            Route("POST", "/api/password-resets/confirm", self._reset, "Set a password by a link",
                  body=NewPasswordByLink, access="anyone"),
            Route("GET", "/api/account", self._show, "Show the account", answer=AccountFacts),
            Route("PATCH", "/api/account", self._change, "Change the account",
                  body=AccountChange, answer=AccountFacts),
        ]  # fmt: skip

    async def _sign_up(self, call: Call[SignUp]) -> SignedUp:
        body = call.body
        network = self._network(call.request)
        return SignedUp(
            await self._membership.sign_up(body.email, body.password, body.language, network)
        )

    async def _verify(self, call: Call[NewPasswordByLink]) -> AccountFacts:
        return account_facts(await self._membership.verify(call.body.token, call.body.password))

    async def _log_in(self, call: Call[Login]) -> web.Response:
        body = call.body
        network = self._network(call.request)
        token, session = await self._membership.log_in(body.email, body.password, network)
        answer = LoggedIn(token, account_facts(session.account), session.expires_ms // 1000)
        response = json_response(answer, status=201, headers={"cache-control": "no-store"})
        response.set_cookie(
            COOKIE,
            token,
            max_age=self._membership.policy.session_ms // 1000,
            path="/api",
            httponly=True,
            samesite="Strict",
            secure=self._secure or is_secure(call.request),
        )
        return response

    async def _session(self, call: Call[Any]) -> SessionFacts:
        session = _session_of(call)
        return SessionFacts(account_facts(session.account), session.expires_ms // 1000)

    async def _log_out(self, call: Call[Any]) -> web.Response:
        await self._membership.log_out(_session_of(call))
        response = web.Response(status=204)
        response.del_cookie(COOKIE, path="/api")
        return response

    async def _ask_reset(self, call: Call[ResetWish]) -> ResetTaken:
        await self._membership.ask_reset(call.body.email, self._network(call.request))
        return ResetTaken("accepted")

    async def _reset(self, call: Call[NewPasswordByLink]) -> None:
        await self._membership.confirm_reset(call.body.token, call.body.password)

    async def _show(self, call: Call[Any]) -> AccountFacts:
        return account_facts(call.account)

    async def _change(self, call: Call[AccountChange]) -> AccountFacts:
        body, session = call.body, _session_of(call)
        if body.new_password is not None:
            if body.old_password is None:
                raise MissingParameter(
                    "`old_password` is required; add it to the request.", param="old_password"
                )
            await self._membership.change_password(session, body.old_password, body.new_password)
        elif body.old_password is not None:
            raise InvalidRequest(
                "`old_password` means nothing without `new_password`.", param="old_password"
            )
        facts = account_facts(session.account)
        if body.language is not None:
            await self._membership.set_language(session.account, body.language)
            facts.language = body.language
        return facts

    def _network(self, request: web.Request) -> str:
        """Return what limits count by."""
        return network(request, self._proxies)


def account_facts(account: Account) -> AccountFacts:
    """Return what is shown of an account."""
    return AccountFacts(
        account.account_id,
        account.email,
        account.role,
        account.state,
        account.language,
        account.created_ms // 1000,
    )


def _session_of(call: Call[Any]) -> LoginSession:
    if call.session is None:
        raise TypeError("a route for anyone has no login")
    return call.session
