"""The provider over real sockets: what is sent, and what becomes of every kind of answer."""

import asyncio
import gzip
import logging
import zlib

import pytest

from providers.http_fakes import (
    BODY,
    CHUNKED,
    EVENTS_HEAD,
    LAST_CHUNK,
    REQUEST,
    FakeWire,
    Peer,
    RecordingSink,
    Script,
    Scripted,
    chunk,
    event,
    finished,
    make_provider,
    sized,
    start,
    within,
    zipped,
)
from tokenferry.domain.capacity_headers import Capacity, Left
from tokenferry.errors import (
    InvalidRequest,
    ProviderCutOff,
    ProviderError,
    ProviderInvalidResponse,
    ProviderRejected,
)
from tokenferry.providers.http_pool import ConnectionPool

GREETING = "안녕하세요 👋🏽"


def answers(*parts: bytes) -> Script:
    """Return a script that answers one request and waits for the client to close."""

    async def script(peer: Peer) -> None:
        await peer.answer(*parts)
        await peer.gone()

    return script


def cuts(*parts: bytes) -> Script:
    """Return a script that answers one request and closes."""

    async def script(peer: Peer) -> None:
        await peer.answer(*parts)
        await peer.close()

    return script


async def ask(
    pool: ConnectionPool, script: Script, wire: FakeWire | None = None, **settings: object
) -> RecordingSink:
    async with Scripted(script) as server:
        sink = await finished(make_provider(server.url, pool, wire, **settings))
        pool.close()
    return sink


class TestRequest:
    async def test_bytes(self, pool: ConnectionPool) -> None:
        heads: list[bytes] = []
        bodies: list[bytes] = []

        async def script(peer: Peer) -> None:
            heads.append(await peer.head())
            bodies.append(await peer.reader.readexactly(len(BODY)))
            peer.send(sized(b""))

        async with Scripted(script) as server:
            provider = make_provider(server.url, pool, extra_headers=(("X-Team", "팀"),))
            await finished(provider)
            lines = heads[0].decode().split("\r\n")
            assert lines[0] == "POST /v1/chat HTTP/1.1"
            assert lines[1] == f"host: localhost:{server.port}"
        assert lines[-2:] == ["", ""]
        headers = dict(line.split(": ", 1) for line in lines[1:-2])
        assert headers["authorization"] == "Bearer 열쇠"
        assert headers["x-team"] == "팀"
        assert headers["accept-encoding"] == "identity"
        assert headers["content-type"] == "application/json"
        assert headers["content-length"] == str(len(BODY))
        assert bodies == [BODY]

    async def test_prepared_once_sent_twice(self, pool: ConnectionPool) -> None:
        async def script(peer: Peer) -> None:
            first = await peer.answer(sized(event("하나")))
            assert await peer.answer(sized(event("둘"))) == first

        async with Scripted(script) as server:
            prepared = make_provider(server.url, pool).prepare(REQUEST, "m")
            for text in ("하나", "둘"):
                sink = RecordingSink()
                prepared.start(sink)
                await within(sink.over.wait())
                assert sink.calls == [("text", text), ("end", None)]

    async def test_headers_of_one_call_are_not_the_next_ones(self, pool: ConnectionPool) -> None:
        heads: list[bytes] = []

        async def script(peer: Peer) -> None:
            for _ in range(2):
                heads.append(await peer.head())
                await peer.reader.readexactly(len(BODY))
                peer.send(sized(event("네")))

        async with Scripted(script) as server:
            prepared = make_provider(server.url, pool).prepare(REQUEST, "m")
            for headers in ((("traceparent", "00-1"),), ()):
                sink = RecordingSink()
                prepared.start(sink, 0, headers)
                await within(sink.over.wait())
        assert b"\r\ntraceparent: 00-1\r\n" in heads[0]
        assert heads[1] == heads[0].replace(b"traceparent: 00-1\r\n", b"")

    async def test_what_is_said_of_limits_is_heard_with_provider_model_and_key(
        self, pool: ConnectionPool
    ) -> None:
        heard: list[tuple[object, ...]] = []

        async def script(peer: Peer) -> None:
            said = b"x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 2s\r\n"
            await peer.answer(sized(event("네")).replace(b"\r\n", b"\r\n" + said, 1))

        async with Scripted(script) as server:
            provider = make_provider(server.url, pool)
            provider.heard = lambda *said: heard.append(said)
            assert (await finished(provider)).calls[0] == ("text", "네")
        assert heard == [(provider.name, "m", 0, Capacity(Left(0, 0, 2_000), None))]

    async def test_model_that_is_no_path(self, pool: ConnectionPool) -> None:
        wire = FakeWire()
        wire.path = "/models/a b:generate"
        with pytest.raises(InvalidRequest) as caught:
            make_provider("http://localhost/v1", pool, wire).prepare(REQUEST, "a b")
        assert caught.value.param == "model"

    async def test_large_body_that_is_answered_early(self, pool: ConnectionPool) -> None:
        """The connection still has bytes to send, so that it must not be used again."""
        wire = FakeWire(body=b" " * (16 << 20))

        async def too_large(peer: Peer) -> None:
            await peer.head()
            peer.send(sized(b"too large", "text/plain", "413 Payload Too Large"))
            await closed

        closed = asyncio.get_running_loop().create_future()
        async with Scripted(too_large, answers(sized(event("하나")))) as server:
            provider = make_provider(server.url, pool, wire)
            sink = await finished(provider)
            assert sink.error.http_status == 413
            wire.request_body = BODY
            assert (await finished(provider)).texts == ["하나"]
            assert server.connections == 2
            closed.set_result(None)
            pool.close()


