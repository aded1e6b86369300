"""Which proxy to use; the tunnel itself is tested where connections are opened."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.providers.http_proxy import (
    Proxy,
    choose_proxy,
    is_bypassed,
    join_address,
    parse_proxy,
)


class TestParse:
    @pytest.mark.parametrize(
        ("url", "proxy"),
        [
            ("http://proxy.example:3128", Proxy("proxy.example", 3128)),
            ("http://proxy.example/", Proxy("proxy.example", 80)),
            ("proxy.example:3128", Proxy("proxy.example", 3128)),
            ("http://[::1]:3128", Proxy("::1", 3128)),
            ("http://me:pw@p:1", Proxy("p", 1, "Basic bWU6cHc=")),
            ("me:pw@p:1", Proxy("p", 1, "Basic bWU6cHc=")),
            ("http://me@p:1", Proxy("p", 1, "Basic bWU6")),
            ("http://a%40b:c%3Ad@p:1", Proxy("p", 1, "Basic YUBiOmM6ZA==")),
        ],
    )
    def test_accepted(self, url: str, proxy: Proxy) -> None:
        assert parse_proxy(url) == proxy

    @pytest.mark.parametrize(
        "url",
        [
            "https://me:s3cret@proxy.example",
            "socks5://me:s3cret@proxy.example",
            "http://me:s3cret@",
            "http://me:s3cret/x@proxy.example",
            "http://me:s3cret@proxy.example:70000",
            "http://me:s3cret@proxy.example/path",
            "http://me:s3cret@proxy.example?x=1",
            "http://me:s3cret@[proxy.example",
            "",
        ],
    )
    def test_refused_without_a_word_of_the_password(self, url: str) -> None:
        with pytest.raises(ValueError, match="a proxy's address must be") as caught:
            parse_proxy(url)
        assert "s3cret" not in repr(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None

    def test_repr_has_no_secret(self) -> None:
        assert "bWU6" not in repr(parse_proxy("http://me:pw@p:1"))

    def test_address(self) -> None:
        assert parse_proxy("http://me:pw@[::1]:8").address == "[::1]:8"
        assert join_address("a", 1) == "a:1"


class TestChoose:
    @pytest.mark.parametrize(
        ("scheme", "environ", "host"),
        [
            ("https", {"HTTPS_PROXY": "http://a"}, "a"),
            ("https", {"HTTP_PROXY": "http://a"}, None),
            ("http", {"HTTP_PROXY": "http://a"}, "a"),
            ("http", {"HTTPS_PROXY": "http://a"}, None),
            ("https", {"https_proxy": "http://b", "HTTPS_PROXY": "http://a"}, "b"),
            ("https", {"https_proxy": "", "HTTPS_PROXY": "http://a"}, "a"),
            ("https", {"ALL_PROXY": "http://c"}, "c"),
            ("http", {"all_proxy": "http://c", "http_proxy": "http://d"}, "d"),
            ("https", {"HTTPS_PROXY": " "}, None),
            ("https", {"HTTPS_PROXY": "http://a", "NO_PROXY": "api.example"}, None),
            ("https", {"HTTPS_PROXY": "http://a", "no_proxy": "x", "NO_PROXY": "*"}, "a"),
            ("https", {}, None),
        ],
    )
    def test_environment(self, scheme: str, environ: dict[str, str], host: str | None) -> None:
        proxy = choose_proxy("env", scheme=scheme, host="api.example", port=443, environ=environ)
        assert (proxy and proxy.host) == host

    def test_explicit(self) -> None:
        environ = {"HTTPS_PROXY": "http://a", "NO_PROXY": "*"}
        to = {"scheme": "https", "host": "api.example", "port": 443, "environ": environ}
        assert choose_proxy("http://b", **to) == Proxy("b", 80)
        assert choose_proxy(None, **to) is None


class TestBypass:
    @pytest.mark.parametrize(
        ("rules", "host", "bypassed"),
        [
            ("", "a.example", False),
            ("*", "a.example", True),
            ("a.example", "a.example", True),
            ("A.Example", "a.EXAMPLE.", True),
            ("example", "a.example", True),
            (".example", "a.example", True),
            ("*.example", "a.example", True),
            ("xample", "a.example", False),
            ("b.example, a.example", "a.example", True),
            ("b.example a.example", "a.example", True),
            (",,", "a.example", False),
            (".", "a.example", False),
            ("a.example:443", "a.example", True),
            ("a.example:80", "a.example", False),
            (".example:443", "a.example", True),
            ("10.0.0.1", "10.0.0.1", True),
            ("10.0.0.1", "10.0.0.10", False),
            ("10.0.0.0/8", "10.1.2.3", True),
            ("10.0.0.0/8", "11.1.2.3", False),
            ("10.1.2.3/8", "10.9.9.9", True),
            ("0.1", "10.0.0.1", False),
            ("::1", "::1", True),
            ("[::1]:443", "0:0::1", True),
            ("[::1]:80", "::1", False),
            ("[::1]", "::1", True),
            ("fd00::/8", "fd00::7", True),
            ("10.0.0.0/8", "fd00::7", False),
            ("localhost", "127.0.0.1", False),
        ],
    )
    def test_rules(self, rules: str, host: str, *, bypassed: bool) -> None:
        assert is_bypassed(rules, host, 443) is bypassed

    @given(st.text(), st.text(), st.integers(1, 65535))
    def test_any_text_is_read(self, rules: str, host: str, port: int) -> None:
        assert is_bypassed(rules, host, port) in (True, False)
        assert is_bypassed(f"{rules},*", host, port)
