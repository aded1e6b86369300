"""A chat-completion request as the JSON body of Gemini's generateContent.

Source: Google's SDK python-genai of August 2026 (GenerationConfig, FunctionDeclaration); Gemini API
guides "OpenAI compatibility" (September 2026) for the meaning of reasoning_effort and "Gemini
thinking" (October 2026) for what each model can.
Weakness: what a model can is told from its name, so a new family may need a line here.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from tokenferry.errors import InvalidRequest, MissingParameter, UnsupportedParameter
from tokenferry.protocol.chat import ChatRequest, Tool, ToolChoice
from tokenferry.providers.gemini_contents import (
    Content,
    ContentPart,
    Conversation,
    model_version,
)
from tokenferry.providers.gemini_names import google_name

PARAMETERS: Mapping[str, str] = MappingProxyType(
    {
        "model": "mapped: the path",
        "messages": "mapped: contents and systemInstruction",
        "stream": "mapped: streamGenerateContent instead of generateContent",
        "temperature": "mapped: generationConfig.temperature",
        "top_p": "mapped: generationConfig.topP",
        "top_k": "mapped: generationConfig.topK",
        "n": "mapped: generationConfig.candidateCount, at most 8",
        "max_tokens": "mapped: generationConfig.maxOutputTokens",
        "max_completion_tokens": "mapped: generationConfig.maxOutputTokens",
        "stop": "mapped: generationConfig.stopSequences, at most 5, without empty ones",
        "seed": "mapped: generationConfig.seed, 32 bits",
        "presence_penalty": "mapped: generationConfig.presencePenalty",
        "frequency_penalty": "mapped: generationConfig.frequencyPenalty",
        "logprobs": "mapped: generationConfig.responseLogprobs",
        "top_logprobs": "mapped: generationConfig.logprobs",
        "response_format": "mapped: generationConfig.responseMimeType and responseJsonSchema",
        "modalities": "mapped: generationConfig.responseModalities; audio is refused",
        "reasoning_effort": "mapped: generationConfig.thinkingConfig, with includeThoughts; "
        "none is the least that the model can",
        "thinking_config": "mapped: generationConfig.thinkingConfig",
        "extra_body": "mapped: google.thinking_config as generationConfig.thinkingConfig",
        "tools": "mapped: tools.functionDeclarations, with parametersJsonSchema",
        "tool_choice": "mapped: toolConfig.functionCallingConfig",
        "parallel_tool_calls": "dropped",
        "user": "dropped",
        "store": "dropped",
        "metadata": "dropped",
        "logit_bias": "dropped",
        "service_tier": "dropped",
        "stream_options": "dropped",
        "prediction": "dropped",
        "verbosity": "dropped",
        "(everything else)": "dropped",
        "functions": "refused",
        "function_call": "refused",
        "audio": "refused",
        "web_search_options": "refused",
    }
)
_REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "functions": "send `tools` instead",
        "function_call": "send `tool_choice` instead",
        "audio": "ask for text",
        "web_search_options": "leave it out",
    }
)

# GenerationConfig in generative_service.proto: "between [1, 8]", "up to 5"; the seed is an int32.
CANDIDATES_MAX = 8
STOP_SEQUENCES_MAX = 5
_SEED_MAX = 2**31 - 1

# Gemini 2.5 takes a budget of tokens, later models a level, earlier ones do not think.
_THINKING_SINCE = (2, 5)
_LEVELS_SINCE = (3, 0)
# "OpenAI compatibility", the table of efforts; xhigh and max are OpenAI's newer names.
_BUDGETS: Mapping[str, int] = MappingProxyType(
    {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
)
_LEVELS: Mapping[str, str] = MappingProxyType(
    {"low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
)
_BUDGET_LEAST_PRO = 128  # 2.5 Pro cannot stop thinking
# What generators of schemas add, and what says nothing of the arguments.
_ANNOTATIONS = frozenset({"$schema", "$id", "$comment", "title", "description"})
_NO_MINIMAL_SINCE = (3, 7)  # 3.7 Flash and later refuse `minimal`, the Pro models always did


class _ThinkingConfig(Struct, rename="camel", omit_defaults=True):
    include_thoughts: bool | None = None
    thinking_budget: int | None = None
    thinking_level: str | None = None


class _GenerationConfig(Struct, rename="camel", omit_defaults=True):
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    candidate_count: int | None = None
    max_output_tokens: int | None = None
    stop_sequences: list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_logprobs: bool | None = None
    logprobs: int | None = None
    response_mime_type: str | None = None
    response_json_schema: dict[str, Any] | None = None
    response_modalities: list[str] | None = None
    thinking_config: _ThinkingConfig | None = None


class _FunctionDeclaration(Struct, rename="camel", omit_defaults=True):
    name: str
    description: str | None = None
    # Takes JSON schema as it is; `parameters` takes an OpenAPI subset and refuses the rest.
    parameters_json_schema: dict[str, Any] | None = None


class _Tools(Struct, rename="camel"):
    function_declarations: list[_FunctionDeclaration]


class _FunctionCallingConfig(Struct, rename="camel", omit_defaults=True):
    mode: str
    allowed_function_names: list[str] | None = None


class _ToolConfig(Struct, rename="camel"):
    function_calling_config: _FunctionCallingConfig


class _System(Struct):
    parts: list[ContentPart]


class _Body(Struct, rename="camel", omit_defaults=True):
    contents: list[Content]
    system_instruction: _System | None = None
    tools: list[_Tools] | None = None
    tool_config: _ToolConfig | None = None
    generation_config: _GenerationConfig | None = None


class _AskedThinking(Struct, forbid_unknown_fields=True):
    """`thinking_config` in the spelling of Google's OpenAI compatibility."""

    include_thoughts: bool | None = None
    thinking_budget: int | None = None
    thinking_level: str | None = None


