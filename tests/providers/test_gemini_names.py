"""Names of functions that Google refuses: there and back."""

import json
from typing import Any

import pytest

from harness.chat_completions_stream import Recorder
from tokenferry.protocol.chat import ChatRequest, parse_request
from tokenferry.providers.gemini import GeminiFormat
from tokenferry.providers.gemini_names import google_name

FORMAT = GeminiFormat("key")
NAMES = ["1c_reload", "-x", "날씨", "get_weather", "_1c"]


def request(**more: Any) -> ChatRequest:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "안녕"}],
        "tools": [{"type": "function", "function": {"name": name}} for name in NAMES],
        "stream": True,
    }
    return parse_request(json.dumps(body | more).encode())


@pytest.mark.parametrize(
    ("name", "taken"),
    [("1a", "_1a"), ("-a", "_-a"), ("a1", "a1"), ("_1", "_1"), ("날씨", "날씨"), ("", "")],
)
def test_a_name_as_google_takes_it(name: str, taken: str) -> None:
    assert google_name(name) == taken


def test_everything_that_names_a_function_says_the_same() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "1c_reload", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "안녕"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "네"},
    ]
    choice = {"type": "function", "function": {"name": "1c_reload"}}
    body = json.loads(FORMAT.encode(request(messages=messages, tool_choice=choice), "m").body)
    declared = [found["name"] for found in body["tools"][0]["functionDeclarations"]]
    assert declared == ["_1c_reload", "_-x", "날씨", "get_weather", "_1c"]
    config = body["toolConfig"]["functionCallingConfig"]
    assert config["allowedFunctionNames"] == ["_1c_reload"]
    _, made, answered = body["contents"]
    assert made["parts"][0]["functionCall"]["name"] == "_1c_reload"
    assert answered["parts"][0]["functionResponse"]["name"] == "_1c_reload"


def test_a_call_comes_back_under_the_clients_name() -> None:
    recorder = Recorder()
    decoder = FORMAT.decoder(request(), recorder)
    names = ["_1c_reload", "get_weather", "_1c", "_unknown"]
    parts = [{"text": "음"}, *({"functionCall": {"name": name}} for name in names)]
    usage = {"promptTokenCount": 1}
    candidate = {"content": {"parts": parts}, "finishReason": "STOP"}
    decoder.event(json.dumps({"candidates": [candidate], "usageMetadata": usage}).encode())
    decoder.eof()
    assert [call["name"] for call in recorder.tool_calls()] == ["1c_reload", *names[1:]]
    assert recorder.names() == ["head", "text", *["delta"] * 4, "finish", "usage", "end"]


def test_an_answer_to_a_request_whose_names_google_takes_goes_straight_to_the_sink() -> None:
    recorder = Recorder()
    assert FORMAT.decoder(request(tools=None), recorder)._sink is recorder
