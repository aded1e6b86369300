"""Serves the plain page, which streams an answer in the browser, and the one of links in mails.

The files are of the package, read once, when the application is put together, and answered from
memory; a browser keeps them and asks each time whether they have changed.

Source: Content Security Policy Level 3 (`connect-src 'self'` covers ws: and wss: of the same host;
Safari was the last to follow, in 2022); RFC 9110, section 13 (conditional requests).
Weakness: nothing is compressed; all files together are below 70 kB.
"""

import hashlib
from importlib import resources
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

PAGE: Final = "index.html"
# Documents that have a path of their own.
_PATHS: Final = {PAGE: "/", "account.html": "/account"}

# Every file that is served; a name that is not here is not looked for on disk.
_CONTENT_TYPES: Final = {
    PAGE: "text/html; charset=utf-8",
    "account.html": "text/html; charset=utf-8",
    "account.js": "text/javascript; charset=utf-8",
    "pay.js": "text/javascript; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "status.css": "text/css; charset=utf-8",
    "stream.js": "text/javascript; charset=utf-8",
    "texts.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}

_POLICY: Final = (
    "default-src 'none'; "
    "script-src 'self'; "
    "style-src 'self'; "
    "img-src 'self'; "
    "connect-src 'self'; "
    "base-uri 'none'; "
    "form-action 'none'; "  # forms are handled by the script; a key must never be submitted
    "frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)

HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",  # for browsers that do not know frame-ancestors
}


def add_pages(app: web.Application) -> None:
    """Add the page at `/`, that of links in mails, and their parts at `/static/{name}`."""
    directory = resources.files("tokenferry.server") / "static"
    for name, content_type in _CONTENT_TYPES.items():
        handler = _handler((directory / name).read_bytes(), content_type)
        app.router.add_get(_PATHS.get(name, f"/static/{name}"), handler)


def _handler(body: bytes, content_type: str) -> Handler:
    tag = hashlib.sha256(body).hexdigest()[:32]
    headers = {**HEADERS, "ETag": f'"{tag}"'}

    async def answer(request: web.Request) -> web.Response:
        known = request.if_none_match or ()
        if any(etag.value in (tag, "*") for etag in known):
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, headers={**headers, "Content-Type": content_type})

    return answer
