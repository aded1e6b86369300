"""Serves the built pages, which Vite makes of the folder `web`: the chat page and the console.

The files are of the package, read once, when the application is put together, and answered from
memory. A file below /assets has a hash in its name, so that a browser keeps it for good; it is
there compressed as well. A document is asked for each time: its language and its theme are
written into it, from what the browser's cookies or its settings say, so that no script has to
change them before the first paint.

Source: RFC 9110, sections 12.5.3 and 12.5.4 (Accept-Encoding, Accept-Language) and 13; UX: a
theme that comes with the script flashes.
Weakness: quality values are read of languages only as far as their order goes; a client that
forbids an encoding with q=0 is understood, one that prefers gzip to brotli is not.
"""

import hashlib
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from tokenferry.server.pages import HEADERS, content_policy

LANGUAGES: Final = ("en", "ko")
THEMES: Final = ("", "light", "dark")

# The documents, and the paths at which each is served: what follows is the script's to read.
# Links in mails lead to /account, and are the console's as well.
_DOCUMENTS: Final = {
    "chat.html": ("/",),
    "console.html": ("/console", "/console/{path:.*}", "/account"),
}
# What a document may do beyond what all may: the chat page shows images that were picked, before
# they are sent and from where it keeps them. It fetches none from anywhere.
_POLICIES: Final = {"chat.html": {"img-src": "'self' data: blob:"}}
_OPENING: Final = '<html lang="en">'

_CONTENT_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Best first; the suffix of the built file, and the coding's name.
_ENCODINGS: Final = ((".br", "br"), (".gz", "gzip"))
_FOREVER: Final = "public, max-age=31536000, immutable"
_NOT_BUILT: Final = (
    "The pages have not been built. Run `make web` (it needs node) and start the gateway again."
    " The API works without them.\n"
)


def add_web_app(app: web.Application, built: Traversable | None = None) -> None:
    """Add the documents and `/assets/{name}`; without a build, a text that says what to do.

    Args:
        app: What answers.
        built: The folder that the build has filled; the package's own as a rule.
    """
    folder = built or resources.files("tokenferry.server") / "web"
    for name, paths in _DOCUMENTS.items():
        document = folder / name
        policy = content_policy(_POLICIES.get(name, {}))
        handler = _document(document.read_text("utf-8"), policy) if document.is_file() else _absent
        for path in paths:
            app.router.add_get(path, handler)
    for asset in _assets(folder / "assets"):
        app.router.add_get(f"/assets/{asset.name}", _asset(asset, folder / "assets"))


def page_language(request: web.Request) -> str:
    """The language of a page: what was chosen, else what the browser prefers, else English."""
    chosen = request.cookies.get("tokenferry_language")
    if chosen in LANGUAGES:
        return chosen
    for part in request.headers.get("Accept-Language", "").split(","):
        primary = part.partition(";")[0].strip().lower().partition("-")[0]
        if primary in LANGUAGES:
            return primary
    return LANGUAGES[0]


def page_theme(request: web.Request) -> str:
    """The theme that was chosen: `light`, `dark`, or empty for what the system says."""
    chosen = request.cookies.get("tokenferry_theme", "")
    return chosen if chosen in THEMES else ""


async def _absent(request: web.Request) -> web.Response:  # noqa: ARG001 - a handler's signature
    return web.Response(status=503, text=_NOT_BUILT)


def _document(text: str, policy: str) -> Handler:
    if _OPENING not in text:
        raise ValueError(f"a page does not begin with {_OPENING}")
    bodies: dict[tuple[str, str], tuple[bytes, str]] = {}
    for language in LANGUAGES:
        for theme in THEMES:
            chosen = f' data-theme="{theme}"' if theme else ""
            body = text.replace(_OPENING, f'<html lang="{language}"{chosen}>').encode()
            bodies[language, theme] = body, hashlib.sha256(body).hexdigest()[:32]

    async def answer(request: web.Request) -> web.Response:
        body, tag = bodies[page_language(request), page_theme(request)]
        headers = {
            **HEADERS,
            "Content-Security-Policy": policy,
            "ETag": f'"{tag}"',
            "Vary": "Cookie, Accept-Language",
        }
        if any(etag.value in (tag, "*") for etag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(
            body=body, headers={**headers, "Content-Type": "text/html; charset=utf-8"}
        )

    return answer


def _assets(folder: Traversable) -> Iterator[Traversable]:
    if folder.is_dir():
        yield from (file for file in folder.iterdir() if _suffix(file.name) in _CONTENT_TYPES)


def _suffix(name: str) -> str:
    return name[name.rfind(".") :]


def _asset(file: Traversable, folder: Traversable) -> Handler:
    forms = {"": file.read_bytes()}
    for suffix, coding in _ENCODINGS:
        compressed = folder / f"{file.name}{suffix}"
        if compressed.is_file():
            forms[coding] = compressed.read_bytes()
    headers = {
        **HEADERS,
        "Cache-Control": _FOREVER,
        "Content-Type": _CONTENT_TYPES[_suffix(file.name)],
        "Vary": "Accept-Encoding",
    }

    async def answer(request: web.Request) -> web.Response:
        accepted = _codings(request.headers.get("Accept-Encoding", ""))
        coding = next((name for _, name in _ENCODINGS if name in accepted and name in forms), "")
        if coding:
            return web.Response(body=forms[coding], headers={**headers, "Content-Encoding": coding})
        return web.Response(body=forms[""], headers=headers)

    return answer


def _codings(header: str) -> frozenset[str]:
    codings = set()
    for part in header.split(","):
        name, _, quality = part.partition(";")
        if quality.replace(" ", "").lower() not in ("q=0", "q=0.0", "q=0.00", "q=0.000"):
            codings.add(name.strip().lower())
    return frozenset(codings)
