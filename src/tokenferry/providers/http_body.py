"""What becomes of a response's body: events, a whole answer, an error, or nothing of use. No I/O.

Source: RFC 9110, 8.3 "Content-Type" and 8.4 "Content-Encoding"; the rules for what providers get
wrong (a JSON answer to a streaming request, no content type or another one, no event in what is
called an event stream) are our own.
Weakness: an end of the connection without a length or a chunk before it counts as complete, also
under TLS without a close alert; whether the answer is, is then for the decoder to say.
"""

import zlib
from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit

from tokenferry.errors import ProviderError, ProviderInvalidResponse, ProviderUnreachable
from tokenferry.protocol.sse import Parser
from tokenferry.providers.http_asked import Asked, Head

# Providers' errors are a few hundred bytes; an HTML page of a load balancer is a few thousand.
ERROR_BYTES_MAX = 64 * 1024
# How much of a body that nobody expected is quoted.
QUOTE_CHARACTERS_MAX = 200
_QUOTE_BYTES_MAX = 4 * QUOTE_CHARACTERS_MAX
# How much one step of decompression may give, so that a small chunk cannot fill the memory.
_INFLATE_STEP_BYTES = 64 * 1024
# As zlib's manual has it: 32 added to the window size detects the header.
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
_PROXY_AUTHENTICATION_REQUIRED = 407
_SUCCESSFUL, _REDIRECTION, _ERRORS = 2, 3, (4, 5)
_WHITESPACE = b" \t\r\n"
_JSON = (b"{", b"[")
_FIELDS = (b"data:", b"event:", b"id:", b": ")  # an event stream begins with one of them


class Body(Protocol):
    """Takes one response's body.

    What `feed` and `end` raise is to be reported, and the connection to be closed.
    """

    @property
    def quick(self) -> Callable[[bytes], bool] | None:
        """What may be given the next part first, until something else was fed; see there."""

    def feed(self, chunk: bytes) -> None:
        """Take a part."""

    def end(self) -> ProviderError | None:
        """Take the orderly end; return what is still to be reported."""

    def stop(self) -> None:
        """Pass nothing on any more, not even the rest of the part that is being taken."""

    def explain(self, error: ProviderError) -> ProviderError:
        """Return what to report when the body breaks off because of `error`."""


def open_body(head: Head, asked: Asked) -> Body:
    """Return what takes the body of this response.

    Raises:
        ProviderInvalidResponse: If no body could make this a valid response.
        ProviderUnreachable: If it is a proxy's, which does not let the request through.
    """
    body: Body
    if head.status == _PROXY_AUTHENTICATION_REQUIRED:
        # As where a proxy refuses a tunnel. Passed on, it would be about the client's own proxy.
        raise ProviderUnreachable(
            f"{asked.provider}: the proxy before it wants another credential of the gateway's; "
            "the operator must check `proxy` (HTTP 407)."
        )
    status_class = head.status // 100  # RFC 9110, 15
    if status_class == _SUCCESSFUL:
        body = _successful_body(head, asked)
    elif status_class in _ERRORS:
        body = ErrorBody(head, asked)
    else:
        what = _redirect_text(head) if status_class == _REDIRECTION else "which means nothing here"
        raise asked.invalid(f"it answered HTTP {head.status}, {what}")
    encoding = head.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding in ("gzip", "x-gzip", "deflate"):
        return InflatedBody(body, asked)
    if isinstance(body, ErrorBody):
        return DiscardedBody(head, asked)  # the status says more than the encoding
    raise asked.invalid(
        f"the response is encoded as {encoding[:40]!r}, though only `identity` was asked for"
    )


def _redirect_text(head: Head) -> str:
    try:
        host = urlsplit(head.headers.get("location", "")).hostname
    except ValueError:
        host = None
    to = f" to the host {host}" if host else ""
    return f"a redirect{to}, and redirects are not followed; check the provider's base_url"


def _successful_body(head: Head, asked: Asked) -> Body:
    # A server's header may be joined with another one, of the proxy before it.
    content_type = head.headers.get("content-type", "").partition(";")[0].partition(",")[0]
    content_type = content_type.strip().lower()
    if content_type == "text/event-stream":
        return EventsBody(asked)
    if content_type in ("application/json", "text/json") or content_type.endswith("+json"):
        return JsonBody(asked)
    return UntypedBody(content_type, asked)


