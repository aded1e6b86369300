"""Asks the gateway in each of its manners, checks the manner's rules, and reads the answer.

Three manners: `sse` (streamed HTTP), `plain` (a WebSocket that knows nothing of the protocol)
and `aware` (a WebSocket that speaks it).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness import websocket
from harness.gateway import Gateway
from harness.reading import Reading, join_calls, openai_usage
from harness.sse import DONE, PATH, open_stream

MANNERS = ("sse", "plain", "aware")
# `stream: false` over HTTP, for tests that are about failures more than about streams.
WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: The HTTP status of a response that was an error from the start; else 200.
        frames: Every frame or event, in order, the end mark not among them.
        text: The text of the answer.
        error: The error object, when there was one.
        headers: The response's headers (streamed HTTP only).
    """

    status: int
    frames: Sequence[dict[str, Any]]
    text: str
    error: dict[str, Any] | None
    headers: Mapping[str, str]

    def read(self) -> Reading:
        """Read a complete answer into the form of an independent reading."""
        assert self.error is None, self.error
        choices = [frame["choices"][0] for frame in self.frames if frame.get("choices")]
        deltas = [choice["delta"] for choice in choices]
        calls = join_calls([call for delta in deltas for call in delta.get("tool_calls") or []])
        # An aware client's last frame has no choices, but the reason itself.
        reasons = [
            ended["finish_reason"]
            for ended in [*choices, *self.frames]
            if ended.get("finish_reason")
        ]
        assert len(reasons) == 1, reasons
        (usage,) = [frame["usage"] for frame in self.frames if frame.get("usage")]
        for call in calls:
            assert call["id"], f"a call without an id: {call}"
        return Reading(
            "".join(delta.get("content") or "" for delta in deltas),
            "".join(delta.get("reasoning_content") or "" for delta in deltas),
            tuple((call["id"], call["name"], json.loads(call["arguments"])) for call in calls),
            reasons[0],
            openai_usage(usage),
        )


def body(model: str, prompt: str, **fields: Any) -> dict[str, Any]:
    """Return a request."""
    message = {"role": "user", "content": prompt}
    return {"model": model, "messages": [message], "stream": True, **fields}


async def ask(gateway: Gateway, manner: str, request: Mapping[str, Any]) -> Answer:
    """Ask and wait for the end of the answer."""
    if manner == "sse":
        return await _ask_sse(gateway, request)
    if manner == "plain":
        return await _ask_plain(gateway, request)
    if manner == WHOLE:
        return await _ask_whole(gateway, request)
    return await _ask_aware(gateway, request)


def text_of(frames: Sequence[Mapping[str, Any]]) -> str:
    """Join the text of frames."""
    choices = [frame["choices"][0] for frame in frames if frame.get("choices")]
    return "".join((choice.get("delta") or {}).get("content") or "" for choice in choices)


async def _ask_sse(gateway: Gateway, request: Mapping[str, Any]) -> Answer:
    asked = {**request, "stream_options": {"include_usage": True}}
    async with open_stream(gateway.port, gateway.key, asked) as stream:
        assert stream.headers.get("x-request-id"), stream.headers
        if stream.status != 200:
            response = await stream.response()
            return Answer(response.status, (), "", response.error, response.headers)
        assert stream.headers["content-type"].startswith("text/event-stream")
        *events, last = await stream.rest()
        assert last == DONE, last
        frames = [json.loads(event) for event in events]
        errors = [frame["error"] for frame in frames if "error" in frame]
        if errors:
            assert "error" in frames[-1], "something came after the error"
        check_sse(frames)
        error = errors[0] if errors else None
        return Answer(200, frames, text_of(frames), error, stream.headers)


async def _ask_whole(gateway: Gateway, request: Mapping[str, Any]) -> Answer:
    asked = json.dumps({**request, "stream": False}).encode()
    response = await gateway.post(PATH, asked, gateway.key)
    assert response.headers.get("x-request-id"), response.headers
    if response.status != 200:
        return Answer(response.status, (), "", response.error, response.headers)
    assert response.json["object"] == "chat.completion", response.json
    text = response.json["choices"][0]["message"]["content"]
    return Answer(200, (response.json,), text, None, response.headers)


def check_sse(frames: Sequence[Mapping[str, Any]]) -> None:
    """Check what OpenAI's SDKs rely on."""
    for frame in frames:
        if "error" in frame:
            assert {"message", "type", "code", "param"} <= frame["error"].keys(), frame
            continue
        assert frame["object"] == "chat.completion.chunk", frame
        assert frame["id"] == frames[0]["id"], frame
        assert {"created", "model"} <= frame.keys(), frame
        for choice in frame["choices"]:
            assert {"index", "delta", "finish_reason"} <= choice.keys(), frame


async def _ask_plain(gateway: Gateway, request: Mapping[str, Any]) -> Answer:
    async with websocket.connect(gateway.port, gateway.key) as socket:
        socket.send_json(request)
        frames = await plain_frames(socket)
        await socket.close()
    return Answer(200, frames, text_of(frames), frames[-1].get("error"), {})


async def plain_frames(socket: websocket.Socket) -> list[dict[str, Any]]:
    """Return one answer's frames, checked against the rules for plain clients."""
    frames = []
    while True:
        frame = await socket.receive_json()
        check_plain(frame)
        frames.append(frame)
        if frame["done"]:
            return frames


def check_plain(frame: Mapping[str, Any]) -> None:
    """Check the rules that plain clients rely on in every single frame."""
    (choice,) = frame["choices"]
    assert isinstance(choice["delta"]["content"], str), frame
    assert "finish_reason" in choice, frame
    assert isinstance(frame["done"], bool), frame
    # Clients stop at either mark, so that the two must come together.
    assert bool(choice["finish_reason"]) == frame["done"], frame
    assert "type" not in frame, frame
    if "error" in frame:
        assert choice["finish_reason"] == "error", frame
        assert frame["done"], frame


async def _ask_aware(gateway: Gateway, request: Mapping[str, Any]) -> Answer:
    async with websocket.connect(
        gateway.port, gateway.key, subprotocols=[websocket.SUBPROTOCOL]
    ) as socket:
        assert socket.subprotocol == websocket.SUBPROTOCOL
        socket.send_json({"type": "create", "ref": "r-1", "request": request})
        frames = await aware_frames(socket, "r-1")
        await socket.close()
    return Answer(200, frames, text_of(frames), frames[-1].get("error"), {})


async def aware_frames(socket: websocket.Socket, ref: str) -> list[dict[str, Any]]:
    """Return one stream's chunk and last frames, with its seq checked; others are passed over."""
    started = None
    frames: list[dict[str, Any]] = []
    while True:
        frame = await socket.receive_json()
        if frame.get("ref") == ref and frame["type"] == "started":
            assert frame["seq"] == 0, frame
            started = frame
        elif frame["type"] == "error" and frame.get("ref") == ref and started is None:
            return [frame]
        elif started and frame.get("stream_id") == started["stream_id"]:
            if frame["type"] in ("chunk", "done", "error"):
                check_seq(frame, frames)
                assert frame["epoch"] == started["epoch"], frame
                frames.append(frame)
            if frame.get("done"):
                assert frame["type"] in ("done", "error"), frame
                return frames


def check_seq(frame: Mapping[str, Any], before: Sequence[Mapping[str, Any]]) -> None:
    """Check that seq starts at 1 and has no gap; a merged frame says where it begins."""
    expected = before[-1]["seq"] + 1 if before else 1
    assert frame.get("from", frame["seq"]) == expected, (frame, expected)
    assert frame["seq"] >= expected, frame
