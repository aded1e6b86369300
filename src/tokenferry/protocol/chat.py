"""The request and delta types of OpenAI's chat completions, and the reading of a request body.

Reading is strict about what every provider needs (types of the known fields, a model, messages)
and lenient about the rest: unknown fields are kept, byte for byte, for providers that speak the
same dialect.

Source: OpenAI API reference, "Create chat completion", November 2026.
"""

import re
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from tokenferry.errors import InvalidJSON, InvalidRequest, MissingParameter
from tokenferry.protocol.surrogates import loads, well_formed


class ImageUrl(Struct):
    """An image by reference: an https URL or a `data:` URL."""

    url: str
    detail: str | None = None


class InputAudio(Struct):
    """Audio input: base64 data and its format (`wav`, `mp3`)."""

    data: str
    format: str


class InputFile(Struct):
    """A file: a `data:` URL with its name, or the id of an uploaded one."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class Part(Struct):
    """One part of a message's content; `type` says which of the other fields holds it.

    `cache_control` is Anthropic's cache mark, as many OpenAI-dialect clients already send it. An
    image's URL may stand without an object around it: Mistral's clients write it so.
    """

    type: str
    text: str | None = None
    image_url: ImageUrl | str | None = None
    input_audio: InputAudio | None = None
    file: InputFile | None = None
    refusal: str | None = None
    cache_control: dict[str, Any] | None = None

    @property
    def image_address(self) -> str | None:
        """The URL of an image."""
        return self.image_url.url if isinstance(self.image_url, ImageUrl) else self.image_url


class FunctionCall(Struct):
    """A function's name and its arguments as JSON text."""

    name: str
    arguments: str = ""


class CustomCall(Struct):
    """A custom tool's name and its input, any text."""

    name: str
    input: str = ""


class ToolCall(Struct):
    """A tool call in an assistant's message: of a function, or of one of OpenAI's custom tools.

    `extra_content` carries what a provider wants back with the call; Google's key is
    `{"google": {"thought_signature": "…"}}`.
    """

    id: str
    function: FunctionCall | None = None
    type: str = "function"
    extra_content: dict[str, Any] | None = None
    custom: CustomCall | None = None

    def __post_init__(self) -> None:
        """Refuse a call that says of nothing what is called.

        Raises:
            ValueError: In msgspec's own words, which `explain_invalid` reads.
        """
        if self.function is None and self.custom is None:
            missing = "custom" if self.type == "custom" else "function"
            raise ValueError(f"Object missing required field `{missing}`")

    def texts(self) -> tuple[str, str]:
        """Return the name of what is called and what it is given."""
        if self.function is not None:
            return self.function.name, self.function.arguments
        return (self.custom.name, self.custom.input) if self.custom is not None else ("", "")


class Message(Struct):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning_details: list[dict[str, Any]] | None = None
    cache_control: dict[str, Any] | None = None


class Function(Struct):
    """A function the model may call; `parameters` is a JSON schema."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Struct):
    """A tool the model may use; providers other than OpenAI's know `function` only."""

    type: str
    function: Function | None = None
    cache_control: dict[str, Any] | None = None


class NamedFunction(Struct):
    """The function that a `tool_choice` names."""

    name: str


class ToolChoice(Struct):
    """A `tool_choice` that is an object."""

    type: str
    function: NamedFunction | None = None


class JSONSchema(Struct, rename={"definition": "schema"}):
    """The schema of a `response_format`."""

    name: str
    definition: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(Struct):
    """What form the answer takes: `text`, `json_object` or `json_schema`."""

    type: str
    json_schema: JSONSchema | None = None


class StreamOptions(Struct):
    """Options of a streamed answer."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatRequest(Struct, kw_only=True):
    """A chat-completion request, validated.

    Attributes:
        fields: Every top-level field as it came, unknown ones included, byte for byte.
    """

    model: str
    messages: list[Message]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    seed: int | None = None
    user: str | None = None
    service_tier: str | None = None
    reasoning_effort: str | None = None
    tools: list[Tool] | None = None
    tool_choice: str | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    modalities: list[str] | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None

    fields: dict[str, Raw] = msgspec.field(default_factory=dict, name=" fields")

    @property
    def output_tokens_max(self) -> int | None:
        """The output limit that the client set, by either of its names."""
        return self.max_completion_tokens or self.max_tokens

    def shortened(self, output_tokens: int) -> "ChatRequest":
        """Return the request with so much less of an output limit, at least 1; streamed."""
        changes: dict[str, Any] = {}
        for name in ("max_tokens", "max_completion_tokens"):
            limit = getattr(self, name)
            if limit is not None:
                changes[name] = max(1, limit - output_tokens)
        changes["stream"] = True
        fields = self.fields | {n: Raw(msgspec.json.encode(v)) for n, v in changes.items()}
        return msgspec.structs.replace(self, **changes, fields=fields)

    def with_output_limit(self, output_tokens: int) -> "ChatRequest":
        """Return the request with an output limit, reasoning included; it has none of its own."""
        fields = self.fields | {"max_completion_tokens": Raw(msgspec.json.encode(output_tokens))}
        return msgspec.structs.replace(self, max_completion_tokens=output_tokens, fields=fields)

    def prompt_text(self) -> str:
        """Return all text of the conversation: what an estimate of the prompt counts."""
        texts: list[str] = []
        for message in self.messages:
            content = message.content
            if isinstance(content, str):
                texts.append(content)
            elif content:
                texts += [part.text for part in content if part.text]
            if message.tool_calls:
                texts += [call.texts()[1] for call in message.tool_calls]
        return "\n".join(texts)

    @property
    def choice_count(self) -> int:
        """How many answers are asked for."""
        return self.n or 1

    @property
    def include_usage(self) -> bool:
        """Whether the client wants usage in its stream."""
        return bool(self.stream_options and self.stream_options.include_usage)


class FunctionDelta(Struct, omit_defaults=True):
    """A fragment of a function call."""

    name: str | None = None
    arguments: str | UnsetType = UNSET


class CustomDelta(Struct, omit_defaults=True):
    """A fragment of a custom tool's call."""

    name: str | None = None
    input: str | UnsetType = UNSET


