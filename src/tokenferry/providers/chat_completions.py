"""OpenAI chat completions and all that speak them: DeepSeek, Groq, Mistral, xAI, vLLM, Ollama.

The request goes through byte for byte, except for the model's name, the stream options and the
name of the output limit; the answer is read with types, so that what leaves the gateway is well
formed whatever came in.

Source: OpenAI API reference, "Chat completions", November 2026, and recorded streams of six
providers. Weakness: a delta key that no provider had in November 2026 is dropped, not passed on.
"""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec
from msgspec import Raw

from tokenferry.engine.ports import Sink
from tokenferry.errors import ProviderError, UnsupportedParameter
from tokenferry.protocol.chat import ChatRequest
from tokenferry.providers.chat_completions_answer import ChatCompletionsDecoder
from tokenferry.providers.chat_completions_chunks import read_error, translated
from tokenferry.providers.wire import Continuation, WireRequest, retry_after_ms

PARAMETERS: Mapping[str, str] = MappingProxyType(
    {
        "model": "mapped: the provider's own name for it",
        "stream": "mapped: as the client's",
        "stream_options": "mapped: include_usage is always asked for, and hidden from clients "
        "that did not; other options pass through",
        "max_completion_tokens": "mapped: max_tokens, except at OpenAI and Azure; see output_limit",
        "(everything else)": "passed through byte for byte, unknown fields included",
    }
)


class ChatCompletionsFormat:
    """The wire format of OpenAI's chat completions.

    Args:
        api_key: The operator's key at this provider; empty for servers that want none.
        include_usage: Whether to ask for usage in streams; False for servers that refuse
            `stream_options`, at the price of estimated usage.
        prefill: How the provider is asked to go on from an answer's beginning: `none`, `prefix`,
            `prefix_repeated` or `continue_final_message`.
        takes_max_tokens: Whether the output limit goes by that name, whatever the client calls it:
            who does not know the newer one ignores it.
    """

    def __init__(
        self,
        api_key: str,
        *,
        include_usage: bool = True,
        prefill: str = "none",
        takes_max_tokens: bool = False,
    ) -> None:
        self._prefill = prefill
        self._takes_max_tokens = takes_max_tokens
        self.headers = (("authorization", f"Bearer {api_key}"),) if api_key else ()
        self._include_usage = include_usage

    def encode(self, request: ChatRequest, model: str) -> WireRequest:
        """Pass the request through, with the model's name and the stream options replaced."""
        fields = dict(request.fields)
        fields["model"] = Raw(msgspec.json.encode(model))
        fields["stream"] = Raw(b"true" if request.stream else b"false")
        if request.stream and self._include_usage:
            options = {}
            if request.stream_options is not None:
                options = msgspec.json.decode(fields["stream_options"], type=dict[str, Raw])
            options["include_usage"] = Raw(b"true")
            fields["stream_options"] = Raw(msgspec.json.encode(options))
        else:
            fields.pop("stream_options", None)
        limit = request.output_tokens_max
        if request.max_completion_tokens is not None:
            if self._takes_max_tokens:
                del fields["max_completion_tokens"]
                fields["max_tokens"] = Raw(msgspec.json.encode(limit))
            else:
                # Nobody knows which of two it goes by.
                limit = max(request.max_completion_tokens, request.max_tokens or 0)
        body = msgspec.json.encode(fields)
        return WireRequest("/chat/completions", body, self.headers, limit)

    def encode_continuation(self, request: ChatRequest, model: str, text: str) -> Continuation:
        """Ask for the rest of an answer in the way that the provider's settings name.

        Raises:
            UnsupportedParameter: If they name none.
        """
        if self._prefill == "none":
            raise UnsupportedParameter(
                "This provider is not known to go on from an answer's beginning; see `prefill`."
            )
        beginning: dict[str, object] = {"role": "assistant", "content": text}
        changes = {}
        if self._prefill == "continue_final_message":
            changes = {
                "add_generation_prompt": Raw(b"false"),
                "continue_final_message": Raw(b"true"),
            }
        else:
            beginning["prefix"] = True
        messages = msgspec.json.decode(request.fields["messages"], type=list[Raw])
        messages.append(Raw(msgspec.json.encode(beginning)))
        changes["messages"] = Raw(msgspec.json.encode(messages))
        asked = msgspec.structs.replace(request, fields=request.fields | changes)
        repeated = text if self._prefill == "prefix_repeated" else ""
        return Continuation(self.encode(asked, model), repeated, as_whole=True)

    def decoder(
        self,
        request: ChatRequest,  # noqa: ARG002 -- the port's
        sink: Sink,
    ) -> ChatCompletionsDecoder:
        """Return a reader for the answer to `request`."""
        return ChatCompletionsDecoder(sink)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """Translate an HTTP error; OpenAI's shape and its common relatives are understood."""
        error = read_error(body)
        return translated(
            error,
            f"The provider answered with HTTP status {status}.",
            status,
            retry_after_ms(headers),
        )