class _Google(Struct):
    thinking_config: _AskedThinking | None = None


class _ExtraBody(Struct):
    google: _Google | None = None


def encode_body(request: ChatRequest, model: str) -> bytes:
    """Return the body for `model` (Google's name for it, without `models/`).

    Raises:
        RequestError: If Gemini has no way to say the request; `param` names the field.
    """
    for name, remedy in _REFUSED.items():
        if _field(request, name, object) is not None:
            raise UnsupportedParameter(
                f"`{name}` cannot be served by Gemini; {remedy}.", param=name
            )
    conversation = Conversation(model_version(model))
    for index, message in enumerate(request.messages):
        conversation.add(index, message)
    if not conversation.contents:
        raise InvalidRequest(
            "`messages` holds nothing but system messages or empty ones; "
            "add a user message with text.",
            param="messages",
        )
    if request.messages[-1].role == "user" and conversation.contents[-1].role == "model":
        # Left out, it would make the model's last words the beginning of its answer.
        param = f"messages[{len(request.messages) - 1}].content"
        raise InvalidRequest(f"`{param}` is empty; write some text.", param=param)
    generation = _generation_config(request, model)
    return msgspec.json.encode(
        _Body(
            conversation.contents,
            system_instruction=_System(conversation.system) if conversation.system else None,
            tools=_tools(request.tools),
            tool_config=_tool_config(request),
            generation_config=None if generation == _GenerationConfig() else generation,
        )
    )


def _generation_config(request: ChatRequest, model: str) -> _GenerationConfig:
    mime_type, schema = _response_format(request)
    return _GenerationConfig(
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=_field(request, "top_k", int),
        candidate_count=_candidate_count(request),
        max_output_tokens=request.output_tokens_max,
        stop_sequences=_stop_sequences(request),
        seed=_seed(request),
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        response_logprobs=request.logprobs or None,
        # 0 means "the chosen token alone", which Gemini expresses by leaving the number out.
        logprobs=(request.top_logprobs or None) if request.logprobs else None,
        response_mime_type=mime_type,
        response_json_schema=schema,
        response_modalities=_modalities(request),
        thinking_config=_thinking_config(request, model),
    )


def _candidate_count(request: ChatRequest) -> int | None:
    if request.choice_count > CANDIDATES_MAX:
        raise InvalidRequest(
            f"`n` is {request.choice_count}; Gemini gives at most {CANDIDATES_MAX} answers.",
            param="n",
        )
    # Gemini 3 knows the field no more, so that a client's plain 1 must not be sent.
    return request.choice_count if request.choice_count > 1 else None


def _stop_sequences(request: ChatRequest) -> list[str] | None:
    asked = [request.stop] if isinstance(request.stop, str) else request.stop or ()
    sequences = [sequence for sequence in asked if sequence]
    if len(sequences) > STOP_SEQUENCES_MAX:
        raise InvalidRequest(
            f"`stop` has {len(sequences)} sequences; Gemini takes at most {STOP_SEQUENCES_MAX}.",
            param="stop",
        )
    return sequences or None


def _seed(request: ChatRequest) -> int | None:
    if request.seed is not None and not -_SEED_MAX - 1 <= request.seed <= _SEED_MAX:
        raise InvalidRequest(
            "`seed` does not fit into 32 bits, which is what Gemini takes; choose a smaller one.",
            param="seed",
        )
    return request.seed


def _response_format(request: ChatRequest) -> tuple[str | None, dict[str, Any] | None]:
    wanted = request.response_format
    if wanted is None or wanted.type == "text":
        return None, None
    if wanted.type == "json_object":
        return "application/json", None
    if wanted.type == "json_schema":
        if wanted.json_schema is None:
            raise MissingParameter(
                "`response_format.json_schema` is required for the type `json_schema`.",
                param="response_format.json_schema",
            )
        return "application/json", wanted.json_schema.definition
    raise InvalidRequest(
        f"`response_format.type` is {wanted.type[:40]!r}; use text, json_object or json_schema.",
        param="response_format.type",
    )


