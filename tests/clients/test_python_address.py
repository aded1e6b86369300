"""Base URLs as people write them."""

import pytest

from tokenferry_client.address import DEFAULT, parse
from tokenferry_client.errors import InvalidAddressError


@pytest.mark.parametrize(
    ("written", "websocket", "http", "other"),
    [
        (DEFAULT, "ws://127.0.0.1:8000/v1/stream", DEFAULT, "https://127.0.0.1:8000"),
        ("https://a.example", "wss://a.example/v1/stream", "https://a.example", "http://a.example"),
        ("wss://a.example/", "wss://a.example/v1/stream", "https://a.example", "http://a.example"),
        (" http://a:80/v1 ", "ws://a/v1/stream", "http://a", "https://a:80"),
        ("ws://a:81/v1/stream", "ws://a:81/v1/stream", "http://a:81", "https://a:81"),
        ("https://a/llm/v1/", "wss://a/llm/v1/stream", "https://a/llm", "http://a/llm"),
        ("http://[::1]:8000", "ws://[::1]:8000/v1/stream", "http://[::1]:8000", "https://[::1]:8000"),
    ],
)  # fmt: skip
def test_addresses(written: str, websocket: str, http: str, other: str) -> None:
    address = parse(written)
    assert address.websocket_url == websocket
    assert address.http_url == http
    if address.port not in (80, 443):
        assert address.other_scheme == other


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("localhost:8000", "http://localhost:8000"),
        ("", "http://"),
        ("ftp://a", "http:// or https://"),
        ("http://a:99999", "no address"),
        ("http://tf_key@a", "API key"),
        ("http://a/?key=b", "API key"),
    ],
)
def test_what_is_none(written: str, said: str) -> None:
    with pytest.raises(InvalidAddressError, match=said):
        parse(written)


@pytest.mark.parametrize("host", ["a..b", "a" * 64, "."])
def test_hosts_that_cannot_be(host: str) -> None:
    with pytest.raises(InvalidAddressError, match="no host"):
        parse(f"http://{host}:8000")
