"""The three provider dialects, as small as a scripted answer needs them.

Every function takes a kind of the configuration file: openai, anthropic or gemini.
"""

import json
from collections.abc import Sequence
from typing import Any

KINDS = ("openai", "anthropic", "gemini")
PROMPT_TOKENS = 11


def sse(kind: str, events: Sequence[str]) -> list[bytes]:
    """Return the blocks of an event stream as this kind of provider frames them.

    OpenAI ends with `[DONE]`; Anthropic names each event; Gemini writes CRLF and no end mark.
    """
    if kind == "anthropic":
        return [f"event: {json.loads(data)['type']}\ndata: {data}\n\n".encode() for data in events]
    if kind == "gemini":
        return [f"data: {data}\r\n\r\n".encode() for data in events]
    return [*(f"data: {data}\n\n".encode() for data in events), b"data: [DONE]\n\n"]


def block(kind: str, event: dict[str, Any]) -> bytes:
    """Return one event's block."""
    return sse(kind, [json.dumps(event, ensure_ascii=False)])[0]


def opening(kind: str) -> list[bytes]:
    """Return what comes before the first token."""
    if kind == "openai":
        return [block(kind, _openai_chunk({"role": "assistant", "content": ""}))]
    if kind == "anthropic":
        usage = {"input_tokens": PROMPT_TOKENS, "output_tokens": 1}
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        start = {"type": "content_block_start", "index": 0}
        return [
            block(kind, {"type": "message_start", "message": message}),
            block(kind, {**start, "content_block": {"type": "text", "text": ""}}),
        ]
    return []


def token(kind: str, text: str) -> bytes:
    """Return one piece of text."""
    if kind == "openai":
        return block(kind, _openai_chunk({"content": text}))
    if kind == "anthropic":
        delta = {"type": "text_delta", "text": text}
        return block(kind, {"type": "content_block_delta", "index": 0, "delta": delta})
    return block(kind, _gemini_chunk(text))


def closing(kind: str, completion_tokens: int) -> list[bytes]:
    """Return what comes after the last token: the finish reason `stop`, and usage."""
    if kind == "openai":
        usage = {
            "prompt_tokens": PROMPT_TOKENS,
            "completion_tokens": completion_tokens,
            "total_tokens": PROMPT_TOKENS + completion_tokens,
        }
        last = {**_openai_chunk({}), "choices": [], "usage": usage}
        return [block(kind, _openai_chunk({}, "stop")), block(kind, last), b"data: [DONE]\n\n"]
    if kind == "anthropic":
        delta = {"stop_reason": "end_turn", "stop_sequence": None}
        usage = {"input_tokens": PROMPT_TOKENS, "output_tokens": completion_tokens}
        return [
            block(kind, {"type": "content_block_stop", "index": 0}),
            block(kind, {"type": "message_delta", "delta": delta, "usage": usage}),
            block(kind, {"type": "message_stop"}),
        ]
    usage = {
        "promptTokenCount": PROMPT_TOKENS,
        "candidatesTokenCount": completion_tokens,
        "totalTokenCount": PROMPT_TOKENS + completion_tokens,
    }
    last = _gemini_chunk("")
    last["candidates"][0]["finishReason"] = "STOP"
    return [block(kind, {**last, "usageMetadata": usage})]


def whole(kind: str, texts: Sequence[str]) -> list[bytes]:
    """Return a complete answer."""
    return [*opening(kind), *(token(kind, text) for text in texts), *closing(kind, len(texts))]


def unstreamed(kind: str, text: str) -> bytes:
    """Return the body of a complete answer that was not asked for as a stream."""
    if kind == "openai":
        message = {"role": "assistant", "content": text}
        usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": 1, "total_tokens": 12}
        body = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1760000000,
            "model": "gpt",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": usage,
        }
    elif kind == "anthropic":
        body = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude",
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": PROMPT_TOKENS, "output_tokens": 1},
        }
    else:
        body = _gemini_chunk(text)
        body["candidates"][0]["finishReason"] = "STOP"
        body["usageMetadata"] = {
            "promptTokenCount": PROMPT_TOKENS,
            "candidatesTokenCount": 1,
            "totalTokenCount": PROMPT_TOKENS + 1,
        }
    return json.dumps(body, ensure_ascii=False).encode()


def error_body(kind: str, status: int, message: str) -> bytes:
    """Return the body of an answer with an error status."""
    if kind == "openai":
        error = {"message": message, "type": "some_type", "param": None, "code": "some_code"}
        return json.dumps({"error": error}).encode()
    if kind == "anthropic":
        error = {"type": "overloaded_error", "message": message}
        return json.dumps({"type": "error", "error": error}).encode()
    error = {"code": status, "message": message, "status": "UNAVAILABLE"}
    return json.dumps({"error": error}).encode()


def error_event(kind: str, message: str) -> bytes:
    """Return an error as it comes inside a stream that began well."""
    body = error_body(kind, 503, message)
    return sse(kind, [body.decode()])[0]


def _openai_chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1760000000,
        "model": "gpt",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }


def _gemini_chunk(text: str) -> dict[str, Any]:
    content = {"parts": [{"text": text}], "role": "model"}
    return {"candidates": [{"content": content, "index": 0}], "modelVersion": "gemini"}
