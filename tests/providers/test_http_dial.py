"""Opening connections: refusals, TLS, proxies, and the one limit over all of it."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import trustme

from providers.http_fakes import (
    ANSWER,
    Peer,
    Scripted,
    event,
    finished,
    make_provider,
    sized,
    within,
)
from tokenferry.errors import ProviderError, ProviderTimeout, ProviderUnreachable
from tokenferry.providers import http_dial
from tokenferry.providers.http_dial import Destination, dial, make_tls_context
from tokenferry.providers.http_pool import ConnectionPool

SECRET = "비밀:pass@word"
QUOTED = "%EB%B9%84%EB%B0%80%3Apass%40word"


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(ca: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return str(path)


def server_tls(ca: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    ca.issue_cert(*names).configure_cert(context)
    return context


async def answer(peer: Peer) -> None:
    await peer.answer(ANSWER)
    await peer.gone()


async def hang_up(peer: Peer) -> None:
    """Do nothing: the connection is closed."""


async def stall(peer: Peer) -> None:
    """Read whatever comes until the client closes, and say nothing."""
    try:
        await within(peer.reader.read())
    except ConnectionError:
        return


class TestRefusals:
    async def test_refused(self, pool: ConnectionPool) -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        sink = await finished(make_provider(f"http://127.0.0.1:{port}", pool))
        assert isinstance(sink.error, ProviderUnreachable)
        assert sink.error.message == (
            f"fake: no connection to 127.0.0.1:{port}: Connection refused."
        )
        assert sink.terminals == ["fail"]

    async def test_impossible_name(self) -> None:
        to = Destination("fake", "a" * 64 + ".example", 80, None, None, 10)
        error = await dial(to, asyncio.Protocol())
        assert isinstance(error, ProviderUnreachable)

    async def test_unknown_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def refuse(*_: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(http_dial, "_establish", refuse)
        error = await dial(
            Destination("fake", "no.example", 80, None, None, 10), asyncio.Protocol()
        )
        assert str(error) == (
            "fake: no connection to no.example:80: "
            "its name cannot be resolved: Name or service not known."
        )

    async def test_unexpected_exception(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def fail(*_: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(http_dial, "_establish", fail)
        error = await dial(Destination("fake", "::1", 80, None, None, 10), asyncio.Protocol())
        assert str(error) == "fake: no connection to [::1]:80."
        assert len(caplog.records) == 1

    async def test_closed_before_the_request(self, pool: ConnectionPool) -> None:
        async with Scripted(hang_up) as server:
            sink = await finished(make_provider(server.url, pool))
        assert isinstance(sink.error, ProviderError)
        assert sink.terminals == ["fail"]

    async def test_timeout(self, pool: ConnectionPool) -> None:
        async with Scripted(stall) as server:
            url = f"https://localhost:{server.port}"
            sink = await finished(make_provider(url, pool, connect_timeout_s=0.05))
        assert isinstance(sink.error, ProviderTimeout)
        assert sink.error.message == (
            f"fake: no connection to localhost:{server.port} within 0.05 s."
        )


class TestTLS:
    async def test_trusted(self, pool: ConnectionPool, ca: trustme.CA, ca_file: str) -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(ANSWER)
            assert peer.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
            await peer.answer(ANSWER)

        async with Scripted(script, tls=server_tls(ca, "localhost")) as server:
            provider = make_provider(server.url, pool, ca_file=ca_file)
            assert (await finished(provider)).terminals == ["end"]
            assert (await finished(provider)).terminals == ["end"]
            assert server.connections == 1
            pool.close()

    async def test_unknown_authority(self, pool: ConnectionPool, ca: trustme.CA) -> None:
        async with Scripted(hang_up, tls=server_tls(ca, "localhost")) as server:
            sink = await finished(make_provider(server.url, pool))
        assert isinstance(sink.error, ProviderUnreachable)
        assert f"localhost:{server.port}: its certificate is not valid" in sink.error.message
        assert sink.terminals == ["fail"]

    async def test_wrong_name(self, pool: ConnectionPool, ca: trustme.CA, ca_file: str) -> None:
        async with Scripted(hang_up, tls=server_tls(ca, "other.example")) as server:
            sink = await finished(make_provider(server.url, pool, ca_file=ca_file))
        assert isinstance(sink.error, ProviderUnreachable)
        assert "its certificate is not valid: Hostname mismatch" in sink.error.message

    async def test_no_tls_at_the_other_end(self, pool: ConnectionPool) -> None:
        async def script(peer: Peer) -> None:
            peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await stall(peer)

        async with Scripted(script) as server:
            sink = await finished(make_provider(f"https://localhost:{server.port}", pool))
        assert isinstance(sink.error, ProviderUnreachable)
        assert "TLS failed" in sink.error.message

    async def test_cut_before_the_end_of_the_body(
        self, pool: ConnectionPool, ca: trustme.CA, ca_file: str
    ) -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(sized(event("하나") + event("둘"))[:-5])
            await peer.close()

        async with Scripted(script, tls=server_tls(ca, "localhost")) as server:
            sink = await finished(make_provider(server.url, pool, ca_file=ca_file))
        assert sink.texts == ["하나"]
        assert sink.terminals == ["fail"]

    def test_ca_file_that_is_none(self, tmp_path: Path) -> None:
        path = tmp_path / "ca.pem"
        with pytest.raises(ValueError, match="cannot be used: No such file"):
            make_tls_context(str(path))
        path.write_text("no certificate")
        with pytest.raises(ValueError, match="cannot be used"):
            make_tls_context(str(path))

    def test_certificates_are_verified(self) -> None:
        context = make_tls_context(None)
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname

    async def test_contexts_are_shared(self, pool: ConnectionPool, ca_file: str) -> None:
        assert pool.tls_context(None) is pool.tls_context(None)
        assert pool.tls_context(ca_file) is not pool.tls_context(None)


class TestProxy:
    @pytest_asyncio.fixture
    async def target(self, ca: trustme.CA) -> AsyncIterator[Scripted]:
        async with Scripted(answer, tls=server_tls(ca, "far.example")) as server:
            yield server

    async def test_tunnel(self, ca: trustme.CA, ca_file: str, target: Scripted) -> None:
        pool = ConnectionPool()
        heads: list[bytes] = []

        async def proxy(peer: Peer) -> None:
            heads.append(await peer.head())
            reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
            peer.send(b"HTTP/1.1 200 Connection established\r\nvia: proxy\r\n\r\n")
            await asyncio.gather(relay(peer.reader, writer), relay(reader, peer.writer))

        async with Scripted(proxy) as server:
            provider = make_provider(
                "https://far.example:8443/v1",
                pool,
                ca_file=ca_file,
                proxy_url=f"http://user:{QUOTED}@localhost:{server.port}",
            )
            assert (await finished(provider)).calls == [("text", "하나"), ("end", None)]
            pool.close()
            await within(pool.wait_closed())
        lines = heads[0].decode().split("\r\n")
        assert lines[0] == "CONNECT far.example:8443 HTTP/1.1"
        assert lines[1] == "host: far.example:8443"
        assert lines[2] == "proxy-authorization: Basic dXNlcjrruYTrsIA6cGFzc0B3b3Jk"
        assert lines[3:] == ["", ""]

    async def test_tunnel_to_an_untrusted_server(
        self, pool: ConnectionPool, ca: trustme.CA
    ) -> None:
        async def proxy(peer: Peer) -> None:
            await peer.head()
            await peer.writer.drain()
            peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
            reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
            await asyncio.gather(relay(peer.reader, writer), relay(reader, peer.writer))

        async with (
            Scripted(hang_up, tls=server_tls(ca, "far.example")) as target,
            Scripted(proxy) as server,
        ):
            proxy_url = f"http://localhost:{server.port}"
            sink = await finished(make_provider("https://far.example", pool, proxy_url=proxy_url))
        assert isinstance(sink.error, ProviderUnreachable)
        assert "its certificate is not valid" in sink.error.message

    @pytest.mark.parametrize(
        ("said", "reason"),
        [
            (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "it answered HTTP 407"),
            (b"HTTP/1.0 503 No\r\n\r\n", "it answered HTTP 503"),
            (b"SOCKS\r\n\r\n", "its answer is not HTTP"),
            (b"HTTP/1.1 200 OK\r\n\r\nx", "it sent data ahead of the tunnel"),
            (b"HTTP/1.1 200 OK\r\nx: " + b"y" * (16 << 10), "has no end within 16384 bytes"),
            (b"HTTP/1.1 200 OK\r\n", "it closed the connection"),
        ],
    )
    async def test_no_tunnel(self, pool: ConnectionPool, said: bytes, reason: str) -> None:
        async def proxy(peer: Peer) -> None:
            await peer.head()
            peer.send(said)
            if reason != "it closed the connection":
                await peer.gone()

        async with Scripted(proxy) as server:
            proxy_url = f"http://user:{QUOTED}@localhost:{server.port}"
            sink = await finished(make_provider("https://far.example", pool, proxy_url=proxy_url))
        assert isinstance(sink.error, ProviderUnreachable)
        assert sink.error.message.startswith(
            f"fake: no connection to far.example:443 through the proxy localhost:{server.port}: "
            "the proxy refused the tunnel: "
        )
        assert reason in sink.error.message
        for part in ("user", "pass", "비밀", "Basic"):
            assert part not in sink.error.message

    async def test_mute_proxy(self, pool: ConnectionPool) -> None:
        async with Scripted(stall) as server:
            proxy_url = f"http://localhost:{server.port}"
            provider = make_provider(
                "https://far.example", pool, proxy_url=proxy_url, connect_timeout_s=0.05
            )
            sink = await finished(provider)
        assert isinstance(sink.error, ProviderTimeout)

    async def test_absolute_form(
        self, pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def proxy(peer: Peer) -> None:
            heads.append(await peer.answer(ANSWER))
            heads.append(await peer.answer(ANSWER))

        heads: list[bytes] = []
        async with Scripted(proxy) as server:
            monkeypatch.setenv("http_proxy", f"http://user:{QUOTED}@localhost:{server.port}")
            monkeypatch.delenv("no_proxy", raising=False)
            monkeypatch.delenv("NO_PROXY", raising=False)
            provider = make_provider("http://far.example:8080/v1", pool, proxy_url="env")
            for _ in range(2):
                assert (await finished(provider)).terminals == ["end"]
            assert server.connections == 1
        lines = heads[1].decode().split("\r\n")
        assert lines[0] == "POST http://far.example:8080/v1/chat HTTP/1.1"
        assert "host: far.example:8080" in lines
        assert "proxy-authorization: Basic dXNlcjrruYTrsIA6cGFzc0B3b3Jk" in lines

    async def test_refused_proxy(self, pool: ConnectionPool) -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        proxy_url = f"http://user:{QUOTED}@127.0.0.1:{port}"
        for scheme in ("http", "https"):
            provider = make_provider(f"{scheme}://far.example", pool, proxy_url=proxy_url)
            sink = await finished(provider)
            assert f"through the proxy 127.0.0.1:{port}: Connection refused" in sink.error.message
            assert "pass" not in sink.error.message


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until either end is gone."""
    try:
        while data := await within(reader.read(1 << 16)):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        return
    finally:
        writer.close()
