"""The command that asks a server how its providers are; a thread plays the server."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tokenferry.cli.provider_commands import KEY_VARIABLE

ANSWER: dict[str, Any] = {
    "data": [
        {
            "name": "우리-vllm",
            "keys": [
                {"position": 1, "state": "limited", "rests_ms": 7_250},
                {"position": 2, "state": "ready", "rests_ms": 0},
            ],
            "limits": [
                {
                    "position": 1, "model": "qwen3", "kind": "requests", "limit": 60,
                    "remaining": 0, "reset_ms": 60_000, "hold_ms": 1_000,
                },
                {
                    "position": 2, "model": "qwen3", "kind": "tokens", "limit": None,
                    "remaining": 7, "reset_ms": 1_500, "hold_ms": 0,
                },
            ],
            "models": [
                {
                    "model": "qwen3", "state": "open", "opens_ms": 4_100, "calls": 12,
                    "failures": 9, "under_way": 1, "first_token_ms": None,
                    "last_error": "provider_timeout",
                },
                {
                    "model": "other", "state": "closed", "opens_ms": 0, "calls": 3, "failures": 0,
                    "under_way": 0, "first_token_ms": 240, "last_error": None,
                },
            ],
        }
    ]
}  # fmt: skip


class Server(HTTPServer):
    answer: tuple[int, bytes] = (200, b"")
    asked: tuple[str, str | None] = ("", None)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked = (self.path, self.headers["Authorization"])
        status, body = self.server.answer
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base's
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv(KEY_VARIABLE, "tf_key")
    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_port}/"


def test_models_and_resting_keys_are_shown(run, server: Server) -> None:
    server.answer = (200, json.dumps(ANSWER).encode())
    result = run("providers", "status", "--url", url(server))
    assert (result.code, result.err) == (0, "")
    assert server.asked == ("/v1/providers", "Bearer tf_key")
    header, first, second, key, _, *limits = result.out.splitlines()
    assert header.split()[:3] == ["PROVIDER", "MODEL", "STATE"]
    assert "left alone for 4.1 s" in first
    assert first.endswith("provider_timeout")
    assert second.split() == ["우리-vllm", "other", "ok", "3", "0", "0", "240", "ms", "-"]
    assert key == "Key 1 of 우리-vllm is limited and rests for 7.2 s."
    assert [line.split() for line in limits] == [
        ["PROVIDER", "KEY", "MODEL", "LEFT", "WHOLE", "IN", "HELD", "BACK"],
        ["우리-vllm", "1", "qwen3", "0", "of", "60", "requests", "60.0", "s", "1.0", "s"],
        ["우리-vllm", "2", "qwen3", "7", "of", "?", "tokens", "1.5", "s", "-"],
    ]


def test_where_no_limit_is_known_there_is_no_table_of_them(run, server: Server) -> None:
    [provider] = ANSWER["data"]
    server.answer = (200, json.dumps({"data": [provider | {"limits": []}]}).encode())
    result = run("providers", "status", "--url", url(server))
    assert result.code == 0
    assert len(result.out.splitlines()) == 4


def test_what_the_server_refuses_is_told_in_its_words(run, server: Server) -> None:
    server.answer = (403, b'{"error":{"message":"not yours"}}')
    result = run("providers", "status", "--url", url(server))
    assert (result.code, result.out) == (1, "")
    assert "HTTP 403: not yours" in result.err
    server.answer = (502, b"<html>")
    assert "HTTP 502" in run("providers", "status", "--url", url(server)).err


def test_an_answer_of_something_else(run, server: Server) -> None:
    server.answer = (200, b"<html>hello</html>")
    result = run("providers", "status", "--url", url(server))
    assert result.code == 1
    assert "is it a Tokenferry" in result.err


def test_nobody_there(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "tf_key")
    result = run("providers", "status", "--url", "http://127.0.0.1:9")
    assert result.code == 1
    assert "cannot be reached" in result.err


def test_without_a_key_or_with_another_kind_of_address(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert KEY_VARIABLE in run("providers", "status").err
    monkeypatch.setenv(KEY_VARIABLE, "tf_key")
    assert run("providers", "status", "--url", "file:///etc/passwd").code == 2


def test_the_address_is_that_of_the_configuration(run, server: Server, tmp_path) -> None:
    server.answer = (200, json.dumps({"data": []}).encode())
    config = tmp_path / "tokenferry.toml"
    config.write_text(f'[server]\nhost = "0.0.0.0"\nport = {server.server_port}\n')
    assert run("providers", "status").code == 0
    assert run("providers", "status", "--config", str(config)).code == 0
