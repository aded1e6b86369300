"""Whoever asks for what is not there is told where to go."""

import pytest

from tokenferry.server.signposts import directions


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v1/responses", "client.chat.completions.create"),
        ("/v1/responses/resp_1", "The Responses API is not served here."),
        ("/v1/messages", "Claude's models answer at POST /v1/chat/completions."),
        ("/v1/embeddings", "Ask the provider itself"),
        ("/chat/completions", "The base URL ends with /v1."),
        ("/responses", "The base URL ends with /v1."),
        ("/models", "The base URL ends with /v1."),
        ("/v1/v1/chat/completions", "The base URL has /v1 twice."),
    ],
)
def test_directions(path, words):
    assert words in directions("POST", path)


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/v2/chat", "/favicon.png", "/v1/chat/x"])
def test_elsewhere_there_is_nothing_to_say(path):
    assert directions("GET", path) == f"There is nothing at GET {path}."


def test_a_long_path_is_cut():
    assert len(directions("GET", "/" + "x" * 10_000)) < 300
