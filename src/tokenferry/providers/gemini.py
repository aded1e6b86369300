"""Google Gemini's generateContent as a wire format.

Source: googleapis, generativelanguage/v1beta/generative_service.proto, for the paths; what else
goes where is told, with its sources, in `gemini_request`, `gemini_contents`, `gemini_answer` and
`gemini_errors`.
Weakness: a gateway in front of Google that speaks another version than v1beta is not served.
"""

from collections.abc import Mapping
from urllib.parse import quote

from tokenferry.engine.ports import Sink
from tokenferry.errors import ProviderError, UnsupportedParameter
from tokenferry.protocol.chat import ChatRequest
from tokenferry.providers import gemini_errors
from tokenferry.providers.gemini_answer import GeminiDecoder
from tokenferry.providers.gemini_names import NamesSink, changed_names
from tokenferry.providers.gemini_request import PARAMETERS, encode_body
from tokenferry.providers.wire import Continuation, WireRequest

__all__ = ["PARAMETERS", "GeminiFormat"]

_COLLECTIONS = ("models", "tunedModels")


class GeminiFormat:
    """The wire format of Gemini; the base URL is https://generativelanguage.googleapis.com.

    Args:
        api_key: The operator's key at Google.
    """

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key
        self.headers = (("x-goog-api-key", api_key),) if api_key else ()

    def encode(self, request: ChatRequest, model: str) -> WireRequest:
        """Translate a request; `model` may carry Google's prefix `models/` or `tunedModels/`."""
        collection, slash, name = model.partition("/")
        if not slash or collection not in _COLLECTIONS:
            collection, name = "models", model
        # Without alt=sse the stream would be one JSON array.
        method = "streamGenerateContent?alt=sse" if request.stream else "generateContent"
        path = f"/v1beta/{collection}/{quote(name, safe='')}:{method}"
        return WireRequest(path, encode_body(request, name), self.headers)

    def encode_continuation(self, request: ChatRequest, model: str, text: str) -> Continuation:  # noqa: ARG002 -- the port's
        """Refuse: from 3.5 on models take no contents that end with the model's turn.

        Earlier ones go on from it; Google promises that nowhere.

        Raises:
            UnsupportedParameter: Always.
        """
        raise UnsupportedParameter("Gemini's models do not go on from an answer's beginning.")

    def decoder(self, request: ChatRequest, sink: Sink) -> GeminiDecoder:
        """Return a reader for the answer to `request`."""
        if names := changed_names(request):
            sink = NamesSink(sink, names)
        return GeminiDecoder(sink, request.model, api_key=self._api_key)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """Translate an answer with an HTTP error status."""
        return gemini_errors.of_response(status, headers, body, api_key=self._api_key)
