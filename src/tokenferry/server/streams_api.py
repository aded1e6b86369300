"""The streams of a key over HTTP: what there is, how far it is, its events, and its end.

    GET    /v1/streams              the key's recent streams
    GET    /v1/streams/ID           state, text so far, usage, cost
    GET    /v1/streams/ID/events    the events after a position, then live ones
    DELETE /v1/streams/ID           cancel

A position is written `EPOCH-SEQ`, as in the events' `id:`; a SEQ alone is one of the stream's own
epoch.

Source: spec/PROTOCOL.md, section 10; WHATWG HTML, 9.2 (`Last-Event-ID`; 204 ends reconnecting).
"""

import asyncio
import re
from itertools import islice

from aiohttp import web
from msgspec import Raw

from tokenferry.engine.archive import Summary
from tokenferry.engine.book import Entry
from tokenferry.engine.keys import Key
from tokenferry.engine.read_limit import LIST_READS, RECORDS_PER_READ
from tokenferry.engine.resume import Replay, plan_resume
from tokenferry.engine.stream import Stream
from tokenferry.engine.summary import glance, summarize
from tokenferry.errors import InvalidRequest, StreamNotFound
from tokenferry.protocol import messages
from tokenferry.protocol.cursor import Position
from tokenferry.protocol.events import notice
from tokenferry.server.credentials import authenticate, count_reads, reader
from tokenferry.server.event_stream import HEADERS, Reading, send_events
from tokenferry.server.hub import Hub
from tokenferry.server.responses import json_response

LIST_DEFAULT = 20
LIST_MAX = 100
# With `durability = "disk"` the end of a cancelled stream is there after a sync.
COMMIT_POLL_S = 0.005
COMMIT_POLLS_MAX = 400
# Ten digits each: no stream has so many records, and no number so long is worth reading.
_POSITION = re.compile(r"(?:([0-9]{1,10})-)?([0-9]{1,10})")
_LIMIT = re.compile(r"[0-9]{1,3}")