def _modalities(request: ChatRequest) -> list[str] | None:
    wanted = request.modalities or ["text"]
    if "audio" in wanted:
        raise UnsupportedParameter(
            "`modalities` asks for audio, which cannot be served by Gemini's generateContent; "
            "ask for text.",
            param="modalities",
        )
    if not set(wanted) <= {"text", "image"}:
        raise InvalidRequest("`modalities` may hold `text` and `image`.", param="modalities")
    return [name.upper() for name in wanted] if "image" in wanted else None


def _thinking_config(request: ChatRequest, model: str) -> _ThinkingConfig | None:
    asked = _field(request, "thinking_config", _AskedThinking)
    extra = _field(request, "extra_body", _ExtraBody)
    if asked is None and extra is not None and extra.google is not None:
        asked = extra.google.thinking_config
    effort = request.reasoning_effort
    config = None if effort is None else _thinking_of_effort(effort, model)
    if asked is None:
        return config
    if effort is not None and (asked.thinking_budget, asked.thinking_level) != (None, None):
        raise InvalidRequest(
            "`reasoning_effort` and a thinking budget or level say the same thing; send one.",
            param="reasoning_effort",
        )
    config = config or _ThinkingConfig(None, asked.thinking_budget, asked.thinking_level)
    if asked.include_thoughts is not None:
        config.include_thoughts = asked.include_thoughts
    return config


def _thinking_of_effort(effort: str, model: str) -> _ThinkingConfig | None:
    if effort != "none" and effort not in _BUDGETS:
        raise InvalidRequest(
            f"`reasoning_effort` is {effort[:40]!r}; use none, {', '.join(_BUDGETS)}.",
            param="reasoning_effort",
        )
    version = model_version(model)
    if version < _THINKING_SINCE:
        return None
    pro = "-pro" in model
    if version < _LEVELS_SINCE:
        if effort == "none":
            return _ThinkingConfig(thinking_budget=_BUDGET_LEAST_PRO if pro else 0)
        return _ThinkingConfig(include_thoughts=True, thinking_budget=_BUDGETS[effort])
    minimal = "-lite" in model or not (pro or version >= _NO_MINIMAL_SINCE)
    level = _LEVELS.get(effort) or ("minimal" if minimal else "low")
    return _ThinkingConfig(None if effort == "none" else True, thinking_level=level)


def _tools(tools: list[Tool] | None) -> list[_Tools] | None:
    if not tools:
        return None
    return [_Tools([_declaration(tool, f"tools[{n}]") for n, tool in enumerate(tools)])]


def _declaration(tool: Tool, at: str) -> _FunctionDeclaration:
    if tool.type != "function":
        raise UnsupportedParameter(
            f"`{at}.type` is {tool.type[:40]!r}; Gemini is served `function` tools only.",
            param=f"{at}.type",
        )
    if tool.function is None:
        raise MissingParameter(f"`{at}.function` is required.", param=f"{at}.function")
    schema = tool.function.parameters or {}
    # A function without parameters says so by having no schema.
    said = {key: value for key, value in schema.items() if value and key not in _ANNOTATIONS}
    if said == {"type": "object"}:
        schema = {}
    name = google_name(tool.function.name)
    return _FunctionDeclaration(name, tool.function.description, schema or None)


def _tool_config(request: ChatRequest) -> _ToolConfig | None:
    choice = request.tool_choice
    if choice is None:
        return None
    names = [tool.function.name for tool in request.tools or () if tool.function is not None]
    if isinstance(choice, ToolChoice):
        return _named_tool(choice, names)
    mode = {"none": "NONE", "auto": "AUTO", "required": "ANY"}.get(choice)
    if mode is None:
        raise InvalidRequest(
            f"`tool_choice` is {choice[:40]!r}; use none, auto, required or a function.",
            param="tool_choice",
        )
    if not names and mode == "ANY":
        raise InvalidRequest("`tool_choice` demands a tool; send `tools`.", param="tool_choice")
    return _ToolConfig(_FunctionCallingConfig(mode)) if names else None


def _named_tool(choice: ToolChoice, names: list[str]) -> _ToolConfig:
    if choice.type != "function" or choice.function is None:
        raise UnsupportedParameter(
            f"`tool_choice` of the type {choice.type[:40]!r} cannot be served by Gemini; "
            "name one function, or use none, auto or required.",
            param="tool_choice",
        )
    name = choice.function.name
    if name not in names:
        raise InvalidRequest(
            f"`tool_choice.function.name` is {name[:64]!r}, which is not among `tools`.",
            param="tool_choice.function.name",
        )
    return _ToolConfig(_FunctionCallingConfig("ANY", [google_name(name)]))


_T = TypeVar("_T")


def _field(request: ChatRequest, name: str, kind: type[_T]) -> _T | None:
    """Read a field that chat completions do not define."""
    raw = request.fields.get(name)
    if raw is None or bytes(raw) == b"null":
        return None
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as exc:
        raise InvalidRequest(f"`{name}` is invalid: {exc}.", param=name) from None
