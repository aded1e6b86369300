"""What a wire format is: the translation between OpenAI's dialect and a provider's, without I/O.

`providers.http_stream` does the I/O for every wire format; each format is one module that
implements `WireFormat`. The demo model implements the engine's `Provider` port directly.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from tokenferry.engine.ports import Sink
from tokenferry.errors import ProviderAuthFailed, ProviderError, ProviderRejected
from tokenferry.protocol.chat import ChatRequest
from tokenferry.providers.event_template import EventTemplate

# Whoever asks for more has made a mistake; clients' timers do not go much further either.
RETRY_AFTER_MS_MAX = 24 * 60 * 60 * 1000
_UNAUTHORIZED = (401, 403)
_PAYMENT_REQUIRED = 402


def retry_after_ms(headers: Mapping[str, str]) -> int | None:
    """Return the wait that `retry-after-ms` or `retry-after` asks for, a day at most.

    The date form of `retry-after` is not read: a wire format has no clock.
    """
    for name, scale in (("retry-after-ms", 1), ("retry-after", 1000)):
        try:
            return min(max(0, round(float(headers[name]) * scale)), RETRY_AFTER_MS_MAX)
        except (KeyError, ValueError, OverflowError):
            continue
    return None


def operators_trouble(
    status: int, message: str, *, is_key_refused: bool = False, who: str = "The provider"
) -> ProviderError | None:
    """Return the error for what concerns the gateway's own key or credit; None for all else.

    Passed on as it is, it would tell clients that theirs are refused or used up.

    Args:
        status: The HTTP status, or the one that stands in an answer.
        message: The provider's own words. Of a key they stay out: they may speak of it.
        is_key_refused: Whether it is known otherwise that the key is meant.
        who: The provider, as a sentence begins with it.
    """
    if is_key_refused or status in _UNAUTHORIZED:
        return ProviderAuthFailed(
            f"{who} refused the gateway's own credential, not your key. "
            f"The operator must check it (HTTP {status})."
        )
    if status == _PAYMENT_REQUIRED:
        return ProviderRejected(
            f"The gateway's account at this provider has no credit left: {message}",
            status=503,
            code="provider_quota_exhausted",
        )
    return None


class WireRequest(NamedTuple):
    """A translated request.

    Attributes:
        path: Path and query, joined to the provider's base URL.
        body: The JSON body.
        headers: Headers beyond host, content-type, content-length, accept and user-agent;
            the credential is among them.
        output_tokens_max: The output limit in it, where that is not the client's.
    """

    path: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    output_tokens_max: int | None = None


class Continuation(NamedTuple):
    """A translated request for the rest of an answer.

    Attributes:
        request: The request.
        repeated: What the provider may say again, and the client has already.
        as_whole: Whether that is dropped as a whole or not at all; otherwise as far as it comes.
    """

    request: WireRequest
    repeated: str = ""
    as_whole: bool = False


class Decoder(Protocol):
    """Reads one answer. Every method may call the sink it was made with."""

    @property
    def template(self) -> EventTemplate | None:
        """The form of most events, if there is one and it is known."""

    def event(self, data: bytes) -> None:
        """Take the data of one server-sent event.

        Raises:
            ProviderInvalidResponse: If the data is not this format at all.
        """

    def body(self, data: bytes) -> None:
        """Take a whole answer that is not streamed.

        Raises:
            ProviderInvalidResponse: If the body is not this format at all.
        """

    def eof(self) -> None:
        """Take the end of the body: complete, or cut off."""


class WireFormat(Protocol):
    """One provider dialect."""

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """What every request carries, the credential among it: as in `WireRequest`."""

    def encode(self, request: ChatRequest, model: str) -> WireRequest:
        """Translate a request.

        Raises:
            RequestError: If the dialect has no way to say it; `param` names the field.
        """

    def encode_continuation(self, request: ChatRequest, model: str, text: str) -> Continuation:
        """Translate a request for the rest of an answer that begins with `text`.

        Raises:
            RequestError: If the dialect or the model cannot go on from there.
        """

    def decoder(self, request: ChatRequest, sink: Sink) -> Decoder:
        """Return a reader for the answer to `request`."""

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """Translate an answer with an HTTP error status; header names are lower case."""
