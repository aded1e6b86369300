"""Bodies on their own, where sockets would not reach the edge."""

import gzip
import json
import os
import zlib

import pytest

from harness.dialects import KINDS, error_body, opening, token, unstreamed
from providers.http_fakes import REQUEST, FakeWire, RecordingSink, asked, event
from tokenferry.errors import (
    ProviderCutOff,
    ProviderInvalidResponse,
    ProviderRejected,
    ProviderUnreachable,
)
from tokenferry.providers.anthropic import AnthropicFormat
from tokenferry.providers.chat_completions import ChatCompletionsFormat
from tokenferry.providers.gemini import GeminiFormat
from tokenferry.providers.http_asked import Asked, Head
from tokenferry.providers.http_body import Body, EventsBody, open_body
from tokenferry.providers.wire import WireFormat

WIRES: dict[str, WireFormat] = {
    "openai": ChatCompletionsFormat(""),
    "anthropic": AnthropicFormat(""),
    "gemini": GeminiFormat(""),
}
# What stands in the errors themselves: a status, the type that means one, or nothing of the kind.
IN_BODY = {"openai": 502, "anthropic": 529, "gemini": 503}
each_kind = pytest.mark.parametrize("kind", KINDS)
TYPE = {"content-type": "text/event-stream"}
GZIP = {**TYPE, "content-encoding": "gzip"}


def body_of(
    sink: RecordingSink, headers: dict[str, str], *, status: int = 200, body_bytes_max: int = 999
) -> Body:
    return open_body(Head(status, headers), asked(sink, body_bytes_max=body_bytes_max))


class TestInflated:
    def test_several_members(self) -> None:
        sink = RecordingSink()
        body = body_of(sink, GZIP)
        body.feed(gzip.compress(event("하나")) + gzip.compress(event("둘")))
        body.feed(gzip.compress(event("셋")))
        body.end()
        assert sink.texts == ["하나", "둘", "셋"]

    @pytest.mark.parametrize("surplus", [-1, 0, 1])
    def test_output_of_a_full_step(self, surplus: int) -> None:
        """What zlib holds back when the output is full is fetched without more input."""
        text = os.urandom(5).hex() * 100_000
        text = text[: (64 << 10) - len(event("")) + surplus]
        sink = RecordingSink()
        body = body_of(sink, GZIP, body_bytes_max=1 << 20)
        compressor = zlib.compressobj(wbits=31)
        body.feed(compressor.compress(event(text)) + compressor.flush(zlib.Z_SYNC_FLUSH))
        assert sink.texts == [text]

    def test_any_beginning(self) -> None:
        """Even where the input ends within a repetition that zlib has not yet given out."""
        data = gzip.compress(b"\n" * (64 << 10) * 3)
        for at in range(len(data)):
            body = body_of(RecordingSink(), GZIP, body_bytes_max=1 << 20)
            body.feed(data[:at])
            whole = zlib.decompressobj(wbits=31).decompress(data[:at])
            assert body._room == (1 << 20) - len(whole), at

    def test_byte_by_byte(self) -> None:
        sink = RecordingSink()
        body = body_of(sink, GZIP)
        for byte in gzip.compress(event("안녕") * 3):
            body.feed(bytes([byte]))
        assert sink.texts == ["안녕"] * 3

    @pytest.mark.parametrize(("surplus", "fits"), [(-1, True), (0, True), (1, False)])
    def test_limit(self, surplus: int, *, fits: bool) -> None:
        sink = RecordingSink()
        body = body_of(sink, GZIP, body_bytes_max=100)
        data = gzip.compress(b"\n" * (100 + surplus))
        if fits:
            body.feed(data)
        else:
            with pytest.raises(ProviderInvalidResponse):
                body.feed(data)


