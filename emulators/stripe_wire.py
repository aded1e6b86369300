"""How the emulated Stripe reads forms and writes answers and its one page."""

import html
import json
import re
from typing import Any

from aiohttp import web

from emulators.stripe_books import Thing


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
