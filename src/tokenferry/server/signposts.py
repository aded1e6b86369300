"""Where to go from an address at which there is nothing: SDKs ask for more than is served here."""

_CHAT = "POST /v1/chat/completions"
_ELSEWHERE = "Ask the provider itself, with a client of its own."
# By the path behind /v1.
_UNSERVED = {
    "responses": (
        "The Responses API is not served here. Use chat completions: in the `openai` package "
        "`client.chat.completions.create`, in the AI SDK `openai.chat(MODEL)`."
    ),
    "messages": f"Anthropic's Messages API is not served here. Claude's models answer at {_CHAT}.",
    "completions": f"The older completions are not served here. Use {_CHAT}.",
    "realtime": "The Realtime API is not served here. GET /v1/stream is this gateway's WebSocket.",
    "embeddings": f"Embeddings are not served here. {_ELSEWHERE}",
    "images": f"Images are not served here. {_ELSEWHERE}",
    "audio": f"Audio is not served here. {_ELSEWHERE}",
    "moderations": f"Moderations are not served here. {_ELSEWHERE}",
    "files": f"Files are not served here. {_ELSEWHERE}",
    "batches": f"Batches are not served here. {_ELSEWHERE}",
    "assistants": f"The Assistants API is not served here. Use {_CHAT}.",
    "threads": f"The Assistants API is not served here. Use {_CHAT}.",
}
# The first parts of what is served below /v1, and of what could be expected there.
_BELOW_V1 = frozenset(_UNSERVED) | {"chat", "models", "stream", "streams"}
_PATH_CHARACTERS_MAX = 200


def directions(method: str, path: str) -> str:
    """Return a sentence or two for whoever has asked for what is not there.

    Args:
        method: The request's method.
        path: Its path, without the query.
    """
    nothing = f"There is nothing at {method} {path[:_PATH_CHARACTERS_MAX]}."
    parts = path.strip("/").split("/")
    if parts[0] in _BELOW_V1:
        return f"{nothing} The base URL ends with /v1."
    if parts[:2] == ["v1", "v1"]:
        return f"{nothing} The base URL has /v1 twice."
    if parts[0] == "v1" and len(parts) > 1:
        return _UNSERVED.get(parts[1], nothing)
    return nothing
