"""Settings, base URLs and the bytes of a request."""

import pytest

from tokenferry.errors import InvalidRequest
from tokenferry.providers.http_proxy import Proxy
from tokenferry.providers.http_request import (
    HttpProviderSettings,
    Origin,
    RequestWriter,
    parse_base_url,
)
from tokenferry.providers.wire import WireRequest

ORIGIN = Origin("https", "api.example", 443, "/v1")


class TestBaseUrl:
    @pytest.mark.parametrize(
        ("url", "origin", "authority"),
        [
            ("https://api.example/v1", ORIGIN, "api.example"),
            ("https://api.example:443/v1/", ORIGIN, "api.example"),
            ("http://api.example", Origin("http", "api.example", 80, ""), "api.example"),
            ("http://API.example:443", Origin("http", "api.example", 443, ""), "api.example:443"),
            ("http://[::1]:8080/a/b", Origin("http", "::1", 8080, "/a/b"), "[::1]:8080"),
            (
                "https://한국.example",
                Origin("https", "xn--3e0b707e.example", 443, ""),
                "xn--3e0b707e.example",
            ),
        ],
    )
    def test_accepted(self, url: str, origin: Origin, authority: str) -> None:
        assert parse_base_url(url) == origin
        assert parse_base_url(url).authority == authority

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "api.example/v1",
            "ftp://api.example",
            "https://",
            "https:///v1",
            "https://me:s3cret@api.example",
            "https://api.example/v1?x=s3cret",
            "https://api.example/v1#x",
            "https://api.example:70000",
            "https://[api.example",
            "https://api.example/v 1",
            "https://api.example/버전",
            "https://한..example",
        ],
    )
    def test_refused(self, url: str) -> None:
        with pytest.raises(ValueError, match="base_url must be") as caught:
            parse_base_url(url)
        assert "s3cret" not in str(caught.value)


class TestSettings:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("base_url", "x"),
            ("connect_timeout_s", 0),
            ("first_byte_timeout_s", -1),
            ("idle_timeout_s", 0),
            ("place_timeout_s", 0),
            ("drain_timeout_s", 0),
            ("body_bytes_max", 0),
            ("connections_max", 0),
            ("line_max", -1),
            ("drain_bytes_max", -1),
            ("on_cancel", "wait"),
            ("extra_headers", (("Content-Length", "7"),)),
            ("extra_headers", (("accept-encoding", "br"),)),
            ("extra_headers", (("x y", "z"),)),
            ("extra_headers", (("x", "a\r\nb: c"),)),
        ],
    )
    def test_refused(self, name: str, value: object) -> None:
        values = {"name": "fake", "base_url": "http://a", name: value}
        with pytest.raises(ValueError, match=r"."):
            HttpProviderSettings(**values)

    def test_least(self) -> None:
        settings = HttpProviderSettings(
            "fake", "http://a", connections_max=1, line_max=0, drain_bytes_max=0, body_bytes_max=1
        )
        assert settings.line_max == 0

    def test_no_value_of_a_header_is_quoted(self) -> None:
        with pytest.raises(ValueError, match="x-key") as caught:
            HttpProviderSettings("fake", "http://a", extra_headers=(("x-key", "s3cret\n"),))
        assert "s3cret" not in str(caught.value)


def lines(written: bytes) -> list[str]:
    head, _, _ = written.partition(b"\r\n\r\n")
    return head.decode().split("\r\n")


class TestWriter:
    def test_headers_replace_each_other(self) -> None:
        writer = RequestWriter(ORIGIN, (("User-Agent", "mine"), ("Authorization", "mine")), None)
        request = WireRequest("/chat?x=1", b"{}", (("authorization", "theirs"), ("x-a", "1")))
        got = lines(writer.write(request))
        assert got[0] == "POST /v1/chat?x=1 HTTP/1.1"
        assert "user-agent: mine" in got
        assert "authorization: mine" in got
        assert "x-a: 1" in got
        assert not [line for line in got if "theirs" in line]
        assert got[-1] == "content-length: 2"

    def test_headers_that_change(self) -> None:
        writer = RequestWriter(ORIGIN, (), None)
        for value in ("1", "2", "1"):
            request = WireRequest("/chat", b"{}", (("x-a", value),))
            assert f"x-a: {value}" in lines(writer.write(request))

    def test_host_may_be_replaced(self) -> None:
        got = lines(RequestWriter(ORIGIN, (("Host", "b"),), None).write(WireRequest("/c", b"")))
        assert [line for line in got if line.startswith("host:")] == ["host: b"]

    def test_proxy_credentials_only_go_to_the_proxy(self) -> None:
        """Through a tunnel the provider itself would read them."""
        proxy = Proxy("p", 1, "Basic x")
        tunnelled = RequestWriter(ORIGIN, (), proxy).write(WireRequest("/c", b""))
        assert b"Basic" not in tunnelled
        assert tunnelled.startswith(b"POST /v1/c HTTP/1.1\r\n")
        plain = Origin("http", "a", 80, "")
        assert b"Basic x" in RequestWriter(plain, (), proxy).write(WireRequest("/c", b""))

    @pytest.mark.parametrize("path", ["chat", "", "/a b", "/a\r\nx: y", "/모델", "/a#b"])
    def test_path_that_is_none(self, path: str) -> None:
        with pytest.raises(InvalidRequest):
            RequestWriter(ORIGIN, (), None).write(WireRequest(path, b""))

    def test_header_with_a_line_end(self) -> None:
        writer = RequestWriter(ORIGIN, (), None)
        with pytest.raises(ValueError, match="x-key") as caught:
            writer.write(WireRequest("/c", b"", (("x-key", "s3cret\r\n"),)))
        assert "s3cret" not in str(caught.value)
