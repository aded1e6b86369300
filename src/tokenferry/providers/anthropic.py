"""Anthropic Messages: the wire format, from request to answer.

The parts stand in modules of their own: the request's parameters, its conversation, how much
thinking it asks for and what each family of models accepts; the answer; the errors.

Source: platform.claude.com, "Messages API" and "Versions", November 2026. The version asked for is
2023-06-01: the later one, 2026-10-21, has no sampling parameters, which Claude up to 4.6 still
takes. Weakness: what only the later version offers is not there.
"""

from collections.abc import Mapping

from tokenferry.engine.ports import Sink
from tokenferry.errors import ProviderError
from tokenferry.protocol.chat import ChatRequest
from tokenferry.providers.anthropic_answer import AnthropicDecoder
from tokenferry.providers.anthropic_errors import read_error, translate_error
from tokenferry.providers.anthropic_request import PARAMETERS, encode_continuation, encode_limited
from tokenferry.providers.wire import Continuation, WireRequest, retry_after_ms

__all__ = ["PARAMETERS", "AnthropicFormat"]

_VERSION = "2023-06-01"
_PATH = "/v1/messages"


class AnthropicFormat:
    """The wire format of Anthropic's Messages API.

    Args:
        api_key: The operator's key at Anthropic, or at a server that speaks its format.
    """

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key
        self.headers = (("x-api-key", api_key), ("anthropic-version", _VERSION))

    def encode(self, request: ChatRequest, model: str) -> WireRequest:
        """Translate a request.

        Raises:
            RequestError: If Anthropic has no way to say it; `param` names the field.
        """
        body, limit = encode_limited(request, model)
        return WireRequest(_PATH, body, self.headers, limit)

    def encode_continuation(self, request: ChatRequest, model: str, text: str) -> Continuation:
        """Translate a request for the rest of an answer, which Claude up to 4.5 can give.

        Raises:
            RequestError: If the model cannot, or was asked to think.
        """
        shown = text.rstrip()
        body = encode_continuation(request, model, shown)
        # Anthropic refuses a beginning that ends in white space.
        return Continuation(WireRequest(_PATH, body, self.headers), text[len(shown) :])

    def decoder(self, request: ChatRequest, sink: Sink) -> AnthropicDecoder:
        """Return a reader for the answer to `request`."""
        return AnthropicDecoder(sink, model=request.model)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """Translate an answer with an HTTP error status."""
        error = read_error(status, body)
        if error.message and self._api_key:
            error.message = error.message.replace(self._api_key, "(key)")
        return translate_error(error, status, retry_after_ms(headers))
