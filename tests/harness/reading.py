"""An independent reading of recorded streams, to hold the gateway's own reading against.

It shares no code with the package: it knows each format only as far as the recordings go, and
reads them whole, as parsed JSON, with no regard for speed.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

ANTHROPIC_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "refusal": "content_filter",
}
GEMINI_FINISH = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter"}


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts in OpenAI's normal form."""

    prompt: int
    completion: int
    total: int
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer says.

    Attributes:
        tool_calls: (id, name, arguments as parsed JSON); the id is "" when the format has none.
    """

    text: str
    reasoning: str
    tool_calls: tuple[tuple[str, str, Any], ...]
    finish_reason: str
    usage: Usage


def read(kind: str, events: Sequence[str]) -> Reading:
    """Read a recorded stream."""
    return READERS[kind]([json.loads(event) for event in events])


def openai_usage(usage: dict[str, Any]) -> Usage:
    """Read a usage object in OpenAI's form, with DeepSeek's and Mistral's ways of writing it."""
    prompt_details = usage.get("prompt_tokens_details") or {}
    completion_details = usage.get("completion_tokens_details") or {}
    cached = prompt_details.get("cached_tokens", usage.get("prompt_cache_hit_tokens", 0))
    return Usage(
        usage["prompt_tokens"],
        usage["completion_tokens"],
        usage["total_tokens"],
        cached or 0,
        prompt_details.get("cache_write_tokens") or 0,
        completion_details.get("reasoning_tokens") or 0,
    )


def whole_characters(text: str) -> str:
    """Join surrogates that came in two pieces."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16")


def join_calls(fragments: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """Join fragments of tool calls by index; a new id at an index begins a new call."""
    calls: list[dict[str, str]] = []
    latest: dict[int, dict[str, str]] = {}
    for fragment in fragments:
        index, new_id = fragment.get("index", 0), fragment.get("id")
        if index not in latest or (new_id and latest[index]["id"] not in ("", new_id)):
            latest[index] = {"id": "", "name": "", "arguments": ""}
            calls.append(latest[index])
        call, function = latest[index], fragment.get("function") or {}
        call["id"] = call["id"] or new_id or ""
        call["name"] += function.get("name") or ""
        call["arguments"] += function.get("arguments") or ""
    return calls


def _read_openai(events: Sequence[dict[str, Any]]) -> Reading:
    choices = [event["choices"][0] for event in events if event["choices"]]
    deltas = [choice["delta"] for choice in choices]
    calls = join_calls([call for delta in deltas for call in delta.get("tool_calls") or []])
    (finish_reason,) = [c["finish_reason"] for c in choices if c["finish_reason"]]
    (usage,) = [event["usage"] for event in events if event.get("usage")]
    return Reading(
        whole_characters("".join(delta.get("content") or "" for delta in deltas)),
        "".join(delta.get("reasoning_content") or "" for delta in deltas),
        tuple((call["id"], call["name"], json.loads(call["arguments"])) for call in calls),
        finish_reason,
        openai_usage(usage),
    )


def _read_anthropic(events: Sequence[dict[str, Any]]) -> Reading:
    texts, thoughts = [], []
    calls: dict[int, list[str]] = {}
    usage: dict[str, Any] = {}
    finish_reason = ""
    for event in events:
        if event["type"] == "message_start":
            usage |= event["message"]["usage"]
        elif event["type"] == "content_block_start":
            content = event["content_block"]
            if content["type"] == "tool_use":
                calls[event["index"]] = [content["id"], content["name"], ""]
        elif event["type"] == "content_block_delta":
            delta = event["delta"]
            texts.append(delta.get("text", ""))
            thoughts.append(delta.get("thinking", ""))
            if event["index"] in calls:
                calls[event["index"]][2] += delta.get("partial_json", "")
        elif event["type"] == "message_delta":
            usage |= event["usage"]
            finish_reason = ANTHROPIC_FINISH[event["delta"]["stop_reason"]]
    cached = usage.get("cache_read_input_tokens", 0)
    written = usage.get("cache_creation_input_tokens", 0)
    prompt, completion = usage["input_tokens"] + cached + written, usage["output_tokens"]
    return Reading(
        whole_characters("".join(texts)),
        "".join(thoughts),
        tuple((own, name, json.loads(args or "{}")) for own, name, args in calls.values()),
        finish_reason,
        Usage(prompt, completion, prompt + completion, cached, written),
    )


def _read_gemini(events: Sequence[dict[str, Any]]) -> Reading:
    candidates = [event["candidates"][0] for event in events]
    parts = [part for candidate in candidates for part in candidate["content"]["parts"]]
    calls = tuple(
        ("", part["functionCall"]["name"], part["functionCall"].get("args") or {})
        for part in parts
        if "functionCall" in part
    )
    usage = events[-1]["usageMetadata"]
    thought_tokens = usage.get("thoughtsTokenCount", 0)
    (reason,) = [GEMINI_FINISH[c["finishReason"]] for c in candidates if "finishReason" in c]
    return Reading(
        whole_characters("".join(p.get("text", "") for p in parts if not p.get("thought"))),
        "".join(part.get("text", "") for part in parts if part.get("thought")),
        calls,
        "tool_calls" if calls and reason == "stop" else reason,
        Usage(
            usage["promptTokenCount"],
            usage["candidatesTokenCount"] + thought_tokens,
            usage["totalTokenCount"],
            usage.get("cachedContentTokenCount", 0),
            0,
            thought_tokens,
        ),
    )


READERS = {"openai": _read_openai, "anthropic": _read_anthropic, "gemini": _read_gemini}