class TestNoEventStream:
    """What is called an event stream and has other things in it."""

    @each_kind
    @pytest.mark.parametrize("headers", [TYPE, {}])
    @pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n\r\n"])
    def test_a_plain_error(self, kind: str, headers: dict[str, str], ending: bytes) -> None:
        data = error_body(kind, 503, "과부하입니다")
        for text in (data, json.dumps(json.loads(data), indent=2).encode()):
            for at in range(0, len(text), 7):
                sink = RecordingSink()
                body = open_body(Head(200, headers), Asked("p", WIRES[kind], REQUEST, sink, 999))
                body.feed(text[:at])
                body.feed(text[at:] + ending)
                assert body.end() is None
                assert isinstance(sink.error, ProviderRejected)
                assert "과부하입니다" in sink.error.message
                assert sink.error.http_status == IN_BODY[kind]

    @each_kind
    @pytest.mark.parametrize("before", [b": keep-alive\n\n", b"\r\n", b"\xef\xbb\xbf"])
    @pytest.mark.parametrize("after", [b"", b"\n\n", b"\n\n: bye\n\n"])
    def test_a_plain_error_between_lines_of_a_stream(
        self, kind: str, before: bytes, after: bytes
    ) -> None:
        sink = RecordingSink()
        body = open_body(Head(200, TYPE), Asked("p", WIRES[kind], REQUEST, sink, 999))
        body.feed(before + error_body(kind, 503, "과부하입니다") + after)
        if not sink.terminals:
            body.end()
        assert "과부하입니다" in sink.error.message
        assert sink.terminals == ["fail"]

    @each_kind
    def test_a_plain_error_after_events(self, kind: str) -> None:
        sink = RecordingSink()
        body = open_body(Head(200, TYPE), Asked("p", WIRES[kind], REQUEST, sink, 999))
        for part in [*opening(kind), token(kind, "하나"), token(kind, "둘"), token(kind, "셋")]:
            body.feed(part)
        body.feed(error_body(kind, 503, "과부하입니다"))
        assert sink.terminals == []
        body.end()
        assert sink.texts == ["하나", "둘", "셋"]
        assert "과부하입니다" in sink.error.message

    def test_an_array_with_an_error(self) -> None:
        sink = RecordingSink()
        body = open_body(Head(200, TYPE), Asked("p", WIRES["gemini"], REQUEST, sink, 999))
        body.feed(b"[" + error_body("gemini", 429, "나중에") + b"]")
        body.end()
        assert (sink.error.message, sink.error.http_status) == ("나중에", 429)

    @each_kind
    def test_a_whole_answer(self, kind: str) -> None:
        sink = RecordingSink()
        body = open_body(Head(200, TYPE), Asked("p", WIRES[kind], REQUEST, sink, 999))
        body.feed(unstreamed(kind, "네"))
        body.end()
        assert (sink.texts, sink.terminals) == (["네"], ["end"])

    @each_kind
    @pytest.mark.parametrize(
        "text",
        [
            "error: 과부하입니다",
            "<!doctype html>\r\n<title>과부하입니다</title>\r\n\r\n<p>{}</p>",
            "과부하입니다\n\n" + 2000 * "가",
        ],
    )
    def test_other_text_is_quoted(self, kind: str, text: str) -> None:
        sink = RecordingSink()
        body = open_body(Head(200, TYPE), Asked("p", WIRES[kind], REQUEST, sink, 9999))
        data = text.encode()
        body.feed(data[:9])
        body.feed(data[9:])
        with pytest.raises(ProviderInvalidResponse, match="과부하입니다") as caught:
            body.end()
        assert len(caught.value.message) < 400
        assert sink.calls == []

    @each_kind
    @pytest.mark.parametrize("rest", [b"", b": bye\n\n", b"data: {", b"and now text\n"])
    def test_a_stream_that_is_cut_off_stays_one(self, kind: str, rest: bytes) -> None:
        sink = RecordingSink()
        body = open_body(Head(200, TYPE), Asked("p", WIRES[kind], REQUEST, sink, 999))
        for part in [*opening(kind), token(kind, "하나"), rest]:
            body.feed(part)
        body.end()
        assert isinstance(sink.error, ProviderCutOff)


class TestStopped:
    @pytest.mark.parametrize("headers", [TYPE, {}])
    def test_within_a_chunk(self, headers: dict[str, str]) -> None:
        sink = RecordingSink()
        body = body_of(sink, headers)
        sink.on_text = lambda _: body.stop()
        body.feed(event("하나") + event("둘"))
        assert sink.texts == ["하나"]

    def test_inflating_stops(self) -> None:
        sink = RecordingSink()
        body = body_of(sink, GZIP, body_bytes_max=9 << 20)
        sink.on_text = lambda _: body.stop()
        body.feed(gzip.compress(event("하나") + b"\n" * (8 << 20)))
        assert body._room > 8 << 20

    def test_nothing_had_begun(self) -> None:
        sink = RecordingSink()
        for headers in ({}, {"content-type": "application/json"}, {"content-type": "text/html"}):
            body_of(sink, headers).stop()
        body_of(sink, {}, status=400).stop()
        body_of(sink, {"content-encoding": "br"}, status=400).stop()
        assert sink.calls == []