class TestAnswer:
    async def test_chunked_events(self, pool: ConnectionPool) -> None:
        script = answers(CHUNKED, chunk(event(GREETING)), chunk(event("[DONE]")), LAST_CHUNK)
        sink = await ask(pool, script, FakeWire(wants_done=True))
        assert sink.calls == [("text", GREETING), ("end", None)]

    async def test_each_event_arrives_at_once(self, pool: ConnectionPool) -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(CHUNKED)
            for text in ("하나", "둘", "셋"):
                peer.send(chunk(event(text)))
                await within(sink.heard.wait())
                sink.heard.clear()
                assert sink.texts[-1] == text
            peer.send(LAST_CHUNK)

        async with Scripted(script) as server:
            sink, _ = start(make_provider(server.url, pool))
            await within(sink.over.wait())
        assert sink.terminals == ["end"]

    async def test_comments_and_blank_lines(self, pool: ConnectionPool) -> None:
        body = b": keep-alive\n\n\n\n" + event("하나") + b": keep-alive\n\n"
        sink = await ask(pool, answers(sized(body)))
        assert sink.calls == [("text", "하나"), ("end", None)]

    async def test_json_to_a_streaming_request(self, pool: ConnectionPool) -> None:
        sink = await ask(pool, answers(sized(b'\n\n{"a":1}', "application/json")))
        assert sink.calls == [("text", 'body \n\n{"a":1}'), ("end", None)]

    @pytest.mark.parametrize("content_type", ["application/vnd.x+json; charset=utf-8", "text/json"])
    async def test_json_by_other_names(self, pool: ConnectionPool, content_type: str) -> None:
        sink = await ask(pool, answers(sized(b"{}", content_type)))
        assert sink.texts == ["body {}"]

    @pytest.mark.parametrize(
        ("body", "text"),
        [(b' \r\n{"a":1}', 'body {"a":1}'), (b"[1]", "body [1]"), (event("하나"), "하나")],
    )
    async def test_no_content_type(self, pool: ConnectionPool, body: bytes, text: str) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body)
        sink = await ask(pool, answers(head, body))
        assert sink.calls == [("text", text), ("end", None)]

    @pytest.mark.parametrize("status", ["200 OK", "204 No Content"])
    async def test_nothing_at_all(self, pool: ConnectionPool, status: str) -> None:
        sink = await ask(pool, answers(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n".encode()))
        assert isinstance(sink.error, ProviderInvalidResponse)
        assert "empty" in sink.error.message

    async def test_body_that_ends_by_close(self, pool: ConnectionPool) -> None:
        sink = await ask(pool, cuts(EVENTS_HEAD, b"\r\n", event("하나"), event("둘")))
        assert sink.calls == [("text", "하나"), ("text", "둘"), ("end", None)]

    async def test_interim_responses(self, pool: ConnectionPool) -> None:
        interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
        sink = await ask(pool, answers(interim, sized(event("하나"))))
        assert sink.calls == [("text", "하나"), ("end", None)]

    async def test_trailers(self, pool: ConnectionPool) -> None:
        trailers = b"content-type: text/html\r\n" * 300
        parts = (CHUNKED, chunk(event("하나")), b"0\r\n" + trailers + b"\r\n")
        sink = await ask(pool, answers(*parts))
        assert sink.calls == [("text", "하나"), ("end", None)]

    @pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate"])
    async def test_compressed(self, pool: ConnectionPool, encoding: str) -> None:
        compress = zlib.compress if encoding == "deflate" else gzip.compress
        body = compress(event(GREETING) * 20_000)
        head = EVENTS_HEAD + f"content-encoding: {encoding}\r\n".encode()
        sink = await ask(pool, answers(head, b"content-length: %d\r\n\r\n" % len(body), body))
        assert sink.texts == [GREETING] * 20_000
        assert sink.terminals == ["end"]

    async def test_compression_bomb(self, pool: ConnectionPool) -> None:
        script = answers(zipped(b": keep-alive\n" * 1_000_000))
        sink = await ask(pool, script, body_bytes_max=1_000_000)
        assert isinstance(sink.error, ProviderInvalidResponse)
        assert "1000000 bytes" in sink.error.message


class TestCut:
    """A cut is told as a cut, wherever it happens."""

    async def test_at_every_byte(self, pool: ConnectionPool) -> None:
        response = CHUNKED + chunk(event(GREETING)) + chunk(event("끝")) + LAST_CHUNK
        scripts = [cuts(response[:at]) for at in range(len(response))]
        async with Scripted(*scripts) as server:
            provider = make_provider(server.url, pool)
            for at in range(len(response)):
                sink = await finished(provider)
                assert isinstance(sink.error, ProviderCutOff), at
                assert sink.terminals == ["fail"], at
                assert sink.texts in ([], [GREETING], [GREETING, "끝"]), at
            assert server.connections == len(response)

    async def test_content_length_not_reached(self, pool: ConnectionPool) -> None:
        sink = await ask(pool, cuts(sized(event("하나"))[:-1]))
        assert isinstance(sink.error, ProviderCutOff)

    async def test_clean_end_is_for_the_decoder_to_judge(self, pool: ConnectionPool) -> None:
        script = answers(CHUNKED, chunk(event("하나")), LAST_CHUNK)
        sink = await ask(pool, script, FakeWire(wants_done=True))
        assert sink.error.message == "No finish reason."
        assert sink.terminals == ["fail"]


class TestInvalid:
    @pytest.mark.parametrize(
        "garbage",
        [
            b"\x15\x03\x03\x00\x02\x02\x50",
            b"SSH-2.0-OpenSSH_9.9\r\n",
            b"HTTP/1.1 2OO OK\r\n\r\n",
            b"HTTP/1.1 600 What\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
            CHUNKED + b"zz\r\n",
        ],
    )
    async def test_not_http(self, pool: ConnectionPool, garbage: bytes) -> None:
        sink = await ask(pool, answers(garbage))
        assert isinstance(sink.error, ProviderInvalidResponse)
        assert sink.terminals == ["fail"]

    async def test_html(self, pool: ConnectionPool) -> None:
        page = ("<html>\n\n <h1>환영합니다</h1>" + "가" * 5000).encode()
        sink = await ask(pool, answers(sized(page, "text/html")))
        assert isinstance(sink.error, ProviderInvalidResponse)
        assert "text/html" in sink.error.message
        assert sink.error.message.endswith("<html> <h1>환영합니다</h1>" + "가" * 179 + ".")

    async def test_html_that_is_cut(self, pool: ConnectionPool) -> None:
        sink = await ask(pool, cuts(sized(b"<html>", "text/html")[:-1]))
        assert "It begins: <html." in sink.error.message

    @pytest.mark.parametrize("encoding", ["br", "gzip, gzip"])
    async def test_unknown_encoding(self, pool: ConnectionPool, encoding: str) -> None:
        head = EVENTS_HEAD + f"content-encoding: {encoding}\r\ncontent-length: 1\r\n\r\n".encode()
        sink = await ask(pool, answers(head, b"x"))
        assert isinstance(sink.error, ProviderInvalidResponse)
        assert encoding in sink.error.message

    async def test_corrupt_compression(self, pool: ConnectionPool) -> None:
        head = EVENTS_HEAD + b"content-encoding: gzip\r\ncontent-length: 5\r\n\r\n"
        sink = await ask(pool, answers(head, b"plain"))
        assert "corrupt" in sink.error.message

    @pytest.mark.parametrize(
        ("location", "said"),
        [
            (b"location: https://user:pass@login.example/x?token=1\r\n", "the host login.example"),
            (b"location: /v2/chat\r\n", "a redirect,"),
            (b"location: http://[\r\n", "a redirect,"),
            (b"", "a redirect,"),
        ],
    )
    async def test_redirect(self, pool: ConnectionPool, location: bytes, said: str) -> None:
        head = b"HTTP/1.1 307 Temporary Redirect\r\n" + location + b"content-length: 0\r\n\r\n"
        sink = await ask(pool, answers(head))
        assert isinstance(sink.error, ProviderInvalidResponse)
        assert "HTTP 307" in sink.error.message
        assert said in sink.error.message
        assert "pass" not in sink.error.message

    async def test_event_with_a_picture(self, pool: ConnectionPool) -> None:
        """What models draw comes as one event: a few megabytes."""
        picture = "x" * (8 << 20)
        sink = await ask(pool, answers(sized(event(picture))))
        assert sink.calls == [("text", picture), ("end", None)]

    @pytest.mark.parametrize(("surplus", "fits"), [(0, True), (1, False)])
    async def test_event_limit(self, pool: ConnectionPool, surplus: int, *, fits: bool) -> None:
        data = "x" * (1000 - len(event("")) + surplus)
        sink = await ask(pool, answers(sized(event(data))), body_bytes_max=1000)
        assert sink.terminals == ["end" if fits else "fail"]
        assert fits or isinstance(sink.error, ProviderInvalidResponse)

    @pytest.mark.parametrize(("surplus", "fits"), [(-1, True), (0, True), (1, False)])
    async def test_json_body_limit(self, pool: ConnectionPool, surplus: int, *, fits: bool) -> None:
        body = b"{" + b" " * (998 + surplus) + b"}"
        sink = await ask(pool, answers(sized(body, "application/json")), body_bytes_max=1000)
        assert sink.terminals == ["end" if fits else "fail"]

    async def test_endless_head(self, pool: ConnectionPool) -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(b"HTTP/1.1 200 OK\r\nx-y: ")
            await endless(peer)

        sink = await ask(pool, script)
        assert "too large" in sink.error.message

    async def test_endless_trailer(self, pool: ConnectionPool) -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(CHUNKED, chunk(event("하나")), b"0\r\nx-y: ")
            await endless(peer)

        sink = await ask(pool, script)
        assert sink.texts == ["하나"]
        assert "too large" in sink.error.message

    @pytest.mark.parametrize(("count", "fits"), [(255, True), (256, True), (257, False)])
    async def test_header_count(self, pool: ConnectionPool, count: int, *, fits: bool) -> None:
        filler = b"".join(b"x-%d: y\r\n" % i for i in range(count - 2))
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n"
        sink = await ask(pool, answers(head, filler, b"\r\n{}"))
        assert sink.terminals == ["end" if fits else "fail"]


async def endless(peer: Peer) -> None:
    """Send until the client has had enough."""
    try:
        while True:
            peer.send(b"z" * 10_000)
            await within(peer.writer.drain())
    except ConnectionError:
        return


class TestError:
    async def test_status_headers_and_body_reach_the_wire_format(
        self, pool: ConnectionPool
    ) -> None:
        wire = FakeWire()
        head = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nX-A: 1\r\nx-a: 2\r\n"
        body = '{"error":{"message":"천천히"}}'.encode()
        script = answers(head, b"X-Empty:\r\ncontent-length: %d\r\n\r\n" % len(body), body)
        sink = await ask(pool, script, wire)
        assert isinstance(sink.error, ProviderRejected)
        assert sink.error.http_status == 429
        ((status, headers, got),) = wire.errors
        assert (status, got) == (429, body)
        assert headers["retry-after"] == "7"
        assert headers["x-a"] == "1, 2"
        assert headers["x-empty"] == ""

    async def test_cut_error_is_still_the_error(self, pool: ConnectionPool) -> None:
        script = cuts(sized(b"overloaded", "text/plain", "529 Overloaded")[:-4])
        sink = await ask(pool, script)
        assert (sink.error.http_status, sink.error.message) == (529, "overlo")

    @pytest.mark.parametrize("surplus", [-1, 0, 1])
    async def test_body_limit(self, pool: ConnectionPool, surplus: int) -> None:
        wire = FakeWire()
        body = b"x" * ((64 << 10) + surplus)
        sink = await ask(pool, answers(sized(body, "text/plain", "500 Oops")), wire)
        assert sink.error.http_status == 500
        assert wire.errors[-1][2] == body[: 64 << 10]

    @pytest.mark.parametrize(("encoding", "body"), [("br", b"??"), ("gzip", b"??")])
    async def test_unreadable_encoding_hides_no_status(
        self, pool: ConnectionPool, encoding: str, body: bytes
    ) -> None:
        head = f"HTTP/1.1 503 No\r\ncontent-encoding: {encoding}\r\ncontent-length: 2\r\n\r\n"
        sink = await ask(pool, answers(head.encode(), body))
        assert (sink.error.http_status, sink.error.message) == (503, "")

    async def test_compressed(self, pool: ConnectionPool) -> None:
        body = gzip.compress("과부하".encode())
        head = b"HTTP/1.1 503 No\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n"
        sink = await ask(pool, answers(head % len(body), body))
        assert sink.error.message == "과부하"

    async def test_connection_is_used_again(self, pool: ConnectionPool) -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(sized(b"wait", "text/plain", "429 Wait"))
            await peer.answer(sized(event("하나")))

        async with Scripted(script) as server:
            provider = make_provider(server.url, pool)
            assert (await finished(provider)).terminals == ["fail"]
            assert (await finished(provider)).terminals == ["end"]
            assert server.connections == 1


class TestDefects:
    """What goes wrong in a decoder or a sink ends one call and nothing else."""

    async def test_invalid_event(self, pool: ConnectionPool) -> None:
        sink = await ask(pool, answers(CHUNKED, chunk(event("하나") + event("invalid"))))
        assert sink.texts == ["하나"]
        assert sink.error.message == "This is not the dialect."
        assert sink.terminals == ["fail"]

    async def test_invalid_body(self, pool: ConnectionPool) -> None:
        sink = await ask(pool, answers(sized(b"{invalid}", "application/json")))
        assert sink.error.message == "This is not the dialect."

    async def test_defect_of_the_decoder(
        self, pool: ConnectionPool, caplog: pytest.LogCaptureFixture
    ) -> None:
        body = event("하나") + event("defect") + event("둘")
        sink = await ask(pool, answers(CHUNKED, chunk(body), LAST_CHUNK))
        assert sink.texts == ["하나"]
        assert type(sink.error) is ProviderError
        assert sink.terminals == ["fail"]
        (record,) = caplog.records
        assert record.exc_info is not None
        assert record.exc_info[0] is ZeroDivisionError

    async def test_defect_of_the_sink(
        self, pool: ConnectionPool, caplog: pytest.LogCaptureFixture
    ) -> None:
        class BrokenSink(RecordingSink):
            def fail(self, error: ProviderError) -> None:
                super().fail(error)
                raise ZeroDivisionError

        async with Scripted(answers(sized(b"no", "text/plain", "400 No"))) as server:
            sink = BrokenSink()
            make_provider(server.url, pool).prepare(REQUEST, "m").start(sink)
            await within(sink.over.wait())
            pool.close()
        assert sink.terminals == ["fail"]
        assert [record.levelno for record in caplog.records] == [logging.ERROR]

    async def test_defect_in_the_translation_of_an_error(
        self, pool: ConnectionPool, caplog: pytest.LogCaptureFixture
    ) -> None:
        class BrokenWire(FakeWire):
            def error(self, *_: object) -> ProviderError:
                raise ZeroDivisionError

        for script in (answers, cuts):
            pool_ = ConnectionPool()
            response = sized(b"no", "text/plain", "400 No")
            response = response if script is answers else response[:-1]
            sink = await ask(pool_, script(response), BrokenWire())
            assert type(sink.error) is ProviderError
        assert len(caplog.records) == 2
