"""One call: reading at every cut, timeouts, cancelling in every phase, draining."""

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.http_fakes import (
    CHUNKED,
    EVENTS_HEAD,
    LAST_CHUNK,
    FakeWire,
    Peer,
    RecordingSink,
    Scripted,
    asked,
    chunk,
    event,
    finished,
    make_provider,
    sized,
    start,
    within,
    zipped,
)
from tokenferry.errors import ProviderCutOff, ProviderTimeout
from tokenferry.providers.http_call import HttpCall
from tokenferry.providers.http_pool import ConnectionPool
from tokenferry.providers.http_request import HttpProviderSettings

TEXT = "안녕 👋🏽 bonjour"
EVENTS = event(TEXT) + event("[DONE]")
RESPONSES = {
    "chunked": CHUNKED + chunk(event(TEXT)) + chunk(event("[DONE]")) + LAST_CHUNK,
    "split across chunks": CHUNKED + chunk(EVENTS[:9]) + chunk(EVENTS[9:]) + LAST_CHUNK,
    "sized": sized(EVENTS),
    "compressed": zipped(EVENTS),
    "interim": b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + sized(EVENTS),
    "json": sized(TEXT.encode(), "application/json"),
    "error": sized(TEXT.encode(), "text/plain", "400 Bad Request"),
}


class FakeConnection:
    """Stands in for a pool's connection."""

    def __init__(self) -> None:
        self.is_reused = False
        self.written = b""
        self.fate = ""

    def write(self, data: bytes) -> None:
        self.written += data

    def give_back(self) -> None:
        self.fate += "given back"

    def close(self) -> None:
        self.fate += "closed"


class FakeLane:
    """Stands in for a pool's lane, with one connection that is ready."""

    def __init__(self) -> None:
        self.connection = FakeConnection()

    def open(self, exchange: HttpCall, *, fresh: bool = False) -> None:
        exchange.ready(self.connection)

    def withdraw(self, exchange: HttpCall) -> None:
        raise AssertionError("no call waits here")


def under_way(**settings: object) -> tuple[RecordingSink, HttpCall, FakeConnection]:
    sink, lane = RecordingSink(), FakeLane()
    limits = HttpProviderSettings("fake", "http://x", **settings)
    call = HttpCall(limits, lane, asked(sink, FakeWire(wants_done=True)), b"request")
    call.open()
    return sink, call, lane.connection


def read(*pieces: bytes) -> tuple[RecordingSink, FakeConnection]:
    sink, call, connection = under_way()
    for piece in pieces:
        call.received(piece)
    return sink, connection


@pytest.fixture(params=RESPONSES)
def response(request: pytest.FixtureRequest) -> bytes:
    return RESPONSES[request.param]


class TestReading:
    """Sans I/O: what is read does not depend on how it was cut."""

    async def test_at_once(self, response: bytes) -> None:
        sink, connection = read(response)
        assert TEXT in str(sink.calls[0])
        assert len(sink.terminals) == 1
        assert connection.fate == "given back"

    async def test_every_cut(self, response: bytes) -> None:
        whole = read(response)[0].calls
        for at in range(len(response)):
            sink, connection = read(response[:at], response[at:])
            assert repr(sink.calls) == repr(whole), at
            assert connection.fate == "given back", at

    async def test_byte_by_byte(self, response: bytes) -> None:
        sink, connection = read(*(response[at : at + 1] for at in range(len(response))))
        assert repr(sink.calls) == repr(read(response)[0].calls)
        assert connection.fate == "given back"

    async def test_lost_after_every_byte(self, response: bytes) -> None:
        for at in range(len(response)):
            for exc in (None, ConnectionResetError()):
                sink, call, _ = under_way()
                call.received(response[:at])
                call.lost(exc)
                assert sink.terminals == ["fail"], at
                assert "end" not in dict(sink.calls), at

    async def test_lost_without_a_length(self) -> None:
        """Only an orderly end is an end."""
        for exc, terminals in ((None, "end"), (ConnectionResetError(), "fail")):
            sink, call, _ = under_way()
            call.received(EVENTS_HEAD + b"\r\n" + EVENTS)
            call.lost(exc)
            assert sink.terminals == [terminals]

    async def test_nothing_is_heard_after_the_end(self) -> None:
        sink, call, connection = under_way()
        call.received(RESPONSES["sized"])
        calls = list(sink.calls)
        call.cancel()
        call.lost(None)
        call.refused(ProviderCutOff("late"))
        assert sink.calls == calls
        assert connection.fate == "given back"


