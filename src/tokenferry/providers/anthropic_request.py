"""The request: OpenAI's chat completion as Anthropic's message, parameter by parameter.

`PARAMETERS` says what becomes of each; the documentation is generated from it. Refused is what
would change the answer's form or meaning if it were ignored; dropped is what OpenAI's own
reasoning models and Anthropic's own OpenAI endpoint ignore as well.

Source: platform.claude.com, "Create a Message", "OpenAI SDK compatibility", "Structured outputs"
(`output_config.format`, generally available, no beta header) and "Service tiers", November 2026;
the types of Anthropic's Python SDK 2.12. Weakness: limits that depend on the model, such as the
largest `max_tokens`, are left to the provider's own 400.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from tokenferry.errors import (
    InvalidRequest,
    MissingParameter,
    UnsupportedParameter,
)
from tokenferry.protocol.chat import ChatRequest, Message, Tool, ToolChoice
from tokenferry.providers.anthropic_messages import CacheControl, read_conversation
from tokenferry.providers.anthropic_models import Family, family_of
from tokenferry.providers.anthropic_thinking import Plan, plan_thinking

PARAMETERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "model": "mapped: model",
        "messages": "mapped: messages; system and developer messages, wherever they stand: system",
        "stream": "mapped: stream",
        "max_tokens": "mapped: max_tokens, raised by a thinking budget; 8192 if absent, 32768 for "
        "models that think within it",
        "max_completion_tokens": "mapped: max_tokens, thinking included",
        "temperature": "mapped: temperature; refused above 1; dropped with thinking, and for "
        "models that take no sampling parameters (Claude 4.7 and later)",
        "top_p": "mapped: top_p; dropped where temperature is, and beside temperature for models "
        "that take only one of them (Claude 4.5 and 4.6)",
        "top_k": "mapped: top_k, untouched; dropped where temperature is",
        "stop": "mapped: stop_sequences, without entries of white space only",
        "user": "mapped: metadata.user_id",
        "tools": "mapped: tools; other types than function are refused, strict is dropped",
        "tool_choice": "mapped: tool_choice; required and a named function are refused for models "
        "that cannot be forced (Opus 5.5, Sonnet 5.5, Fable 5.1)",
        "parallel_tool_calls": "mapped: tool_choice.disable_parallel_tool_use",
        "response_format": "mapped: output_config.format for json_schema; json_object is refused",
        "reasoning_effort": "mapped: thinking with a budget up to Claude 4.5, output_config.effort "
        "and adaptive thinking from 4.6 on",
        "thinking": "mapped: thinking, untouched; wins over reasoning_effort",
        "service_tier": "mapped: service_tier auto, and standard_only for default; other tiers "
        "are dropped",
        "n": "refused: above 1",
        "logprobs": "refused: if true",
        "top_logprobs": "refused: above 0",
        "modalities": "refused: audio",
        "audio": "refused",
        "functions": "refused: use tools",
        "function_call": "refused: use tool_choice",
        "web_search_options": "refused",
        "seed": "dropped",
        "presence_penalty": "dropped",
        "frequency_penalty": "dropped",
        "logit_bias": "dropped",
        "store": "dropped",
        "metadata": "dropped",
        "prediction": "dropped",
        "verbosity": "dropped",
        "stream_options": "dropped: usage is always reported",
        "prompt_cache_key": "dropped: use cache_control",
        "safety_identifier": "dropped: use user",
    }
)

_TEMPERATURE_MAX: Final = 1.0
_SERVICE_TIERS: Final = {"auto": "auto", "default": "standard_only"}
_EMPTY_SCHEMA: Final = {"type": "object", "properties": {}}
_NULL = Raw(b"null")
_Body = dict[str, Any]


class _ToolDefinition(Struct, omit_defaults=True):
    name: str
    input_schema: dict[str, Any]
    description: str | None = None
    cache_control: CacheControl | None = None


class _ToolChoice(Struct, omit_defaults=True):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool = False

    @property
    def forces(self) -> bool:
        return self.type in ("any", "tool")


def encode_request(request: ChatRequest, model: str) -> bytes:
    """Return the body of the message request; as `encode_limited`."""
    return encode_limited(request, model)[0]


def encode_limited(request: ChatRequest, model: str) -> tuple[bytes, int]:
    """Return the body of the message request, and the output limit in it.

    Raises:
        RequestError: If Anthropic has no way to say it; `param` names the field.
    """
    try:
        return _encode_request(request, model)
    except RecursionError:
        raise InvalidRequest("A schema or a call is nested too deeply; flatten it.") from None


def encode_continuation(request: ChatRequest, model: str, text: str) -> bytes:
    """Return the body of a request for the rest of an answer.

    Raises:
        RequestError: If the model does not go on from a beginning, or not when it is to think.
    """
    if not family_of(model).prefill:
        raise UnsupportedParameter("This model does not go on from an answer's beginning.")
    thinking = request.fields.get("thinking", _NULL)
    if request.reasoning_effort not in (None, "none") or thinking != _NULL:
        raise UnsupportedParameter("Claude does not go on from a beginning when it is to think.")
    messages = [*request.messages, Message("assistant", text)]
    return encode_request(msgspec.structs.replace(request, messages=messages), model)


def _encode_request(request: ChatRequest, model: str) -> tuple[bytes, int]:
    for param, reason in _refusals(request):
        raise UnsupportedParameter(reason, param=param)
    family = family_of(model)
    system, turns = conversation = read_conversation(request.messages)
    tools = [_read_tool(tool, position) for position, tool in enumerate(request.tools or ())]
    choice = _read_tool_choice(request, family)
    plan = plan_thinking(
        request,
        family,
        forced_tool=choice is not None and choice.forces,
        unsigned_tool_turn=conversation.ends_in_unsigned_tool_turn,
    )
    body: _Body = {
        "model": model,
        "max_tokens": plan.output_tokens_max,
        "system": system or None,
        "messages": turns,
        "tools": tools or None,
        "tool_choice": choice,
        "thinking": plan.thinking,
        "output_config": _output_config(request, plan),
        "stop_sequences": _stop_sequences(request),
        "metadata": {"user_id": request.user} if request.user else None,
        "service_tier": _SERVICE_TIERS.get(request.service_tier or ""),
        "stream": request.stream,
        **_sampling(request, family, plan),
    }
    said = {key: value for key, value in body.items() if value is not None}
    return msgspec.json.encode(said), plan.output_tokens_max


def _refusals(request: ChatRequest) -> Iterator[tuple[str, str]]:
    """Yield the fields that Anthropic cannot serve, with what to do instead."""
    if request.choice_count > 1:
        yield "n", "Anthropic gives one answer a request; send `n` requests."
    if request.logprobs:
        yield "logprobs", "Anthropic gives no log probabilities; leave `logprobs` out."
    if request.top_logprobs:
        yield "top_logprobs", "Anthropic gives no log probabilities; leave `top_logprobs` out."
    if "audio" in (request.modalities or ()):
        yield "modalities", "Anthropic's models give no audio; ask for text."
    for param, remedy in (
        ("audio", "Anthropic's models give no audio; leave `audio` out."),
        ("functions", "`functions` is OpenAI's older form of tools; use `tools`."),
        ("function_call", "`function_call` is OpenAI's older form; use `tool_choice`."),
        ("web_search_options", "OpenAI's web search is not served here; use a tool of your own."),
    ):
        if request.fields.get(param, _NULL) != _NULL:
            yield param, remedy


def _sampling(request: ChatRequest, family: Family, plan: Plan) -> _Body:
    temperature = request.temperature
    if temperature is not None and not 0 <= temperature <= _TEMPERATURE_MAX:
        raise InvalidRequest(
            "`temperature` must be within 0..1 for Anthropic's models, where 1 is the default.",
            param="temperature",
        )
    if plan.thinks or family.sampling == "none":
        return {}
    top_p = request.top_p
    if family.sampling == "one" and temperature is not None:
        top_p = None
    top_k = request.fields.get("top_k", _NULL)
    return {
        "temperature": temperature,
        "top_p": top_p,
        "top_k": None if top_k == _NULL else top_k,
    }


def _stop_sequences(request: ChatRequest) -> list[str] | None:
    stop = [request.stop] if isinstance(request.stop, str) else request.stop or ()
    return [sequence for sequence in stop if sequence.strip()] or None


def _read_tool(tool: Tool, position: int) -> _ToolDefinition:
    path = f"tools[{position}]"
    if tool.type != "function":
        raise UnsupportedParameter(
            f"Anthropic's models take no `{tool.type}` tools from here; use `function`.",
            param=f"{path}.type",
        )
    if tool.function is None:
        raise MissingParameter(
            f"`{path}.function` is required; name and describe the function.",
            param=f"{path}.function",
        )
    schema = tool.function.parameters or _EMPTY_SCHEMA
    return _ToolDefinition(
        tool.function.name,
        # The type is required there, and can be nothing else.
        schema if "type" in schema else {"type": "object", **schema},
        tool.function.description,
        tool.cache_control,
    )


def _read_tool_choice(request: ChatRequest, family: Family) -> _ToolChoice | None:
    choice = _translate_tool_choice(request.tool_choice)
    if not request.tools:
        if choice is not None and choice.forces:
            raise MissingParameter(
                "`tools` is required beside a `tool_choice` that asks for a call.", param="tools"
            )
        return None
    if choice is not None and choice.forces and not family.forced_tools:
        raise UnsupportedParameter(
            "This model cannot be forced to call a tool; use `tool_choice` `auto` and say in the "
            "prompt when to call it, or a `response_format` of type json_schema.",
            param="tool_choice",
        )
    if request.parallel_tool_calls is False:
        choice = choice or _ToolChoice("auto")
        choice.disable_parallel_tool_use = choice.type != "none"
    return choice


def _translate_tool_choice(choice: str | ToolChoice | None) -> _ToolChoice | None:
    if choice is None:
        return None
    if isinstance(choice, str):
        known = {"none": "none", "auto": "auto", "required": "any"}
        if choice in known:
            return _ToolChoice(known[choice])
        raise InvalidRequest(
            "`tool_choice` must be none, auto, required or a named function.", param="tool_choice"
        )
    if choice.type != "function":
        raise UnsupportedParameter(
            f"Anthropic has no tool choice of type `{choice.type}`; name a function.",
            param="tool_choice.type",
        )
    if choice.function is None:
        raise MissingParameter(
            "`tool_choice.function` is required; name the function to call.",
            param="tool_choice.function",
        )
    return _ToolChoice("tool", choice.function.name)


def _output_config(request: ChatRequest, plan: Plan) -> _Body | None:
    config = {"effort": plan.effort, "format": _output_format(request)}
    return {key: value for key, value in config.items() if value is not None} or None


def _output_format(request: ChatRequest) -> _Body | None:
    wanted = request.response_format
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        raise UnsupportedParameter(
            "Anthropic answers in JSON by a schema only; use a `response_format` of type "
            "json_schema.",
            param="response_format",
        )
    if wanted.type != "json_schema":
        raise InvalidRequest(
            "`response_format.type` must be text or json_schema.", param="response_format.type"
        )
    if wanted.json_schema is None or wanted.json_schema.definition is None:
        raise MissingParameter(
            "`response_format.json_schema.schema` is required; say what the answer looks like.",
            param="response_format.json_schema.schema",
        )
    return {"type": "json_schema", "schema": _close(wanted.json_schema.definition)}


def _close(schema: Any) -> Any:
    """Return a schema whose objects allow no further properties.

    Anthropic refuses any other. What fits the closed schema fits the client's own too, so that
    nothing is promised that is not kept. What a client has said itself stays.
    """
    if isinstance(schema, list):
        return [_close(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed: _Body = {}
    for key, value in schema.items():
        if key in ("properties", "$defs", "definitions") and isinstance(value, dict):
            closed[key] = {name: _close(item) for name, item in value.items()}
        elif key in ("items", "anyOf", "oneOf"):
            closed[key] = _close(value)
        else:
            closed[key] = value
    types = closed.get("type")
    if types == "object" or (isinstance(types, list) and "object" in types):
        closed.setdefault("additionalProperties", False)
    return closed