class TestExplain:
    @pytest.mark.parametrize("headers", [TYPE, {}, {"content-type": "application/json"}, GZIP])
    def test_break_is_the_error(self, headers: dict[str, str]) -> None:
        error = ProviderCutOff("cut")
        assert body_of(RecordingSink(), headers).explain(error) is error

    @pytest.mark.parametrize("encoding", ["", "gzip", "br"])
    def test_status_says_more(self, encoding: str) -> None:
        headers = {"content-encoding": encoding}
        body = body_of(RecordingSink(), headers, status=529)
        assert body.explain(ProviderCutOff("cut")).http_status == 529


@pytest.mark.parametrize(
    "content_type",
    [
        "text/event-stream",
        "Text/Event-Stream; charset=utf-8",
        " text/event-stream ",
        # Two headers, as of a server and of the proxy before it that adds its own.
        "text/event-stream; charset=utf-8, text/event-stream",
        "text/event-stream, text/event-stream",
    ],
)
def test_content_type_is_read_loosely(content_type: str) -> None:
    body = body_of(RecordingSink(), {"content-type": content_type})
    assert isinstance(body, EventsBody)


@pytest.mark.parametrize(
    ("status", "said"), [(300, "a redirect"), (399, "a redirect"), (199, "199"), (600, "600")]
)
def test_status_that_is_no_answer(status: int, said: str) -> None:
    with pytest.raises(ProviderInvalidResponse, match=said):
        body_of(RecordingSink(), TYPE, status=status)


class TestMislabelled:
    """Bodies of a type that is no answer's, which are one."""

    @pytest.mark.parametrize(
        "content_type", ["text/plain; charset=utf-8", "text/html", "application/octet-stream"]
    )
    @pytest.mark.parametrize(
        "start", ["", "\n\n", ": keep-alive\n\n", "event: message\n", "id: 1\n", "data:"]
    )
    def test_events(self, content_type: str, start: str) -> None:
        data = f"{start}{'' if start == 'data:' else 'data: '}하나\n\ndata: 둘\n\n".encode()
        for size in (1, len(data)):
            sink = RecordingSink()
            body = body_of(sink, {"content-type": content_type})
            for place in range(0, len(data), size):
                body.feed(data[place : place + size])
            assert body.end() is None
            assert sink.texts == ["하나", "둘"]
            assert sink.terminals == ["end"]

    def test_json(self) -> None:
        sink = RecordingSink()
        body = body_of(sink, {"content-type": "text/html"})
        body.feed(b' {"a"')
        body.feed(b":1}")
        body.end()
        assert sink.texts == ['body {"a":1}']

    @pytest.mark.parametrize("text", ["", "d", "dat", "data", "database is down", "<p>data: x</p>"])
    def test_what_is_none_is_refused(self, text: str) -> None:
        sink = RecordingSink()
        body = body_of(sink, {"content-type": "text/plain"})
        for place in range(len(text)):
            body.feed(text[place].encode())
        with pytest.raises(ProviderInvalidResponse, match="of type text/plain, not JSON"):
            body.end()
        assert isinstance(body.explain(ProviderCutOff("cut")), ProviderInvalidResponse)
        body.stop()
        assert sink.calls == []


def test_a_proxys_refusal_is_not_the_clients_affair() -> None:
    with pytest.raises(ProviderUnreachable, match="the proxy before it wants another credential"):
        body_of(RecordingSink(), TYPE, status=407)


@pytest.mark.parametrize("status", [400, 499, 500, 599])
def test_error_status(status: int) -> None:
    wire = FakeWire()
    body = open_body(Head(status, {"retry-after": "7"}), asked(RecordingSink(), wire))
    body.feed(b"words")
    error = body.end()
    assert error is not None
    assert error.http_status == status
    assert wire.errors == [(status, {"retry-after": "7"}, b"words")]