@given(cuts=st.lists(st.integers(0, 300), max_size=12), name=st.sampled_from(sorted(RESPONSES)))
def test_any_cuts(cuts: list[int], name: str) -> None:
    response = RESPONSES[name]
    at = [0, *sorted(cut % len(response) for cut in cuts), len(response)]
    pieces = [response[a:b] for a, b in itertools.pairwise(at)]

    async def both() -> tuple[str, str]:
        return repr(read(response)[0].calls), repr(read(*pieces)[0].calls)

    whole, cut = asyncio.run(both())
    assert cut == whole


class TestTimeouts:
    async def test_first_byte(self, pool: ConnectionPool) -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            peer.send(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 20")  # is no head yet
            await peer.gone()

        async with Scripted(script) as server:
            sink = await finished(make_provider(server.url, pool, first_byte_timeout_s=0.02))
        assert isinstance(sink.error, ProviderTimeout)
        assert "no response to the request within 0.02 s" in sink.error.message
        assert sink.terminals == ["fail"]

    async def test_idle(self, pool: ConnectionPool) -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(CHUNKED, chunk(event("하나")))
            await peer.gone()

        async with Scripted(script) as server:
            sink = await finished(make_provider(server.url, pool, idle_timeout_s=0.02))
        assert sink.texts == ["하나"]
        assert isinstance(sink.error, ProviderTimeout)
        assert "silent: nothing within 0.02 s" in sink.error.message

    async def test_idle_error_is_still_the_error(self, pool: ConnectionPool) -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(sized(b"overloaded", "text/plain", "529 Overloaded")[:-4])
            await peer.gone()

        async with Scripted(script) as server:
            sink = await finished(make_provider(server.url, pool, idle_timeout_s=0.02))
        assert sink.error.http_status == 529

    @pytest.mark.parametrize("sign_of_life", [b": keep-alive\n\n", b"\n", event("둘")])
    async def test_signs_of_life(self, sign_of_life: bytes) -> None:
        """One timer, which looks again later when something was read meanwhile."""
        sink, call, connection = under_way(idle_timeout_s=10)
        clock = FakeClock()
        call._now = clock.time
        call.received(CHUNKED + chunk(event("하나")))
        clock.now_s = 6
        call.received(chunk(sign_of_life))
        first = call._timer
        clock.now_s = 10
        call._check_idle()
        assert sink.terminals == []
        assert call._timer is not first
        assert call._timer.when() == pytest.approx(call._loop.time() + 6, abs=1)
        clock.now_s = 15.9
        call._check_idle()
        assert sink.terminals == []
        clock.now_s = 16
        call._check_idle()
        assert isinstance(sink.error, ProviderTimeout)
        assert connection.fate == "closed"

    async def test_retry_stops_the_clock(self) -> None:
        """The first-byte timeout begins anew, when the request is written anew."""

        class DiallingLane(FakeLane):
            def open(self, exchange: HttpCall, *, fresh: bool = False) -> None:
                if not fresh:
                    super().open(exchange)

        lane = DiallingLane()
        lane.connection.is_reused = True
        call = HttpCall(HttpProviderSettings("fake", "http://x"), lane, asked(RecordingSink()), b"")
        call.open()
        assert call._timer is not None
        call.lost(None)
        assert call._timer is None
        call.ready(lane.connection)
        assert call._timer is not None
        lane.withdraw = lambda _: None
        call.cancel()

    async def test_no_timer_is_left(self) -> None:
        _, call, _ = under_way()
        timer = call._timer
        call.received(RESPONSES["chunked"])
        assert timer.cancelled()
        assert call._timer is None


class FakeClock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def time(self) -> float:
        return self.now_s


class TestCancel:
    """The server sees its socket close; the sink hears nothing more."""

    @pytest.mark.parametrize("on_cancel", ["close", "drain"])
    async def test_during_the_tls_handshake(self, pool: ConnectionPool, on_cancel: str) -> None:
        async def script(peer: Peer) -> None:
            assert await peer.reader.read(1 << 16)  # the whole ClientHello
            waiting.set()
            await peer.gone()

        waiting = asyncio.Event()
        async with Scripted(script) as server:
            url = f"https://localhost:{server.port}"
            sink, call = start(make_provider(url, pool, on_cancel=on_cancel))
            await within(waiting.wait())
            call.cancel()
            call.cancel()
        assert sink.calls == []

    async def test_at_once(self, pool: ConnectionPool) -> None:
        sink, call = start(make_provider("http://localhost:9", pool))
        call.cancel()
        await asyncio.sleep(0)
        assert sink.calls == []

    async def test_during_the_proxys_connect(self, pool: ConnectionPool) -> None:
        async def script(peer: Peer) -> None:
            assert (await peer.head()).startswith(b"CONNECT ")
            waiting.set()
            await peer.gone()

        waiting = asyncio.Event()
        async with Scripted(script) as server:
            proxy_url = f"http://localhost:{server.port}"
            sink, call = start(make_provider("https://far.example", pool, proxy_url=proxy_url))
            await within(waiting.wait())
            call.cancel()
        assert sink.calls == []

    @pytest.mark.parametrize("on_cancel", ["close", "drain"])
    @pytest.mark.parametrize("start_of_head", [b"", b"HTTP/1.1 200 OK\r\ncont"])
    async def test_before_the_head(
        self, pool: ConnectionPool, on_cancel: str, start_of_head: bytes
    ) -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(start_of_head)
            waiting.set()
            await peer.gone()

        waiting = asyncio.Event()
        async with Scripted(script) as server:
            sink, call = start(make_provider(server.url, pool, on_cancel=on_cancel))
            await within(waiting.wait())
            call.cancel()
        assert sink.calls == []

    async def test_within_the_body(self, pool: ConnectionPool) -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(CHUNKED, chunk(event("하나")))
            await peer.gone()

        async with Scripted(script) as server:
            sink, call = start(make_provider(server.url, pool))
            await within(sink.heard.wait())
            call.cancel()
            call.cancel()
        assert sink.calls == [("text", "하나")]

    @pytest.mark.parametrize(
        "response", [CHUNKED + chunk(event("하나") * 3), zipped(event("하나") * 3)]
    )
    async def test_from_within_the_sink(self, pool: ConnectionPool, response: bytes) -> None:
        """As when the balance is used up: the rest of what was read goes nowhere."""

        async def script(peer: Peer) -> None:
            await peer.answer(response, LAST_CHUNK if b"chunked" in response else b"")
            await peer.gone()

        async with Scripted(script) as server:
            sink = RecordingSink()
            sink, call = start(make_provider(server.url, pool))
            sink.on_text = lambda _: call.cancel()
            await within(sink.heard.wait())
        assert sink.calls == [("text", "하나")]

    async def test_after_the_end(self, pool: ConnectionPool) -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(sized(EVENTS))
            await peer.answer(sized(EVENTS))

        async with Scripted(script) as server:
            provider = make_provider(server.url, pool)
            sink, call = start(provider)
            await within(sink.over.wait())
            call.cancel()
            assert (await finished(provider)).terminals == ["end"]
            assert server.connections == 1
            assert sink.terminals == ["end"]

    async def test_from_within_the_end(self) -> None:
        class CancellingSink(RecordingSink):
            def end(self) -> None:
                super().end()
                call.cancel()

        lane, sink = FakeLane(), CancellingSink()
        call = HttpCall(HttpProviderSettings("fake", "http://x"), lane, asked(sink), b"")
        call.open()
        call.received(sized(EVENTS))
        assert sink.terminals == ["end"]
        assert lane.connection.fate == "given back"

    async def test_from_within_the_new_decoder(self) -> None:
        class CancellingWire(FakeWire):
            def decoder(self, *args):
                call.cancel()
                return super().decoder(*args)

        lane, sink = FakeLane(), RecordingSink()
        settings = HttpProviderSettings("fake", "http://x")
        call = HttpCall(settings, lane, asked(sink, CancellingWire()), b"")
        call.open()
        call.received(sized(EVENTS))
        assert sink.calls == []
        assert lane.connection.fate == "closed"


class TestDrain:
    async def test_to_the_end(self, pool: ConnectionPool) -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(CHUNKED, chunk(event("하나")))
            await within(cancelled.wait())
            peer.send(chunk(event("둘")), LAST_CHUNK)
            await peer.answer(sized(EVENTS))

        cancelled = asyncio.Event()
        async with Scripted(script) as server:
            provider = make_provider(server.url, pool, on_cancel="drain")
            sink, call = start(provider)
            await within(sink.heard.wait())
            call.cancel()
            call.cancel()
            cancelled.set()
            await within(sink.over.wait())
            assert sink.calls == [("text", "하나"), ("text", "둘"), ("end", None)]
            assert (await finished(provider)).terminals == ["end"]
            assert server.connections == 1

    async def test_time_limit(self, pool: ConnectionPool) -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(CHUNKED, chunk(event("하나")))
            await peer.gone()

        async with Scripted(script) as server:
            provider = make_provider(server.url, pool, on_cancel="drain", drain_timeout_s=0.02)
            sink, call = start(provider)
            await within(sink.heard.wait())
            call.cancel()
            await within(sink.over.wait())
        assert isinstance(sink.error, ProviderCutOff)
        assert sink.terminals == ["fail"]

    @pytest.mark.parametrize(("surplus", "fits"), [(-1, True), (0, True), (1, False)])
    async def test_bytes_limit(self, surplus: int, *, fits: bool) -> None:
        sink, call, connection = under_way(on_cancel="drain", drain_bytes_max=len(EVENTS))
        call.received(CHUNKED + chunk(b": thinking\n\n"))
        call.cancel()
        call.received(chunk(b"\n" * (surplus + 1) + EVENTS[:-1]) + LAST_CHUNK)
        assert connection.fate == ("given back" if fits else "closed")
        assert len(sink.terminals) == 1
        assert isinstance(sink.error, ProviderCutOff)  # the last event has no end here
        assert ("not read to the end" in sink.error.message) is not fits

    async def test_cut_while_draining(self) -> None:
        sink, call, _ = under_way(on_cancel="drain")
        call.received(CHUNKED)
        call.cancel()
        call.lost(None)
        assert sink.terminals == ["fail"]

    async def test_cancelled_from_within_the_sink(self) -> None:
        sink, call, connection = under_way(on_cancel="drain")
        sink.on_text = lambda _: call.cancel()
        call.received(RESPONSES["chunked"])
        assert sink.calls == [("text", TEXT), ("end", None)]
        assert connection.fate == "given back"


async def test_interrupt_is_not_swallowed() -> None:
    """Only an Exception is a call's own affair; Ctrl-C is the process's."""
    sink, call, _ = under_way()

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    sink.on_text = interrupt
    with pytest.raises(KeyboardInterrupt):
        call.received(RESPONSES["chunked"])


async def test_request_is_written_once_ready() -> None:
    _, call, connection = under_way()
    assert connection.written == b"request"
    call.cancel()
