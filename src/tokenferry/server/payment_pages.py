"""The pages on which credit is paid for, and to which buyers come back.

    GET /pay/{order}           what is bought, and the provider's payment window
    GET /pay/{order}/return    the provider sends the buyer here: the order is settled
    GET /pay/{order}/failed    or here

They need no login, since browsers come from elsewhere, without our cookie: who knows an order's
id, 96 random bits, may pay for it and see what has become of it, and nothing else.

Source: Content Security Policy Level 3; the scripts' documentation of Toss Payments and PortOne.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from html import escape
from importlib import resources
from string import Template
from typing import Final
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from tokenferry.domain.money import format_dollars
from tokenferry.domain.topup import Order, State, state_of
from tokenferry.engine.accounts import AccountStore
from tokenferry.engine.keys import StoreUnusable
from tokenferry.engine.payments import Buyer, Redirect, Urls, Widget
from tokenferry.engine.topups import TopUps
from tokenferry.engine.workers import Workers
from tokenferry.errors import (
    PaymentDeclined,
    PaymentUncertain,
    RateLimited,
    TokenferryError,
    TopUpNotFound,
)
from tokenferry.server.payment_texts import OUTCOMES, WORDS, Language
from tokenferry.server.topups_api import format_minor

log = logging.getLogger(__name__)

# How long a buyer looks at an empty page while the provider is asked; it may take half a minute.
PATIENCE_S: Final = 4.0
REFRESH_S: Final = 5
# Of a page that has looked as often as it may.
SLOW_REFRESH_S: Final = 60
# Toss names the payment in the address of the return.
PAYMENT_REF: Final = "paymentKey"
REF_CHARACTERS_MAX: Final = 300
BUYER_CHARACTERS_MAX: Final = 60
# After these there is nothing to wait for.
_FINAL: Final[frozenset[State]] = frozenset(
    {"paid", "failed", "review", "closed", "partly_refunded", "refunded", "disputed", "expired"}
)
_POLICY: Final = (
    "default-src 'none'; script-src 'self' {script}; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' https: data:; font-src https:; connect-src https: {script}; "
    "frame-src https: {script}; base-uri 'none'; form-action https: {script}; "
    "frame-ancestors 'none'"
)


def pay_urls(public_url: str) -> tuple[Callable[[str], str], Callable[[str], Urls]]:
    """Return where an order is paid, and where its buyer comes back to, by the order's id."""
    root = public_url.rstrip("/")
    return (
        lambda order_id: f"{root}/pay/{order_id}",
        lambda order_id: Urls(f"{root}/pay/{order_id}/return", f"{root}/pay/{order_id}/failed"),
    )