class StreamsApi:
    """The routes under /v1/streams.

    Args:
        hub: What the handlers work with.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def add_to(self, app: web.Application) -> None:
        """Add the routes to an application."""
        app.router.add_get("/v1/streams", self._list)
        app.router.add_get("/v1/streams/{id}", self._show)
        # No HEAD: events are written past aiohttp, which would not leave the body out.
        app.router.add_get("/v1/streams/{id}/events", self._events, allow_head=False)
        app.router.add_delete("/v1/streams/{id}", self._cancel)

    async def _list(self, request: web.Request) -> web.Response:
        key = reader(request, self._hub, LIST_READS)
        limit = _limit(request.query.get("limit"))
        dispatcher = self._hub.shared.dispatcher
        found: dict[str, Summary] = {}
        with dispatcher.engine.journal.reading():
            for entry in islice(dispatcher.book.owned(key.public_id), limit):
                found[entry.stream.id] = glance(entry)
        if len(found) < limit:
            recent = dispatcher.engine.archive.recent
            for kept in await asyncio.to_thread(recent, key.public_id, limit, None):
                # A stream on its way to the archive is in both.
                found.setdefault(kept.stream_id, kept)
        streams = [_shown(each, text=False) for each in islice(found.values(), limit)]
        return json_response({"object": "list", "data": streams})

    async def _show(self, request: web.Request) -> web.Response:
        key = authenticate(request, self._hub)
        self._count(request, key, self._find(request, key))
        return await self._answer(key.public_id, request.match_info["id"])

    async def _answer(self, owner: str, stream_id: str) -> web.Response:
        """Answer with what there is of a stream."""
        find = self._hub.shared.dispatcher.find
        found = find(owner, stream_id)
        if isinstance(found, Entry):
            summary = await summarize(found)
            if summary.head < found.stream.head:
                # It has gone to the archive meanwhile.
                again = find(owner, stream_id)
                summary = again if isinstance(again, Summary) else summary
        else:
            summary = found
        return json_response(_shown(summary, text=True))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        key = authenticate(request, self._hub)
        self._hub.check_room()
        found = self._find(request, key)
        position = _position(request, found)
        self._count(request, key, found, position.after)
        if _is_end(position, found):
            # An EventSource would take any other answer for a reason to come back, for ever.
            return web.Response(status=204, headers={"cache-control": "no-cache"})
        plan = plan_resume(found, position)
        if not isinstance(plan, Replay):
            end = b"data: [DONE]\nid: %d-%d\n\n" % (plan.epoch, plan.through)
            body = notice("snapshot", messages.snapshot_fields(plan)) + end
            return web.Response(body=body, headers=HEADERS)
        stream, preface = plan.entry.stream, b""
        if plan.is_reset:
            fields = messages.reset_fields(
                stream.id, stream.epoch, plan.after, stream.head, done=stream.done
            )
            preface = notice("reset", fields, position=f"{stream.epoch}-{plan.after}")
        reading = Reading(stream, plan.entry.meta.include_usage, plan.after, preface, resumes=True)
        return await send_events(request, self._hub, key, reading)

    async def _cancel(self, request: web.Request) -> web.Response:
        key = authenticate(request, self._hub)
        found = self._find(request, key)
        if isinstance(found, Summary) or found.stream.done:
            # An end costs money if it does not come; of one that has come, this is a read.
            self._count(request, key, found)
        return await self.cancel(key.public_id, request.match_info["id"])

    async def cancel(self, owner: str, stream_id: str) -> web.Response:
        """End a stream, and answer with what there is of it.

        Raises:
            StreamNotFound: If there is none of this owner's.
        """
        found = self._hub.shared.dispatcher.find(owner, stream_id)
        if isinstance(found, Entry):
            self._hub.shared.dispatcher.cancel(found.stream.owner, found.stream.id)
            await self._committed(found.stream)
        return await self._answer(owner, stream_id)

    async def _committed(self, stream: Stream) -> None:
        """Wait until the end of a stream can be shown; not for ever, if the disk takes nothing."""
        self._hub.shared.dispatcher.relay.flush()
        for _ in range(COMMIT_POLLS_MAX):
            if stream.done:
                return
            await asyncio.sleep(COMMIT_POLL_S)

    def _count(
        self, request: web.Request, key: Key, found: Entry | Summary, after: int = 0
    ) -> None:
        """Count a read, and the records that it reads; what is in the archive has none."""
        records = max(0, found.stream.head - after) if isinstance(found, Entry) else 0
        count_reads(request, self._hub, key, 1 + records // RECORDS_PER_READ)

    def _find(self, request: web.Request, key: Key) -> Entry | Summary:
        try:
            return self._hub.shared.dispatcher.find(key.public_id, request.match_info["id"])
        except StreamNotFound:
            count_reads(request, self._hub, key, 1)
            raise


def _limit(text: str | None) -> int:
    if text is None:
        return LIST_DEFAULT
    if not _LIMIT.fullmatch(text) or not 1 <= int(text) <= LIST_MAX:
        raise InvalidRequest(f"`limit` must be within 1..{LIST_MAX}.", param="limit")
    return int(text)


def _position(request: web.Request, found: Entry | Summary) -> Position:
    """Return the position that a client names: by header, by query, or the beginning."""
    name, text = "Last-Event-ID", request.headers.get("Last-Event-ID")
    if text is None:
        name, text = "after", request.query.get("after", "0")
    match = _POSITION.fullmatch(text)
    if match is None:
        raise InvalidRequest(
            f"`{name}` must be a position such as `1-57`, as events have it in `id:`.", param=name
        )
    epoch, seq = match.groups()
    own = found.stream.epoch if isinstance(found, Entry) else found.epoch
    return Position(own if epoch is None else int(epoch), int(seq))


def _is_end(position: Position, found: Entry | Summary) -> bool:
    """Say whether a stream has ended, and the client has all of it."""
    if isinstance(found, Summary):
        return position == Position(found.epoch, found.head)
    stream = found.stream
    return stream.done and position == Position(stream.epoch, stream.head)


def _shown(summary: Summary, *, text: bool) -> dict[str, object]:
    """Return a stream as clients see it."""
    shown: dict[str, object] = {
        "object": "stream",
        "id": summary.stream_id,
        "model": summary.model,
        "state": summary.state,
        "epoch": summary.epoch,
        "head": summary.head,
        "finish_reason": summary.finish_reason,
        "usage": _raw(summary.usage),
        "cost": summary.cost,
        "error": _raw(summary.error),
        "created": summary.created_ms // 1000,
        "ended": summary.ended_ms // 1000 or None,
    }
    if text:
        shown["completion"] = _raw(summary.message)
    return shown


def _raw(text: str | None) -> Raw:
    return Raw(b"null" if text is None else text.encode())
