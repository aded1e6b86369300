import json
from pathlib import Path

import pytest

from harness.anthropic_stream import replay
from tokenferry.domain.usage import Usage
from tokenferry.errors import (
    ProviderCutOff,
)

SHARED = Path(__file__).parents[2] / ".." / "shared" / "transcripts" / "anthropic"
TRANSCRIPTS = [
    "anthropic-clear-thinking.1",
    "anthropic-json-output-format.1",
    "anthropic-message-delta-input-tokens",
    "anthropic-refusal",
    "anthropic-text",
    "anthropic-tool-no-args",
    "anthropic-web-search-tool.1",
]


# Recordings, against a reading that knows nothing of ours.


def transcript(name: str) -> list[bytes]:
    return [line for line in (SHARED / f"{name}.jsonl").read_bytes().splitlines() if line]


@pytest.mark.needs("shared")
def test_every_recording_is_listed() -> None:
    assert sorted(path.stem for path in SHARED.glob("*.jsonl")) == TRANSCRIPTS


@pytest.mark.needs("shared")
@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_recordings(name: str) -> None:
    lines = transcript(name)
    events = [json.loads(line) for line in lines]
    recorder = replay(*lines)
    blocks = {e["index"]: e["content_block"] for e in events if e["type"] == "content_block_start"}
    deltas = [(e["index"], e["delta"]) for e in events if e["type"] == "content_block_delta"]
    assert recorder.joined("text") == "".join(d.get("text", "") for _, d in deltas)
    assert recorder.joined("reasoning") == "".join(d.get("thinking", "") for _, d in deltas)
    calls = {index: block for index, block in blocks.items() if block["type"] == "tool_use"}
    assert [(call["id"], call["name"]) for call in recorder.tool_calls] == [
        (block["id"], block["name"]) for block in calls.values()
    ]
    for call, index in zip(recorder.tool_calls, calls, strict=True):
        sent = "".join(d["partial_json"] for i, d in deltas if i == index)
        assert json.loads(call["json"]) == json.loads(sent or "{}")
    cited = [d["citation"]["url"] for _, d in deltas if d["type"] == "citations_delta"]
    assert [found["url_citation"]["url"] for found in recorder.annotations] == cited
    signatures = [d["signature"] for _, d in deltas if d["type"] == "signature_delta"]
    assert [detail["signature"] for detail in recorder.details] == signatures
    (last,) = [e for e in events if e["type"] == "message_delta"]
    assert recorder.last_usage() == Usage(
        last["usage"]["input_tokens"], last["usage"]["output_tokens"]
    )
    reasons = {"end_turn": "stop", "tool_use": "tool_calls", "refusal": "content_filter"}
    assert ("finish", 0, reasons[last["delta"]["stop_reason"]]) in recorder.calls
    details = last["delta"].get("stop_details") or {}
    assert recorder.refusal == details.get("explanation", "")
    assert recorder.calls[0] == ("head", events[0]["message"]["model"], None, recorder.calls[0][3])
    assert recorder.names()[-1] == "end"


@pytest.mark.needs("shared")
def test_citations_of_a_recording_cover_the_text_of_their_block() -> None:
    lines = transcript("anthropic-web-search-tool.1")
    recorder = replay(*lines)
    said: dict[int, str] = {}
    cites: list[int] = []
    for event in map(json.loads, lines):
        if event["type"] == "content_block_delta":
            index, delta = event["index"], event["delta"]
            said[index] = said.get(index, "") + delta.get("text", "")
            cites += [index] if delta["type"] == "citations_delta" else []
    text = recorder.joined("text")
    assert len(cites) == 14
    for index, found in zip(cites, recorder.annotations, strict=True):
        place = found["url_citation"]
        assert text[place["start_index"] : place["end_index"]] == said[index]


@pytest.mark.needs("shared")
@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_recordings_cut_after_any_event_are_never_called_complete(name: str) -> None:
    lines = transcript(name)
    reason_at = next(i for i, line in enumerate(lines) if b'"message_delta"' in line)
    for cut in range(reason_at + 1):
        assert isinstance(replay(*lines[:cut]).error, ProviderCutOff)
    assert replay(*lines[: reason_at + 1]).error is None