class PaymentPages:
    """The pages.

    Args:
        topups: What does the work.
        accounts: Where a buyer's language is.
        disk: The threads that use it.
    """

    def __init__(self, topups: TopUps, accounts: AccountStore, disk: Workers) -> None:
        self._topups = topups
        self._accounts = accounts
        self._disk = disk
        page = resources.files("tokenferry.server") / "pay.html"
        self._page = Template(page.read_text(encoding="utf-8"))
        # By order and payment: who comes back again waits for what is asked already.
        self._returns: dict[tuple[str, str | None], asyncio.Task[Order]] = {}

    def add_to(self, app: web.Application) -> None:
        """Add the routes to an application."""
        app.router.add_get("/pay/{order}", self._pay)
        app.router.add_get("/pay/{order}/return", self._returned)
        app.router.add_get("/pay/{order}/failed", self._failed)

    async def close(self) -> None:
        """Let go of questions that have no answer yet: the reconciler asks them again."""
        tasks = list(self._returns.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _pay(self, request: web.Request) -> web.StreamResponse:
        try:
            order, buyer = await self._order(request)
        except (TokenferryError, StoreUnusable) as error:
            return self._missing(request, error)
        words = WORDS[buyer.language]
        if state_of(order) not in ("open", "failed") or self._topups.is_over(order):
            return self._outcome(order, buyer.language)
        try:
            _, begun = await self._topups.begin(order.order_id, buyer)
        except PaymentDeclined as error:
            # What the provider says is in whichever language it speaks.
            said = f"{words['refused']} {error.__cause__ or error.message}"
            return self._message(order, buyer.language, said, status=error.http_status)
        except (TokenferryError, StoreUnusable) as error:
            return self._unknown(order, buyer.language, error, None)
        if isinstance(begun, Redirect):
            return web.Response(status=303, headers={"Location": begun.url})
        return self._choices(order, begun, buyer.language)

    async def _returned(self, request: web.Request) -> web.StreamResponse:
        try:
            order, buyer = await self._order(request)
        except (TokenferryError, StoreUnusable) as error:
            return self._missing(request, error)
        payment_ref = request.query.get(PAYMENT_REF)
        if payment_ref is not None and not _is_reference(payment_ref):
            payment_ref = None
        asked = self._ask(order, payment_ref)
        await asyncio.wait({asked}, timeout=PATIENCE_S)
        if not asked.done():
            text = WORDS[buyer.language]["confirming"]
            status = web.HTTPAccepted.status_code
            return self._message(
                order, buyer.language, text, status=status, payment_ref=payment_ref
            )
        try:
            order = asked.result()
        except (TokenferryError, StoreUnusable) as error:
            # The payment's name may not have been stored yet: the page brings it again.
            return self._unknown(order, buyer.language, error, payment_ref)
        return self._outcome(order, buyer.language)

    def _ask(self, order: Order, payment_ref: str | None) -> asyncio.Task[Order]:
        """Settle an order, whether or not anybody waits for it."""
        name = (order.order_id, payment_ref)
        task = self._returns.get(name)
        if task is None:
            task = asyncio.create_task(
                self._topups.returned(order.provider, order.order_id, payment_ref)
            )
            self._returns[name] = task
            task.add_done_callback(lambda done: self._answered(name, done))
        return task

    def _answered(self, name: tuple[str, str | None], task: asyncio.Task[Order]) -> None:
        del self._returns[name]
        error = None if task.cancelled() else task.exception()
        if error is not None:
            # Whoever waited for it may be gone.
            log.info("top-up %s is not settled yet: %s", name[0], error)

    async def _failed(self, request: web.Request) -> web.StreamResponse:
        try:
            order, buyer = await self._order(request)
        except (TokenferryError, StoreUnusable) as error:
            return self._missing(request, error)
        # What the address says is not believed, and the order is left as it is: another attempt
        # may succeed.
        return self._outcome(order, buyer.language)

    async def _order(self, request: web.Request) -> tuple[Order, Buyer]:
        order = await self._topups.find(request.match_info["order"])
        account = await self._disk.run(lambda: self._accounts.find(order.account_id))
        language: Language = "en" if account is None else account.language
        email = None if account is None else account.email
        return order, Buyer(order.account_id, email, language)

    # -- what is shown -------------------------------------------------------------------------

    def _choices(self, order: Order, widget: Widget, language: Language) -> web.Response:
        words = WORDS[language]
        methods = "".join(
            f'<button type="button" data-method="{method}">{escape(words[method])}</button>'
            for method in ("card", "easy", "transfer", "virtual")
        )
        # `<` would end the script's element.
        facts = json.dumps({"kind": widget.kind, "options": widget.options}).replace("<", "\\u003c")
        scripts = (
            f'<script src="{escape(widget.script_url)}"></script>'
            '<script type="module" src="/static/pay.js"></script>'
        )
        asked = "".join(
            f'<p><label>{escape(words[name])} <input id="buyer-{name}" type="{kind}" required '
            f'autocomplete="{filled}" maxlength="{BUYER_CHARACTERS_MAX}"></label></p>'
            for name, kind, filled in (("name", "text", "name"), ("phone", "tel", "tel"))
            if widget.asks_buyer
        )
        body = (
            f"{asked}<p>{escape(words['choose'])}</p>"
            f'<div id="methods" class="choices">{methods}</div>'
            f'<p id="outcome" role="status" data-no-script="{escape(words["no_script"])}"></p>'
            f"<noscript><p>{escape(words['needs_script'])}</p></noscript>"
            f'<script type="application/json" id="payment">{facts}</script>'
        )
        parts = urlsplit(widget.script_url)
        return self._show(
            order, language, body, head=scripts, script=f"{parts.scheme}://{parts.netloc}"
        )

    def _outcome(self, order: Order, language: Language) -> web.Response:
        state, words = state_of(order), WORDS[language]
        if state == "open" and self._topups.is_over(order):
            state = "expired"
        body = f'<p role="status" class="state-{state}">{escape(OUTCOMES[language][state])}</p>'
        if order.detail and state in ("open", "failed"):
            body += f"<p>{escape(order.detail)}</p>"
        path = f"/pay/{order.order_id}"
        if state in ("open", "failed") and not self._topups.is_over(order):
            body += f'<p><a class="button" href="{path}">{escape(words["again"])}</a></p>'
        if state not in _FINAL:
            body += f'<p><a href="{path}/return">{escape(words["refresh"])}</a></p>'
        return self._show(order, language, body)

    def _unknown(
        self, order: Order, language: Language, error: Exception, payment_ref: str | None
    ) -> web.Response:
        """Return the page for an order of which it is not known now what became of it."""
        words = WORDS[language]
        if isinstance(error, RateLimited):
            text, status = words["often"], error.http_status
        else:
            text = words["silent" if isinstance(error, PaymentUncertain) else "busy"]
            status = web.HTTPServiceUnavailable.status_code
        return self._message(order, language, text, status=status, payment_ref=payment_ref)

    def _message(
        self,
        order: Order,
        language: Language,
        text: str,
        *,
        status: int,
        payment_ref: str | None = None,
    ) -> web.Response:
        url = f"/pay/{order.order_id}/return"
        if payment_ref is not None:
            url += f"?{urlencode({PAYMENT_REF: payment_ref})}"
        is_often = status == web.HTTPTooManyRequests.status_code
        after_s = SLOW_REFRESH_S if is_often else REFRESH_S
        body, head = _looks_again(url, language, text, after_s)
        response = self._show(order, language, body, head=head)
        response.set_status(status)
        return response

    def _missing(self, request: web.Request, error: Exception) -> web.Response:
        """Return the page for an order that is none, or cannot be read now."""
        language = _language_of(request)
        words = WORDS[language]
        if isinstance(error, TopUpNotFound):
            response = self._render(language, f"<p>{escape(words['not_found'])}</p>")
            response.set_status(web.HTTPNotFound.status_code)
            return response
        # With all that the provider's page has sent along.
        body, head = _looks_again(request.path_qs, language, words["busy"], REFRESH_S)
        response = self._render(language, body, head=head)
        response.set_status(web.HTTPServiceUnavailable.status_code)
        return response

    def _show(
        self, order: Order, language: Language, body: str, *, head: str = "", script: str = ""
    ) -> web.Response:
        words = WORDS[language]
        price = format_minor(order.currency, order.amount_minor)
        rows = {
            "price": f"₩{int(price):,}" if order.currency == "KRW" else f"${price}",
            "credit": f"${format_dollars(order.credit_nanos)}",
            "order": order.order_id,
        }
        facts = "".join(
            f"<div><dt>{escape(words[name])}</dt><dd>{escape(text)}</dd></div>"
            for name, text in rows.items()
        )
        # Buyers in a browser come from there; others see its log-in.
        console = f"/console/credit?order={order.order_id}"
        body += f'<p><a href="{console}">{escape(words["console"])}</a></p>'
        test = "" if order.live else f'<p class="notice">{escape(words["test"])}</p>'
        return self._render(
            language, f'<dl class="facts">{facts}</dl>{test}{body}', head=head, script=script
        )

    def _render(
        self, language: Language, body: str, *, head: str = "", script: str = ""
    ) -> web.Response:
        page = self._page.substitute(
            language=language, title=escape(WORDS[language]["title"]), head=head, body=body
        )
        headers = {
            "Cache-Control": "no-store",
            "Content-Security-Policy": _POLICY.format(script=script),
            "Referrer-Policy": "strict-origin",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        }
        return web.Response(text=page, content_type="text/html", headers=headers)


def _looks_again(url: str, language: Language, text: str, after_s: int) -> tuple[str, str]:
    """Return a page that says something, and its head, by which it loads again."""
    url = escape(url)
    link = f'<p><a href="{url}">{escape(WORDS[language]["refresh"])}</a></p>'
    head = f'<meta http-equiv="refresh" content="{after_s};url={url}">'
    return f'<p role="status">{escape(text)}</p>{link}', head


def _is_reference(text: str) -> bool:
    return 0 < len(text) <= REF_CHARACTERS_MAX and text.isascii() and text.isprintable()


def _language_of(request: web.Request) -> Language:
    return "ko" if request.headers.get("Accept-Language", "").lower().startswith("ko") else "en"
