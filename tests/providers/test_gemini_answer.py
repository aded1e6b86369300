"""Answers: recorded streams, each kind of part, every way to end."""

import base64
import itertools
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from tokenferry.domain.usage import Usage
from tokenferry.errors import (
    ProviderAuthFailed,
    ProviderCutOff,
    ProviderError,
    ProviderInvalidResponse,
    ProviderRejected,
)
from tokenferry.protocol.chat import Delta
from tokenferry.providers.gemini_answer import GeminiDecoder

TRANSCRIPTS = Path(__file__).parents[2] / "../shared/transcripts/google"


class RecordingSink:
    """Keeps every call, in order."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def head(self, model: str, fingerprint: str | None, service_tier: str | None) -> None:
        self.calls.append(("head", model, fingerprint, service_tier))

    def text(self, text: str) -> None:
        self.calls.append(("text", text))

    def reasoning(self, text: str) -> None:
        self.calls.append(("reasoning", text))

    def delta(self, index: int, delta: Delta, logprobs: Raw | None = None) -> None:
        read = None if logprobs is None else json.loads(bytes(logprobs))
        self.calls.append(("delta", index, json.loads(msgspec.json.encode(delta)), read))

    def finish(self, index: int, reason: str) -> None:
        self.calls.append(("finish", index, reason))

    def usage(self, usage: Usage) -> None:
        self.calls.append(("usage", usage))

    def end(self) -> None:
        self.calls.append(("end",))

    def fail(self, error: ProviderError) -> None:
        self.calls.append(("fail", error))

    def of(self, *kinds: str) -> list[tuple[Any, ...]]:
        return [call for call in self.calls if call[0] in kinds]

    def said(self, kind: str, index: int = 0) -> str:
        """Everything that was said to a choice, `kind` being content or reasoning."""
        hot = {"content": "text", "reasoning": "reasoning"}[kind]
        return "".join(
            call[1] if call[0] == hot else call[2].get(kind, "")
            for call in self.calls
            if (call[0] == hot and index == 0) or (call[0] == "delta" and call[1] == index)
        )

    @property
    def error(self) -> ProviderError:
        [(_, error)] = self.of("fail")
        assert not self.of("end")
        assert isinstance(error, ProviderError)
        return error


def decode(*chunks: Any, eof: bool = True) -> RecordingSink:
    sink = RecordingSink()
    decoder = GeminiDecoder(sink, "asked", api_key="key")
    for chunk in chunks:
        data = chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode()
        decoder.event(data)
    if eof:
        decoder.eof()
    return sink


def candidate(*parts: Any, index: int | None = None, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, **more}
    return found if index is None else {**found, "index": index}


def chunk(*candidates: Any, **more: Any) -> dict[str, Any]:
    return {"candidates": list(candidates), "modelVersion": "gemini-x", **more}


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"text": value, **more}


STOP = chunk({"finishReason": "STOP"})


class TestRecorded:
    """Every recorded stream against a reading that shares nothing with the decoder."""

    @pytest.fixture(params=sorted(TRANSCRIPTS.glob("*.jsonl")) or [None], ids=str)
    def lines(self, request: pytest.FixtureRequest) -> list[bytes]:
        if request.param is None:
            pytest.skip("no recorded streams here")
        found: list[bytes] = request.param.read_bytes().splitlines()
        assert found
        return found

    def test_streamed(self, lines: list[bytes]):
        self.compare(decode(*lines), lines)

    def test_as_an_array_in_one_body(self, lines: list[bytes]):
        sink = RecordingSink()
        GeminiDecoder(sink, "asked", api_key="key").body(b"[" + b"\n,".join(lines) + b"]")
        self.compare(sink, lines)

    def test_without_its_last_chunk_it_is_cut_off(self, lines: list[bytes]):
        assert isinstance(decode(*lines[:-1]).error, ProviderCutOff)

    def compare(self, sink: RecordingSink, lines: list[bytes]) -> None:
        content, thoughts, calls = "", "", []
        for line in lines:
            read = json.loads(line)
            [only] = read["candidates"]
            for part in only["content"]["parts"]:
                if "functionCall" in part:
                    calls.append((part["functionCall"], part.get("thoughtSignature")))
                elif part.get("thought"):
                    thoughts += part["text"]
                else:
                    content += part["text"]
        assert sink.said("content") == content
        assert sink.said("reasoning") == thoughts
        made = [call for _, _, delta, _ in sink.of("delta") for call in delta["tool_calls"]]
        assert [
            (
                {
                    "name": call["function"]["name"],
                    "args": json.loads(call["function"]["arguments"]),
                },
                call["extra_content"]["google"]["thought_signature"],
            )
            for call in made
        ] == calls
        metadata = read["usageMetadata"]
        usage = sink.of("usage")[-1][1]
        assert usage.total_tokens == metadata["totalTokenCount"]
        assert usage.prompt_tokens == metadata["promptTokenCount"]
        assert usage.reasoning_tokens == metadata["thoughtsTokenCount"]
        assert sink.calls[0] == ("head", read["modelVersion"], None, None)
        assert sink.of("finish") == [("finish", 0, "tool_calls" if calls else "stop")]
        assert sink.calls[-1] == ("end",)


class TestText:
    def test_text_and_thoughts(self):
        sink = decode(
            chunk(candidate(text("생각 중", thought=True), text("안녕"))),
            chunk(candidate(text("하세요 👋"), finishReason="STOP")),
        )
        assert sink.calls == [
            ("head", "gemini-x", None, None),
            ("reasoning", "생각 중"),
            ("text", "안녕"),
            ("text", "하세요 👋"),
            ("finish", 0, "stop"),
            ("end",),
        ]

    def test_head_comes_once_and_names_what_was_asked_when_google_is_silent(self):
        sink = decode({"usageMetadata": {}}, chunk(candidate(text("a"))), STOP)
        assert sink.of("head") == [("head", "asked", None, None)]

    def test_several_candidates(self):
        sink = decode(
            chunk(candidate(text("a"), index=0), candidate(text("b"), index=1)),
            chunk(candidate(text("c", thought=True), index=1, finishReason="MAX_TOKENS")),
            chunk(candidate(text("d"), index=0, finishReason="STOP")),
        )
        assert sink.calls[1:] == [
            ("text", "a"),
            ("delta", 1, {"content": "b"}, None),
            ("delta", 1, {"reasoning": "c"}, None),
            ("finish", 1, "length"),
            ("text", "d"),
            ("finish", 0, "stop"),
            ("end",),
        ]

    @pytest.mark.parametrize(
        "part",
        [
            {},
            {"text": ""},
            {"text": "", "thoughtSignature": "c2ln"},
            {"thoughtSignature": "c2ln"},
            {"executableCode": {"language": "PYTHON", "code": "1"}},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
            {"inlineData": {"mimeType": "audio/L16", "data": "AA=="}},
            {"inlineData": {"mimeType": "image/png", "data": "AA=="}, "thought": True},
            {"fromTheFuture": {"a": [1]}},
        ],
    )
    def test_parts_that_say_nothing_to_the_client(self, part: dict[str, Any]):
        sink = decode(chunk(candidate(text("a"), part, text("b"))), STOP)
        assert sink.calls[1:] == [
            ("text", "a"),
            ("text", "b"),
            ("finish", 0, "stop"),
            ("end",),
        ]

    @pytest.mark.parametrize(
        "odd",
        [
            {"candidates": [{"index": 0, "content": {}}]},
            {"candidates": [{"content": None, "safetyRatings": [{"probability": "LOW"}]}]},
            {"candidates": [{"content": {"parts": None}, "groundingMetadata": {"x": 1}}]},
            {"candidates": []},
            {"candidates": None, "usageMetadata": None, "promptFeedback": None},
            {"promptFeedback": {"safetyRatings": []}},
            {"somethingNew": [1, 2]},
            {},
        ],
    )
    def test_chunks_that_say_nothing(self, odd: dict[str, Any]):
        sink = decode(chunk(candidate(text("a"))), odd, STOP)
        assert sink.calls[1:] == [("text", "a"), ("finish", 0, "stop"), ("end",)]

    def test_an_image(self):
        part = {"inlineData": {"mimeType": "image/png", "data": "AA=="}}
        sink = decode(chunk(candidate(part)), STOP)
        url = {"url": "data:image/png;base64,AA=="}
        assert sink.of("delta") == [
            ("delta", 0, {"images": [{"type": "image_url", "image_url": url}]}, None)
        ]


class TestCalls:
    def test_parallel_calls(self):
        sink = decode(
            chunk(
                candidate(
                    {
                        "functionCall": {
                            "id": "g1",
                            "name": "f",
                            "args": {"도시": "서울", "n": 1.5},
                        },
                        "thoughtSignature": "c2ln",
                    },
                    {"functionCall": {"name": "g"}},
                ),
                responseId="R",
            ),
            chunk(candidate({"functionCall": {"name": "h", "args": {}}}), responseId="R"),
            chunk(candidate(text(""), finishReason="STOP"), responseId="R"),
        )
        calls = [call for _, _, delta, _ in sink.of("delta") for call in delta["tool_calls"]]
        assert calls == [
            {
                "index": 0,
                "id": "g1",
                "type": "function",
                "function": {"name": "f", "arguments": '{"도시":"서울","n":1.5}'},
                "extra_content": {"google": {"thought_signature": "c2ln"}},
            },
            {
                "index": 1,
                "id": "call_R_1",
                "type": "function",
                "function": {"name": "g", "arguments": "{}"},
            },
            {
                "index": 2,
                "id": "call_R_2",
                "type": "function",
                "function": {"name": "h", "arguments": "{}"},
            },
        ]
        assert sink.of("finish") == [("finish", 0, "tool_calls")]

    def test_each_choice_counts_its_own_calls_and_ids_differ(self):
        part = {"functionCall": {"name": "f"}}
        sink = decode(
            chunk(
                candidate(part, index=0, finishReason="STOP"),
                candidate(part, index=1, finishReason="STOP"),
                candidate(text("x"), index=2, finishReason="STOP"),
                responseId="R",
            )
        )
        made = [(index, delta["tool_calls"][0]) for _, index, delta, _ in sink.of("delta")[:2]]
        assert [(index, call["index"], call["id"]) for index, call in made] == [
            (0, 0, "call_R_0"),
            (1, 0, "call_R_1"),
        ]
        assert sink.of("finish") == [
            ("finish", 0, "tool_calls"),
            ("finish", 1, "tool_calls"),
            ("finish", 2, "stop"),
        ]

    def test_big_numbers_stay_exact(self):
        data = (
            b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f",'
            b'"args":{"id":123456789012345678901234567890}}}]},"finishReason":"STOP"}]}'
        )
        [(_, _, delta, _)] = decode(data).of("delta")
        arguments = delta["tool_calls"][0]["function"]["arguments"]
        assert arguments == '{"id":123456789012345678901234567890}'

    def test_a_call_cut_by_the_limit_is_no_finished_call(self):
        sink = decode(chunk(candidate({"functionCall": {"name": "f"}}, finishReason="MAX_TOKENS")))
        assert sink.of("finish") == [("finish", 0, "length")]

    @pytest.mark.parametrize("depth", [100_000])
    def test_arguments_nested_without_end(self, depth: int):
        args = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
        part = b'{"functionCall":{"name":"f","args":' + args + b"}}"
        with pytest.raises(ProviderInvalidResponse):
            decode(b'{"candidates":[{"content":{"parts":[' + part + b"]}}]}")


class TestLogprobs:
    def test_two_lists_become_one(self):
        result = {
            "chosenCandidates": [
                {"token": "안", "tokenId": 5, "logProbability": -0.25},
                {"token": "녕", "logProbability": 0},
            ],
            "topCandidates": [
                {"candidates": [{"token": "안", "logProbability": -0.25}, {"token": "A"}]}
            ],
        }
        sink = decode(chunk(candidate(text("안"), text("녕"), logprobsResult=result)), STOP)
        an, nyeong = list("안".encode()), list("녕".encode())
        assert sink.of("text", "delta") == [
            (
                "delta",
                0,
                {"content": "안"},
                {
                    "content": [
                        {
                            "token": "안",
                            "logprob": -0.25,
                            "bytes": an,
                            "top_logprobs": [
                                {"token": "안", "logprob": -0.25, "bytes": an},
                                {"token": "A", "logprob": 0.0, "bytes": [65]},
                            ],
                        },
                        {"token": "녕", "logprob": 0.0, "bytes": nyeong, "top_logprobs": []},
                    ],
                    "refusal": None,
                },
            ),
            ("text", "녕"),
        ]

    def test_without_text_they_are_not_lost(self):
        sink = decode(chunk(candidate(logprobsResult={"chosenCandidates": [{"token": "a"}]})), STOP)
        [(_, index, delta, logprobs)] = sink.of("delta")
        assert (index, delta) == (0, {})
        assert [entry["token"] for entry in logprobs["content"]] == ["a"]


class TestUsage:
    def test_the_whole_of_it(self):
        sink = decode(
            chunk(
                candidate(text("a"), finishReason="STOP"),
                usageMetadata={
                    "promptTokenCount": 100,
                    "cachedContentTokenCount": 60,
                    "toolUsePromptTokenCount": 7,
                    "candidatesTokenCount": 20,
                    "thoughtsTokenCount": 30,
                    "totalTokenCount": 157,
                    "promptTokensDetails": [
                        {"modality": "TEXT", "tokenCount": 90},
                        {"modality": "AUDIO", "tokenCount": 10},
                    ],
                    "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 4}],
                    "trafficType": "ON_DEMAND",
                },
            )
        )
        [(_, usage)] = sink.of("usage")
        assert usage == Usage(
            107,
            50,
            cached_tokens=60,
            reasoning_tokens=30,
            prompt_audio_tokens=10,
            completion_audio_tokens=4,
        )
        assert usage.total_tokens == 157

    def test_the_last_report_stands_and_gaps_are_zero(self):
        sink = decode(
            chunk(candidate(text("a")), usageMetadata={"promptTokenCount": 9}),
            chunk(
                candidate(finishReason="MAX_TOKENS"),
                usageMetadata={"promptTokenCount": 9, "thoughtsTokenCount": 5},
            ),
        )
        assert [call[1] for call in sink.of("usage")] == [
            Usage(9, 0),
            Usage(9, 5, reasoning_tokens=5),
        ]

    def test_it_comes_before_the_end(self):
        sink = decode(STOP, {"usageMetadata": {"promptTokenCount": 1}})
        assert [call[0] for call in sink.calls] == ["head", "finish", "usage", "end"]


class TestEnds:
    @pytest.mark.parametrize(
        ("reason", "expected"),
        [
            ("STOP", "stop"),
            ("MAX_TOKENS", "length"),
            ("SAFETY", "content_filter"),
            ("RECITATION", "content_filter"),
            ("LANGUAGE", "content_filter"),
            ("BLOCKLIST", "content_filter"),
            ("PROHIBITED_CONTENT", "content_filter"),
            ("SPII", "content_filter"),
            ("IMAGE_SAFETY", "content_filter"),
            ("IMAGE_PROHIBITED_CONTENT", "content_filter"),
            ("IMAGE_RECITATION", "content_filter"),
            ("OTHER", "stop"),
            ("NO_IMAGE", "stop"),
            ("SOMETHING_NEW", "stop"),
        ],
    )
    def test_reasons(self, reason: str, expected: str):
        sink = decode(chunk(candidate(text("a"), finishReason=reason)))
        assert sink.calls[-2:] == [("finish", 0, expected), ("end",)]

    @pytest.mark.parametrize(
        "reason",
        [
            "MALFORMED_FUNCTION_CALL",
            "UNEXPECTED_TOOL_CALL",
            "TOO_MANY_TOOL_CALLS",
            "MISSING_THOUGHT_SIGNATURE",
            "MALFORMED_RESPONSE",
        ],
    )
    def test_reasons_that_are_failures(self, reason: str):
        sink = decode(chunk({"finishReason": reason, "finishMessage": "print(f("}))
        assert isinstance(sink.error, ProviderInvalidResponse)
        assert reason in sink.error.message
        assert "print(f(" in sink.error.message
        assert not sink.of("finish")

    def test_a_failures_own_chunk_still_says_what_was_used(self):
        usage = {"promptTokenCount": 7, "candidatesTokenCount": 3}
        sink = decode(
            chunk(candidate(text("가"))),
            chunk({"finishReason": "MALFORMED_FUNCTION_CALL"}, usageMetadata=usage),
        )
        assert [call[0] for call in sink.calls] == ["head", "text", "usage", "fail"]
        assert sink.of("usage") == [("usage", Usage(7, 3))]

    def test_nothing_comes_after_a_failure(self):
        failed = chunk({"finishReason": "MALFORMED_FUNCTION_CALL"}, candidate(text("나"), index=1))
        more = chunk(candidate(text("가"), finishReason="STOP"), usageMetadata={})
        sink = decode(failed, more, {"error": {"code": 500}}, STOP)
        assert [call[0] for call in sink.calls] == ["head", "fail"]

    def test_a_repeated_reason_counts_once(self):
        sink = decode(STOP, STOP)
        assert sink.of("finish", "end") == [("finish", 0, "stop"), ("end",)]

    def test_no_reason_is_a_cut(self):
        sink = decode(chunk(candidate(text("반쯤"))))
        assert isinstance(sink.error, ProviderCutOff)
        assert sink.said("content") == "반쯤"

    def test_one_unfinished_choice_is_a_cut(self):
        sink = decode(
            chunk(candidate(text("a"), index=0, finishReason="STOP"), candidate(text("b"), index=1))
        )
        assert isinstance(sink.error, ProviderCutOff)

    @pytest.mark.parametrize("chunks", [[], [{"usageMetadata": {"promptTokenCount": 1}}]])
    def test_nothing_is_a_cut(self, chunks: list[Any]):
        assert isinstance(decode(*chunks).error, ProviderCutOff)

    def test_done_is_tolerated(self):
        sink = decode(STOP, b"[DONE]")
        assert sink.of("end", "fail") == [("end",)]

    def test_done_in_the_middle_is_a_cut(self):
        assert isinstance(decode(chunk(candidate(text("a"))), b"[DONE]").error, ProviderCutOff)

    def test_blocked_prompt(self):
        sink = decode(
            {
                "promptFeedback": {
                    "blockReason": "PROHIBITED_CONTENT",
                    "blockReasonMessage": "차단",
                },
                "usageMetadata": {"promptTokenCount": 4},
                "modelVersion": "gemini-x",
            }
        )
        refusal = "Google blocked the prompt: PROHIBITED_CONTENT. 차단"
        assert sink.calls == [
            ("head", "gemini-x", None, None),
            ("usage", Usage(4, 0)),
            ("delta", 0, {"refusal": refusal}, None),
            ("finish", 0, "content_filter"),
            ("end",),
        ]

    def test_prompt_blocked_while_the_answer_runs(self):
        sink = decode(
            chunk(
                candidate(text("a"), index=0, finishReason="STOP"), candidate(text("b"), index=1)
            ),
            {"promptFeedback": {"blockReason": "OTHER"}},
        )
        assert sink.of("finish", "end") == [
            ("finish", 0, "stop"),
            ("finish", 1, "content_filter"),
            ("end",),
        ]

    def test_feedback_beside_candidates_blocks_nothing(self):
        sink = decode(
            chunk(
                candidate(text("a"), finishReason="STOP"),
                promptFeedback={"blockReason": "SAFETY"},
            )
        )
        assert sink.of("finish") == [("finish", 0, "stop")]
        running = chunk(candidate(text("a")), promptFeedback={"blockReason": "SAFETY"})
        assert decode(running, STOP).of("finish", "delta") == [("finish", 0, "stop")]

    def test_error_inside_a_stream(self):
        sink = decode(
            chunk(candidate(text("a"))),
            {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}},
        )
        error = sink.error
        assert isinstance(error, ProviderRejected)
        assert (error.http_status, error.code, error.message) == (503, "UNAVAILABLE", "overloaded")

    def test_error_in_an_array_inside_a_stream(self):
        sink = decode([{"error": {"code": 403, "message": "no"}}])
        assert isinstance(sink.error, ProviderAuthFailed)

    @pytest.mark.parametrize(
        "data",
        [b"", b"{", b"<html>", b"\xff", b'"text"', b"1", b"null", b'{"candidates":{}}', b"[1]"],
    )
    def test_garbage(self, data: bytes):
        with pytest.raises(ProviderInvalidResponse):
            decode(data)
        with pytest.raises(ProviderInvalidResponse):
            GeminiDecoder(RecordingSink(), "asked", api_key="key").body(data)


class TestBody:
    def body(self, value: Any) -> RecordingSink:
        sink = RecordingSink()
        decoder = GeminiDecoder(sink, "asked", api_key="key")
        decoder.body(json.dumps(value, indent=2).encode())
        decoder.eof()  # says nothing more
        return sink

    def test_object(self):
        sink = self.body(chunk(candidate(text("안녕"), finishReason="STOP")))
        assert sink.calls == [
            ("head", "gemini-x", None, None),
            ("text", "안녕"),
            ("finish", 0, "stop"),
            ("end",),
        ]

    def test_arguments_are_compact_whatever_the_layout(self):
        part = {"functionCall": {"name": "f", "args": {"a": [1, {"b": "c d"}]}}}
        [(_, _, delta, _)] = self.body(chunk(candidate(part, finishReason="STOP"))).of("delta")
        assert delta["tool_calls"][0]["function"]["arguments"] == '{"a":[1,{"b":"c d"}]}'

    def test_array(self):
        sink = self.body([chunk(candidate(text("a"))), STOP])
        assert sink.of("text", "finish", "end") == [("text", "a"), ("finish", 0, "stop"), ("end",)]

    def test_blocked(self):
        sink = self.body({"promptFeedback": {"blockReason": "SAFETY"}})
        assert sink.calls[-2:] == [("finish", 0, "content_filter"), ("end",)]

    def test_unfinished(self):
        assert isinstance(self.body(chunk(candidate(text("a")))).error, ProviderCutOff)

    def test_error(self):
        assert isinstance(self.body({"error": {"code": 500}}).error, ProviderRejected)

    @pytest.mark.parametrize("value", [{}, [], {"foo": 1}])
    def test_no_answer_at_all(self, value: Any):
        with pytest.raises(ProviderInvalidResponse):
            self.body(value)


class TestSurrogates:
    def test_halves_of_two_events_are_joined(self):
        sink = decode(
            b'{"candidates":[{"content":{"parts":[{"text":"a\\ud83d"}]}}]}',
            b'{"candidates":[{"content":{"parts":[{"text":"\\ude00b"}]}}]}',
            STOP,
        )
        assert sink.said("content") == "a😀b"

    def test_a_half_that_stays_alone_is_replaced_before_the_finish(self):
        sink = decode(
            b'{"candidates":[{"content":{"parts":[{"text":"a\\ud83d"},'
            b'{"text":"t\\ud83d","thought":true}]}}]}',
            STOP,
        )
        assert sink.said("content") == "a\ufffd"
        assert sink.said("reasoning") == "t\ufffd"
        assert sink.calls[-2:] == [("finish", 0, "stop"), ("end",)]

    def test_halves_in_a_call(self):
        sink = decode(
            b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f",'
            b'"args":{"x":"\\ud83d"}}}]},"finishReason":"STOP"}]}'
        )
        [(_, _, delta, _)] = sink.of("delta")
        assert json.loads(delta["tool_calls"][0]["function"]["arguments"]) == {"x": "\ufffd"}

    @pytest.mark.parametrize(
        "written",
        [
            {"promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": "a\ud83d"}},
            {"error": {"code": 500, "message": "a\ud83d", "details": ["\ud83d"]}},
            chunk({"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": "a\ud83d"}),
            {"modelVersion": "a\ud83d"},
        ],
    )
    def test_half_a_character_outside_the_text_is_replaced(self, written: Any):
        sink = decode(written)
        said = repr([str(part) for call in sink.calls for part in call])
        assert "a\ufffd" in said
        assert "\\ud83d" not in said

    def test_numbers_as_strings_are_read_too(self):
        sink = decode(
            b'{"candidates":[{"content":{"parts":[{"text":"a"}]},"index":"0","finishReason":"STOP"}],'
            b'"usageMetadata":{"promptTokenCount":"3"}}'
        )
        assert sink.of("text", "usage") == [("text", "a"), ("usage", Usage(3, 0))]


_alphabet = st.sampled_from(["a", "가", "힣", "한", "😀", "👨\u200d👩", "é", '"', "\\", "\n"])
_pieces = st.lists(st.tuples(st.booleans(), st.lists(_alphabet, max_size=4).map("".join)))


@given(_pieces)
def test_text_arrives_whole_however_it_is_cut(pieces: list[tuple[bool, str]]):
    chunks = [chunk(candidate(text(value, thought=thought))) for thought, value in pieces]
    sink = decode(*chunks, STOP)
    assert sink.said("content") == "".join(value for thought, value in pieces if not thought)
    assert sink.said("reasoning") == "".join(value for thought, value in pieces if thought)
    assert sink.calls[-2:] == [("finish", 0, "stop"), ("end",)]


@given(st.lists(_alphabet, max_size=12).map("".join), st.data())
def test_text_cut_between_utf16_units_arrives_whole(value: str, data: st.DataObject):
    units = value.encode("utf-16-le")
    count = len(units) // 2
    cuts = sorted(data.draw(st.sets(st.integers(0, count), max_size=4)) | {0, count})
    chunks = []
    for start, stop in itertools.pairwise(cuts):
        piece = units[start * 2 : stop * 2].decode("utf-16-le", "surrogatepass")
        chunks.append(json.dumps(chunk(candidate(text(piece)))).encode())
    assert decode(*chunks, STOP).said("content") == value


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "candidates",
                    "content",
                    "parts",
                    "text",
                    "functionCall",
                    "name",
                    "args",
                    "inlineData",
                    "finishReason",
                    "index",
                    "usageMetadata",
                    "promptTokenCount",
                    "promptFeedback",
                    "blockReason",
                    "error",
                    "logprobsResult",
                    "chosenCandidates",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(_json, max_size=4))
def test_any_json_ends_in_exactly_one_way(values: list[Any]):
    sink = RecordingSink()
    decoder = GeminiDecoder(sink, "asked", api_key="key")
    try:
        for value in values:
            decoder.event(json.dumps(value).encode())
    except ProviderInvalidResponse:
        return  # the transport ends it
    decoder.eof()
    assert len(sink.of("end", "fail")) == 1


def test_signatures_are_passed_on_untouched():
    signature = base64.b64encode(bytes(range(256))).decode()
    part = {"functionCall": {"name": "f"}, "thoughtSignature": signature}
    [(_, _, delta, _)] = decode(chunk(candidate(part)), STOP).of("delta")
    assert delta["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": signature}}