def quote(start: bytes) -> str:
    """Return the beginning of a text as it is quoted in a message."""
    return " ".join(start.decode("utf-8", "replace").split())[:QUOTE_CHARACTERS_MAX]


def ignore(_: object) -> None:
    """Take the place of what is to hear nothing more."""


class Unhurried:
    """A body that knows no quick way."""

    __slots__ = ()
    quick = None


class EventsBody:
    """Server-sent events: every event goes to the decoder at once.

    A body that has none, but JSON, is read as a whole answer or error; other text is quoted.
    """

    __slots__ = ("_asked", "_decoder", "_event", "_is_begun", "_parser")

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._decoder = asked.decoder()
        self._event: Callable[[bytes], None] = self._first_event
        self._is_begun = False
        self._parser = Parser(event_bytes_max=asked.body_bytes_max)

    @property
    def quick(self) -> Callable[[bytes], bool] | None:
        """Take the next part, if it is one event of the known form, or return False."""
        template = self._decoder.template
        if template is None or not self._parser.at_boundary or self._event is ignore:
            return None
        return template.take

    def feed(self, chunk: bytes) -> None:
        """Take a part."""
        quick = self.quick
        if quick is not None and quick(chunk):
            return
        for data in self._parser.feed(chunk):
            self._event(data)

    def _first_event(self, data: bytes) -> None:
        self._is_begun = True
        self._event = self._decoder.event
        self._event(data)

    def end(self) -> ProviderError | None:
        """Let the decoder say whether the answer was complete."""
        rest = self._parser.end()
        if self._is_begun:
            if rest.startswith(_JSON):
                self._event(rest)
            self._decoder.eof()
        elif rest.startswith(_JSON):
            self._decoder.body(rest)
        elif rest:
            raise self._asked.invalid(
                "the answer is called an event stream and has no event; check the provider's "
                f"base_url. It begins: {quote(rest)}"
            )
        else:
            self._decoder.eof()
        return None

    def stop(self) -> None:
        """Pass no further event on."""
        self._event = ignore

    def explain(self, error: ProviderError) -> ProviderError:
        """Return the error itself."""
        return error


class JsonBody(Unhurried):
    """A whole answer: collected, then decoded."""

    __slots__ = ("_asked", "_bytes", "_chunks")

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._chunks: list[bytes] = []
        self._bytes = 0

    def feed(self, chunk: bytes) -> None:
        """Collect a part."""
        self._bytes += len(chunk)
        if self._bytes > self._asked.body_bytes_max:
            raise self._asked.invalid(
                f"the answer is larger than {self._asked.body_bytes_max} bytes"
            )
        self._chunks.append(chunk)

    def end(self) -> ProviderError | None:
        """Decode the whole."""
        self._asked.decoder().body(b"".join(self._chunks))
        return None

    def stop(self) -> None:
        """Let go of what was collected."""
        self._chunks.clear()

    def explain(self, error: ProviderError) -> ProviderError:
        """Return the error itself."""
        return error


class UntypedBody:
    """A successful body whose content type is none, or no answer's: its beginning tells.

    Functions in the cloud call what they stream `application/octet-stream`, scripts `text/html`.
    """

    __slots__ = ("_asked", "_body", "_content_type", "_start")

    def __init__(self, content_type: str, asked: Asked) -> None:
        self._asked = asked
        self._content_type = content_type
        self._body: Body | None = None
        self._start = b""

    @property
    def quick(self) -> Callable[[bytes], bool] | None:
        """Return that of what was found."""
        return None if self._body is None else self._body.quick

    def feed(self, chunk: bytes) -> None:
        """Decide at the first characters that are no white space, which no form misses."""
        if self._body is None:
            self._start = chunk = (self._start + chunk).lstrip(_WHITESPACE)
            if any(field.startswith(chunk) for field in _FIELDS):
                return
            if chunk[:1] in _JSON:
                self._body = JsonBody(self._asked)
            elif not self._content_type or chunk.startswith(_FIELDS):
                self._body = EventsBody(self._asked)
            else:
                self._body = self._useless()
        self._body.feed(chunk)

    def end(self) -> ProviderError | None:
        """End what was found."""
        if self._body is None and not self._content_type:
            raise self._asked.invalid("its answer is empty")
        return (self._body or self._useless()).end()

    def stop(self) -> None:
        """Stop what was found."""
        if self._body is not None:
            self._body.stop()

    def explain(self, error: ProviderError) -> ProviderError:
        """Return what that says."""
        if self._body is None and not self._content_type:
            return error
        return (self._body or self._useless()).explain(error)

    def _useless(self) -> "UselessBody":
        return UselessBody(self._content_type, self._asked)


