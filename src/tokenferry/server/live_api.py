"""What is going on, for administrators.

GET  /api/admin/queue               who waits before each provider
GET  /api/admin/streams             the running streams
POST /api/admin/streams/{id}/stop   cancel one, whosever it is

A stream that is stopped ends as if its client had cancelled it: what was produced is charged. It is
no row of the database, so that the audit trail has two entries of it: that it is to be stopped,
before, and that it was.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from msgspec import Meta, Struct

from tokenferry.domain.fair_queue import ServiceClass
from tokenferry.engine.audit_trail import Action, AuditEntry
from tokenferry.engine.book import Entry
from tokenferry.engine.dispatcher import Dispatcher
from tokenferry.engine.generation import Generation
from tokenferry.engine.live_view import (
    LiveState,
    LiveStream,
    line_states,
    live_stream,
    live_streams,
)
from tokenferry.errors import StreamNotFound
from tokenferry.server import audit_log
from tokenferry.server.api_routes import Body, Call, NoBody, Route
from tokenferry.server.cursors import cursor_of, moment_of

PAGE_MAX = 500
MS_PER_S = 1000

Keep = Callable[[AuditEntry], Awaitable[None]]


class ClassFacts(Struct):
    """Who waits of one class; `eta_ms` is how long somebody may wait who comes now, if known."""

    service_class: ServiceClass
    waiting: int
    oldest_ms: int | None
    eta_ms: int | None


class QueueFacts(Struct):
    """The line before one provider. 0 is no limit: of calls at once and a minute, and of tokens."""

    provider: str
    running: int
    streams_max: int
    requests_per_minute: int
    tokens_per_minute: int
    waiting: int
    waiting_max: int
    wait_max_ms: int
    classes: list[ClassFacts]


class QueueList(Struct):
    """The lines of all providers, by name."""

    data: list[QueueFacts]


class LivePage(Body):
    """Which part of the list, and whose."""

    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = 100
    before: Annotated[str, Meta(max_length=100, description="The `next` of the page before.")] = ""
    account: Annotated[str, Meta(max_length=100)] | None = None


class LiveFacts(Struct):
    """A running stream.

    `state` is `preparing`, `queued`, `calling`, `answering` or `ending`; `provider` is who is
    called, or is to be called next, null before that is decided. `chunks` are records that are
    saved, `calls` those of providers.
    """

    id: str
    account: str
    key: str
    model: str
    provider: str | None
    provider_model: str | None
    state: LiveState
    created: int
    age_ms: int
    chunks: int
    followers: int
    calls: int


class LiveList(Struct):
    """Running streams, the newest first, and how many there are in all.

    `next` asks for those before, null at the end.
    """

    running: int
    data: list[LiveFacts]
    next: str | None


class LiveApi:
    """The routes of what is going on.

    Args:
        dispatcher: What it is going on in.
        keep: Writes an entry of the audit trail.
    """

    def __init__(self, dispatcher: Dispatcher, keep: Keep) -> None:
        self._dispatcher = dispatcher
        self._keep = keep

    def routes(self) -> list[Route]:
        """Return the routes."""
        streams = "/api/admin/streams"
        return [
            Route("GET", "/api/admin/queue", self._queue, "Show who waits before each provider",
                  answer=QueueList, access="admin"),
            Route("GET", streams, self._list, "List running streams",
                  query=LivePage, answer=LiveList, access="admin"),
            Route("POST", streams + "/{id}/stop", self._stop, "Cancel a running stream",
                  body=NoBody, answer=LiveFacts, access="admin"),
        ]  # fmt: skip

    async def _queue(self, _: Call[Any]) -> QueueList:
        engine = self._dispatcher.engine
        now_s = engine.timers.time()
        lines = []
        for provider, gate in engine.router.gates().items():
            running, limit, _waiting = gate.state()
            lines.append(
                QueueFacts(
                    provider,
                    running,
                    limit,
                    gate.terms.requests_per_minute,
                    gate.terms.tokens_per_minute,
                    len(gate.line),
                    gate.terms.line_max,
                    round(gate.terms.wait_max_s * MS_PER_S),
                    [
                        ClassFacts(name, waiting, _ms(oldest_s), _ms(eta_s))
                        for name, waiting, oldest_s, eta_s in line_states(gate, now_s)
                    ],
                )
            )
        return QueueList(lines)

    async def _list(self, call: Call[Any]) -> LiveList:
        page: LivePage = call.query
        book = self._dispatcher.book
        found = live_streams(book, page.limit, moment_of(page.before), page.account)
        last = found[-1] if len(found) == page.limit else None
        return LiveList(
            book.live_count,
            [self._facts(stream) for stream in found],
            None if last is None else cursor_of(last.created_ms, last.stream_id),
        )

    async def _stop(self, call: Call[NoBody]) -> LiveFacts:
        stream_id = call.request.match_info["id"]
        entry, _ = self._running(stream_id)
        await self._record(call, "stream.stop", live_stream(entry))
        # Once more: it may have ended by itself meanwhile.
        entry, generation = self._running(stream_id)
        before = live_stream(entry)
        generation.cancel()
        stopped = self._facts(live_stream(entry))
        await self._record(call, "stream.stopped", before)
        return stopped

    def _running(self, stream_id: str) -> tuple[Entry, Generation]:
        """Return a running stream, and what makes it.

        Raises:
            StreamNotFound: If it runs no more.
        """
        entry = self._dispatcher.book.find(stream_id)
        if entry is None or entry.generation is None:
            raise StreamNotFound(
                "No running stream has this id: it may just have ended. "
                "GET /api/admin/streams lists those that run."
            )
        return entry, entry.generation

    async def _record(self, call: Call[NoBody], action: Action, stream: LiveStream) -> None:
        entry = audit_log.entry_of(
            call,
            self._dispatcher.engine.wall_ms(),
            action,
            stream.stream_id,
            account=stream.account_id,
            model=stream.model,
            chunks=stream.chunks,
        )
        await self._keep(entry)
        audit_log.tell(entry)

    def _facts(self, stream: LiveStream) -> LiveFacts:
        return LiveFacts(
            stream.stream_id,
            stream.account_id,
            stream.key_id,
            stream.model,
            stream.provider,
            stream.provider_model,
            stream.state,
            stream.created_ms // MS_PER_S,
            max(0, self._dispatcher.engine.wall_ms() - stream.created_ms),
            stream.chunks,
            stream.followers,
            stream.calls,
        )


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * MS_PER_S)