class ToolCallDelta(Struct, omit_defaults=True):
    """A fragment of a tool call; `index` joins the fragments of one call."""

    index: int | UnsetType = UNSET
    id: str | None = None
    type: str | None = None
    function: FunctionDelta | None = None
    extra_content: dict[str, Any] | None = None
    custom: CustomDelta | None = None


class Delta(Struct, omit_defaults=True):
    """What one provider event adds to one choice; the common currency of all adapters.

    Attributes:
        content: Text of the answer.
        reasoning: Text of the reasoning, whatever the provider calls it.
        refusal: Text of a refusal.
        tool_calls: Fragments of tool calls; every one has its `index`.
        function_call: The older form of one tool call, as the provider gave it.
        annotations: Citations, as the provider gave them (JSON array).
        audio: Audio output, as the provider gave it (JSON object).
        reasoning_details: Signed or structured reasoning that some providers want back.
        images: Generated images, as the provider gave them (JSON array).
    """

    content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCallDelta] | None = None
    function_call: Raw | None = None
    annotations: Raw | None = None
    audio: Raw | None = None
    reasoning_details: Raw | None = None
    images: Raw | None = None


_fields_decoder = msgspec.json.Decoder(dict[str, Raw])
_request_decoder = msgspec.json.Decoder(ChatRequest)
# msgspec ends its messages with " - at `$.messages[0].role`".
_AT = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?\$\.?(?P<path>.*)`)?$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<name>[^`]+)`$")
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<name>[^`]+)`$")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def parse_request(body: bytes) -> ChatRequest:
    """Read a chat-completion request.

    Raises:
        InvalidJSON: If the body is no JSON object.
        MissingParameter: If a required field is absent; `param` names it.
        InvalidRequest: If a field has a wrong type or value; `param` names it.
    """
    try:
        if not body.isascii():
            body.decode()  # also what stands in unknown fields, which msgspec skips
        fields = _fields_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise InvalidJSON(
            f"The body must be a JSON object in UTF-8: {why_unreadable(body, exc)}. "
            "Send a chat-completion request."
        ) from None
    try:
        request = _request_decoder.decode(body)
    except msgspec.ValidationError as exc:
        raise explain_invalid(str(exc)) from None
    except (msgspec.DecodeError, RecursionError) as exc:
        raise InvalidJSON(
            f"The body must be a JSON object in UTF-8: {why_unreadable(body, exc)}."
        ) from None
    if not request.messages:
        raise InvalidRequest("`messages` is empty; send at least one message.", param="messages")
    if not request.model:
        raise InvalidRequest("`model` is empty; name a model.", param="model")
    if request.n is not None and not 1 <= request.n <= CHOICES_MAX:
        raise InvalidRequest(f"`n` must be within 1..{CHOICES_MAX}.", param="n")
    for name in ("max_tokens", "max_completion_tokens"):
        value = getattr(request, name)
        if value is not None and value < 1:
            raise InvalidRequest(f"`{name}` must be at least 1.", param=name)
    request.fields = fields
    return request


# OpenAI's own limit.
CHOICES_MAX = 128


def why_unreadable(data: bytes, exc: Exception) -> str:
    """Say why JSON could not be decoded, in words that help where msgspec's own do not."""
    if isinstance(exc, RecursionError):
        return "it is nested too deeply"
    if not data.strip():
        return "it is empty"
    if _SURROGATE.search(data):
        try:
            value = loads(data)
            if value != well_formed(value):
                return (
                    "a text in it holds half of an emoji or of another character (a lone UTF-16 "
                    "surrogate); cut texts between characters, or mend them, in JavaScript with "
                    "`toWellFormed()`"
                )
        except (ValueError, RecursionError):
            return str(exc)  # a fault of another kind comes first
    return str(exc)


def explain_invalid(text: str) -> InvalidRequest | MissingParameter:
    """Return the error that a message of msgspec's `ValidationError` stands for."""
    match = _AT.match(text)
    what, path = (match["what"], match["path"] or "") if match else (text, "")
    if missing := _MISSING.match(what):
        param = f"{path}.{missing['name']}" if path else missing["name"]
        return MissingParameter(f"`{param}` is required; add it to the request.", param=param)
    if unknown := _UNKNOWN.match(what):
        param = f"{path}.{unknown['name']}" if path else unknown["name"]
        return InvalidRequest(f"`{param}` means nothing here; leave it out.", param=param)
    subject = f"`{path}`" if path else "The request"
    what = what[:1].lower() + what[1:]
    return InvalidRequest(f"{subject} is invalid: {what}.", param=path or None)


def named_reasoning(delta: Delta, names: Sequence[str]) -> dict[str, Any]:
    """Return the fields of a delta with reasoning text, which stands under each of these names."""
    # By way of JSON, which alone takes what the provider gave as it is.
    fields: dict[str, Any] = _fields_decoder.decode(msgspec.json.encode(delta))
    text = fields.pop("reasoning")
    return fields | dict.fromkeys(names, text)
