"""A provider that is reached over HTTP/1.1, whatever its dialect.

The parts: `http_request` writes the request, `http_pool` lends a connection, `http_call` reads the
response, `http_body` says what becomes of it.

Source: RFC 9112. Weakness: HTTP/2 is not spoken, so that every answer under way has a connection
of its own.
"""

import os
from collections.abc import Callable, Sequence
from functools import partial

from tokenferry.domain.capacity_headers import Capacity
from tokenferry.domain.usage import estimate_tokens
from tokenferry.engine.ports import Sink
from tokenferry.protocol.chat import ChatRequest
from tokenferry.providers.http_asked import Asked
from tokenferry.providers.http_call import HttpCall
from tokenferry.providers.http_dial import Destination
from tokenferry.providers.http_pool import ConnectionPool
from tokenferry.providers.http_proxy import choose_proxy
from tokenferry.providers.http_request import (
    HttpProviderSettings,
    RequestWriter,
    parse_base_url,
)
from tokenferry.providers.seam import SeamSink
from tokenferry.providers.wire import Continuation, WireFormat, WireRequest

__all__ = ["HttpCall", "HttpProvider", "HttpProviderSettings", "PreparedCall"]

# Of which provider and model, with which of its keys, what is left.
Heard = Callable[[str, str, int, Capacity], None]


class HttpProvider:
    """A provider that is reached over HTTP; implements the engine's `Provider`.

    Args:
        settings: How to reach it.
        wires: Its dialect, once with each of its keys; at least one.
        pool: Where its connections live.
        heard: Told what its answers say is left of its limits.

    Raises:
        ValueError: If the CA file or the proxy's URL cannot be used.
    """

    __slots__ = ("heard", "lane", "name", "settings", "wires", "writers")

    def __init__(
        self,
        settings: HttpProviderSettings,
        wires: Sequence[WireFormat],
        pool: ConnectionPool,
        heard: Heard | None = None,
    ) -> None:
        origin = parse_base_url(settings.base_url)
        proxy = choose_proxy(
            settings.proxy_url,
            scheme=origin.scheme,
            host=origin.host,
            port=origin.port,
            environ=os.environ,
        )
        tls = pool.tls_context(settings.ca_file) if origin.scheme == "https" else None
        destination = Destination(
            provider=settings.name,
            host=origin.host,
            port=origin.port,
            tls=tls,
            proxy=proxy,
            connect_timeout_s=settings.connect_timeout_s,
        )
        self.name = settings.name
        self.settings = settings
        self.wires = wires
        self.heard = heard
        self.lane = pool.lane(
            destination, connections_max=settings.connections_max, line_max=settings.line_max
        )
        # A writer keeps the headers that it wrote last.
        self.writers = [RequestWriter(origin, settings.extra_headers, proxy) for _ in wires]

    def prepare(self, request: ChatRequest, model: str) -> "PreparedCall":
        """Translate a request for `model`; nothing is sent yet.

        Raises:
            RequestError: If this provider cannot serve the request.
        """
        return PreparedCall(self, request, model, self.wires[0].encode(request, model))

    def prepare_continuation(self, request: ChatRequest, model: str, text: str) -> "PreparedCall":
        """Translate a request for the rest of an answer; its output limit is less by what is there.

        Raises:
            RequestError: If this provider cannot go on from there.
        """
        rest = request.shortened(estimate_tokens(text))
        continuation = self.wires[0].encode_continuation(rest, model, text)
        return PreparedCall(self, rest, model, continuation.request, continuation)


class PreparedCall:
    """A request in bytes; implements the engine's `Prepared`."""

    __slots__ = ("_continuation", "_model", "_provider", "_request", "_wire_request", "_written")

    def __init__(
        self,
        provider: HttpProvider,
        request: ChatRequest,
        model: str,
        wire_request: WireRequest,
        continuation: Continuation | None = None,
    ) -> None:
        self._continuation = continuation
        self._model = model
        self._provider = provider
        self._request = request
        self._wire_request = wire_request
        # Refuses what is no path, before anything is begun.
        self._written = provider.writers[0].write(wire_request)

    @property
    def output_tokens_max(self) -> int | None:
        """See `Prepared`."""
        return self._wire_request.output_tokens_max

    def start(
        self, sink: Sink, key: int = 0, headers: Sequence[tuple[str, str]] = ()
    ) -> "HttpCall":
        """Send it: at once, if a connection is idle. The sink hears nothing before the return."""
        provider, continuation, heard = self._provider, self._continuation, self._provider.heard
        if continuation is not None and continuation.repeated:
            sink = SeamSink(sink, continuation.repeated, as_whole=continuation.as_whole)
        asked = Asked(
            provider=provider.name,
            wire=provider.wires[key],
            request=self._request,
            sink=sink,
            body_bytes_max=provider.settings.body_bytes_max,
            heard=heard and partial(heard, provider.name, self._model, key),
        )
        written = self._written
        if key or headers:
            own = self._wire_request._replace(headers=(*provider.wires[key].headers, *headers))
            written = provider.writers[key].write(own)
        call = HttpCall(provider.settings, provider.lane, asked, written)
        call.open()
        return call
