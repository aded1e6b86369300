"""The client for asyncio.

    async with AsyncTokenferry() as client:
        async for chunk in client.stream(model="demo", messages=[...]):
            print(chunk.text, end="")

Weakness: a client belongs to the event loop in which its first stream began.
"""

import os
import ssl as tls
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, TypedDict

from tokenferry_client import address
from tokenferry_client.api_key import check as check_key
from tokenferry_client.events import Position
from tokenferry_client.feed import Feed
from tokenferry_client.models import AsyncModels
from tokenferry_client.request import fixed
from tokenferry_client.scope import AsyncScope
from tokenferry_client.session import Session
from tokenferry_client.session_options import SessionOptions
from tokenferry_client.streaming import AsyncStream

KEY_VARIABLE: Final = "TOKENFERRY_API_KEY"
URL_VARIABLE: Final = "TOKENFERRY_BASE_URL"


class ClientOptions(TypedDict, total=False):
    """What a client may be made with; `AsyncTokenferry` says what each means."""

    api_key: str | None
    base_url: str | None
    timeout: float
    max_retries: int
    max_wait: float
    queue_max: int
    reconnect_for: float
    connect_attempts: int
    ssl: tls.SSLContext | None


class AsyncTokenferry(AsyncScope):
    """A client of one gateway: one connection, and any number of streams over it.

    The connection is made when the first stream is wanted. When it is lost it is made again, and
    every stream goes on where it was.

    Args:
        api_key: The key; without it, `TOKENFERRY_API_KEY` is taken.
        base_url: Where the gateway is: http(s):// or ws(s)://. Without it, `TOKENFERRY_BASE_URL`
            is taken, and without that http://127.0.0.1:8000.
        timeout: Seconds that an attempt to connect, or a plain HTTP request, may take.
        max_retries: How often one request that a limit refuses waits and is asked again, in order
            of arrival. 0: never; the refusal is raised at once.
        max_wait: Seconds that one request may wait for that in all.
        queue_max: How many requests may wait.
        reconnect_for: Seconds after which a lost connection is given up.
        connect_attempts: How often the very first connection is tried, and one that a limit
            refuses, for requests that have not begun.
        ssl: Whom to trust, if not whom the system trusts.

    Raises:
        InvalidKeyError: If the key cannot be one; nothing is sent.
        InvalidAddressError: If the base URL is none.
    """

    def __init__(  # noqa: PLR0913 -- each is optional, and named by whoever gives it
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = 10.0,
        max_retries: int = 10,
        max_wait: float = 120.0,
        queue_max: int = 1000,
        reconnect_for: float = 300.0,
        connect_attempts: int = 3,
        ssl: tls.SSLContext | None = None,
    ) -> None:
        key = os.environ.get(KEY_VARIABLE, "").strip() if api_key is None else api_key
        check_key(key)
        where = address.parse(base_url or os.environ.get(URL_VARIABLE) or address.DEFAULT)
        options = SessionOptions(
            timeout, connect_attempts, reconnect_for, max_retries, queue_max, max_wait, ssl
        )
        self.address = where
        self.models = AsyncModels(where, key, timeout, ssl)
        self._session = Session(where, key, options)

    def stream(
        self,
        *,
        model: str,
        messages: Iterable[Mapping[str, Any]],
        idempotency_key: str | None = None,
        on_disconnect: Literal["continue", "cancel"] | None = None,
        orphan_timeout_s: float | None = None,
        recovery: Literal["fail", "continue"] | None = None,
        **parameters: Any,
    ) -> AsyncStream:
        """Ask for an answer.

        Args:
            model: Its name.
            messages: The conversation, in OpenAI's form.
            idempotency_key: Requests with the same one get the same stream, also from another
                process; made when not given.
            on_disconnect: What becomes of the stream when its last connection is lost.
            orphan_timeout_s: How long it then goes on.
            recovery: Whether the gateway's next process goes on with it after a crash.
            **parameters: All others of a chat-completion request: `temperature`, `tools`, ….

        Raises:
            InvalidRequestError: If the request is no JSON.
            RateLimitError: If too many requests wait already.
            ClientClosedError: If the client was closed.
        """
        request = {**parameters, "model": model, "messages": [dict(one) for one in messages]}
        options = {
            name: value
            for name, value in (
                ("on_disconnect", on_disconnect),
                ("orphan_timeout_s", orphan_timeout_s),
                ("recovery", recovery),
            )
            if value is not None
        }
        creation = fixed(request, idempotency_key or uuid.uuid4().hex, options or None)
        return self._start(lambda: self._session.create(creation))

    def follow(self, stream_id: str) -> AsyncStream:
        """Follow a stream of the same key from its start, whoever created it.

        Raises:
            ValueError: If this client follows it already.
        """
        return self.resume(Position(stream_id))

    def resume(self, position: Position | str) -> AsyncStream:
        """Go on with a stream after a position, such as `stream.position` or its text.

        Raises:
            ValueError: If the text is no position, or this client follows the stream already.
        """
        after = Position.parse(position) if isinstance(position, str) else position
        return self._start(lambda: self._session.follow(after), after)

    async def close(self) -> None:
        """Close the connection. Streams that have not ended go on at the server."""
        await self._session.close()

    def _start(self, start: Callable[[], Feed], after: Position | None = None) -> AsyncStream:
        return AsyncStream(self._session, start, after)