class UselessBody(Unhurried):
    """A successful body of a type that is no answer; its beginning is quoted."""

    __slots__ = ("_asked", "_content_type", "_start")

    def __init__(self, content_type: str, asked: Asked) -> None:
        self._asked = asked
        self._content_type = content_type
        self._start = b""

    def feed(self, chunk: bytes) -> None:
        """Collect what is to be quoted, and report it."""
        self._start += chunk[:_QUOTE_BYTES_MAX]
        if len(self._start) >= _QUOTE_BYTES_MAX:
            raise self._report()

    def end(self) -> ProviderError | None:
        """Report what there is."""
        raise self._report()

    def stop(self) -> None:
        """Do nothing: nothing is passed on."""

    def explain(self, error: ProviderError) -> ProviderError:  # noqa: ARG002 -- the port's
        """Return the report: the wrong type says more than the break."""
        return self._report()

    def _report(self) -> ProviderInvalidResponse:
        return self._asked.invalid(
            f"the answer is of type {self._content_type[:80]}, not JSON or an event stream; "
            f"check the provider's base_url. It begins: {quote(self._start)}"
        )


class ErrorBody(Unhurried):
    """The body of an HTTP error: collected up to a limit, then translated by the wire format."""

    __slots__ = ("_asked", "_chunks", "_head", "_room")

    def __init__(self, head: Head, asked: Asked) -> None:
        self._asked = asked
        self._head = head
        self._chunks: list[bytes] = []
        self._room = ERROR_BYTES_MAX

    def feed(self, chunk: bytes) -> None:
        """Collect a part; at the limit, report at once."""
        self._chunks.append(chunk[: self._room])
        self._room -= len(chunk)
        if self._room < 0:
            raise self.report()

    def end(self) -> ProviderError | None:
        """Report; the connection is fine."""
        return self.report()

    def stop(self) -> None:
        """Do nothing: nothing is passed on."""

    def explain(self, error: ProviderError) -> ProviderError:  # noqa: ARG002 -- the port's
        """Return the provider's error: its status counts, even if the words are cut."""
        return self.report()

    def report(self) -> ProviderError:
        """Return the provider's error in our form."""
        body = b"".join(self._chunks)
        return self._asked.wire.error(self._head.status, self._head.headers, body)


class DiscardedBody(ErrorBody):
    """The body of an HTTP error that cannot be read: status and headers say all there is."""

    __slots__ = ()

    def feed(self, chunk: bytes) -> None:
        """Drop a part."""


class InflatedBody(Unhurried):
    """A body that came compressed, though it was not asked for so."""

    __slots__ = ("_asked", "_body", "_inflater", "_is_stopped", "_room")

    def __init__(self, body: Body, asked: Asked) -> None:
        self._asked = asked
        self._body = body
        self._room = asked.body_bytes_max
        self._inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._is_stopped = False

    def feed(self, chunk: bytes) -> None:
        """Decompress a part, in steps of bounded size."""
        data = b""
        # A step that is full may have left output behind, with or without input.
        while (chunk or len(data) == _INFLATE_STEP_BYTES) and not self._is_stopped:
            try:
                data = self._inflater.decompress(chunk, _INFLATE_STEP_BYTES)
            except zlib.error as exc:
                raise self._asked.invalid(f"the compressed response is corrupt: {exc}") from None
            self._room -= len(data)
            if self._room < 0:
                raise self._asked.invalid(
                    f"the compressed response is larger than {self._asked.body_bytes_max} bytes"
                )
            if data:
                self._body.feed(data)
            chunk = self._inflater.unconsumed_tail
            if self._inflater.eof and (chunk := self._inflater.unused_data):
                # A gzip file may have several members, RFC 1952, 2.2.
                self._inflater = zlib.decompressobj(_GZIP_OR_ZLIB)

    def end(self) -> ProviderError | None:
        """End what is inside; whether it is complete shows there."""
        return self._body.end()

    def stop(self) -> None:
        """Stop what is inside."""
        self._is_stopped = True
        self._body.stop()

    def explain(self, error: ProviderError) -> ProviderError:
        """Return what the body inside says."""
        return self._body.explain(error)
