"""Serves the parts of the pages that the server writes itself: those of paying and of the status.

The files are of the package, read once, when the application is put together, and answered from
memory; a browser keeps them and asks each time whether they have changed.

Source: Content Security Policy Level 3 (`connect-src 'self'` covers ws: and wss: of the same host;
Safari was the last to follow, in 2022); RFC 9110, section 13 (conditional requests).
Weakness: nothing is compressed; all files together are below 30 kB.
"""

import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

# Every file that is served; a name that is not here is not looked for on disk.
_CONTENT_TYPES: Final = {
    "pay.js": "text/javascript; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "status.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
}

_POLICY: Final = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",  # forms are handled by the script; a key must never be submitted
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}


def content_policy(changes: Mapping[str, str]) -> str:
    """Return the Content-Security-Policy of all pages, with what one of them has otherwise."""
    return "; ".join(f"{name} {value}" for name, value in {**_POLICY, **changes}.items())


HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": content_policy({}),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",  # for browsers that do not know frame-ancestors
}


def add_pages(app: web.Application) -> None:
    """Add the parts at `/static/{name}`."""
    directory = resources.files("tokenferry.server") / "static"
    for name, content_type in _CONTENT_TYPES.items():
        handler = _handler((directory / name).read_bytes(), content_type)
        app.router.add_get(f"/static/{name}", handler)


def _handler(body: bytes, content_type: str) -> Handler:
    tag = hashlib.sha256(body).hexdigest()[:32]
    headers = {**HEADERS, "ETag": f'"{tag}"'}

    async def answer(request: web.Request) -> web.Response:
        known = request.if_none_match or ()
        if any(etag.value in (tag, "*") for etag in known):
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, headers={**headers, "Content-Type": content_type})

    return answer
