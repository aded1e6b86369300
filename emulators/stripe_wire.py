"""How the emulated Stripe reads forms and writes answers and its one page."""

import html
import json
import re
from collections.abc import Callable
from typing import Any

from aiohttp import web

from emulators.stripe_books import StripeFault, Thing, only

PAGE_ITEMS, PAGE_ITEMS_MAX = 10, 100
LIST_PARAMS = ("created", "limit", "payment_intent", "starting_after")


def nested(pairs: list[tuple[str, str]]) -> Thing:
    """Return form fields such as `a[b][0]` as objects in objects."""
    whole: Thing = {}
    for name, value in pairs:
        *path, last = re.findall(r"[^\[\]]+", name)
        inner = whole
        for step in path:
            inner = inner.setdefault(step, {})
        inner[last] = value
    return whole


def page_of(things: list[Thing], params: Thing, shown: Callable[[Thing], Thing]) -> Thing:
    """Return a page of a list, newest first."""
    only(params, LIST_PARAMS)
    since_s = int((params.get("created") or {}).get("gte", 0))
    intent = params.get("payment_intent")
    rest = [
        thing
        for thing in reversed(things)
        if thing["created"] >= since_s and intent in (None, thing.get("payment_intent"))
    ]
    limit = int(params.get("limit", PAGE_ITEMS))
    if not 1 <= limit <= PAGE_ITEMS_MAX:
        raise StripeFault(400, "This value must be from 1 to 100.", param="limit")
    after = params.get("starting_after")
    if after is not None:
        rest = rest[[thing["id"] for thing in rest].index(after) + 1 :]
    page = [shown(thing) for thing in rest[:limit]]
    return {"object": "list", "data": page, "has_more": len(rest) > limit, "url": "/v1/list"}


def altered(body: Any, changes: Thing) -> Any:
    """Return an answer with some fields changed, or taken out; the path "" is the whole."""
    body = json.loads(json.dumps(body))
    for path, value in changes.items():
        if not path:
            return value
        *steps, last = path.split(".")
        inner = body
        for step in steps:
            inner = inner[int(step) if step.isdigit() else step]
        if value is None:
            inner.pop(last, None)
        else:
            inner[last] = value
    return body


def failure(fault: Thing) -> web.Response:
    body = fault["body"]
    if "html" in body:
        text = "<html><body><h1>502 Bad Gateway</h1></body></html>"
        return web.Response(text=text, status=fault["status"], content_type="text/html")
    return web.json_response(
        {"error": {"type": "api_error", "message": "An error occurred.", **body}},
        status=fault["status"],
    )


def pay_page(session: Thing, note: str) -> web.Response:
    buttons = {
        "pay": "Pay", "later": "Pay by a transfer that takes days", "fail": "Card is declined",
        "cancel": "Back",
    }  # fmt: skip
    shown = "".join(
        f'<button name="button" value="{name}">{label}</button> ' for name, label in buttons.items()
    )
    amount = f"{session['amount_total']} {session['currency'].upper()} (smallest unit)"
    return web.Response(
        content_type="text/html",
        text=f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Emulated Stripe</title>'
        f"<h1>Emulated Stripe Checkout</h1><p>{html.escape(note)}</p><p>{amount}, order"
        f" {html.escape(str(session['client_reference_id']))}</p>"
        f'<form method="post">{shown}</form>',
    )
