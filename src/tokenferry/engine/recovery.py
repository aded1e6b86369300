"""What becomes of the streams that an earlier process left: done ones stay, others get an end.

A stream that was generating has lost its provider's answer with the process that read it. Its new
owner raises the epoch, since what clients were sent may, after a power cut, be more than what was
saved, and goes on with it where that was asked for and is possible; otherwise it ends as
`upstream_lost`, with usage estimated from what was saved.

It runs before the server accepts anybody, so that no stream is ever seen without an owner.
"""

import logging
from collections.abc import Iterable

import msgspec

from tokenferry.domain import journal
from tokenferry.domain.usage import Usage, estimate
from tokenferry.engine.book import Entry, StreamMeta
from tokenferry.engine.dispatcher import Dispatcher
from tokenferry.engine.ports import Outcome, Recovered
from tokenferry.engine.stream import Stream
from tokenferry.errors import UpstreamLost
from tokenferry.protocol.completion import folded
from tokenferry.protocol.frames import Terminal, encode, wire_error, wire_usage

log = logging.getLogger(__name__)

MS_PER_S = 1000

_meta_decoder = msgspec.json.Decoder(StreamMeta)


def recover(dispatcher: Dispatcher, streams: Iterable[Recovered]) -> int:
    """Enter what the journal has into the book; return how many streams got an end.

    Raises:
        JournalUnavailable: If the journal takes or gives nothing.
    """
    ended = 0
    for found in streams:
        try:
            meta = _meta_decoder.decode(found.meta)
        except msgspec.MsgspecError as exc:
            # Another release wrote it; nobody could say whose it is.
            log.error("stream %s cannot be read and is dropped: %s", found.stream_id, exc)  # noqa: TRY400 -- the message says all
            dispatcher.engine.journal.drop(found.stream_id)
            continue
        if found.terminal is not None:
            _keep(dispatcher, found, meta)
        else:
            _end(dispatcher, found, meta)
            ended += 1
    dispatcher.relay.flush()
    return ended


def _keep(dispatcher: Dispatcher, found: Recovered, meta: StreamMeta) -> None:
    stream = _stream(dispatcher, found, meta, found.epochs)
    stream.sealed = stream.done = True
    entry = Entry(stream, meta)
    dispatcher.book.add(entry)
    dispatcher.book.retire(entry, found.written_ms)


def _end(dispatcher: Dispatcher, found: Recovered, meta: StreamMeta) -> None:
    """Take a stream over and give it its terminal record."""
    engine = dispatcher.engine
    epochs = (*found.epochs, (found.epochs[-1][0] + 1, found.head + 1))
    stream = _stream(dispatcher, found, meta, epochs)
    usage = _estimated(stream, meta) if found.head else None
    error = UpstreamLost("The server restarted before the answer was complete; ask again.")
    terminal = Terminal(usage=None if usage is None else wire_usage(usage), error=wire_error(error))
    engine.journal.open(stream.id, stream.epoch, found.meta)
    stream.error = error
    dispatcher.book.add(Entry(stream, meta))
    dispatcher.relay.mark(stream)
    stream.pending.append(journal.pack(journal.ERROR, encode(terminal)))
    stream.sealed = True
    engine.meter.started()
    engine.meter.settled(
        Outcome(
            stream_id=stream.id,
            owner=meta.owner,
            provider=meta.provider,
            model=meta.provider_model,
            finish="error",
            error_code=error.kind,
            usage=usage,
            attempts=1,
            first_token_s=None,
            duration_s=max(0, found.written_ms - meta.created_ms) / MS_PER_S,
        )
    )


def _stream(
    dispatcher: Dispatcher, found: Recovered, meta: StreamMeta, epochs: tuple[tuple[int, int], ...]
) -> Stream:
    return Stream(found.stream_id, meta.owner, epochs, dispatcher.engine.journal, head=found.head)


def _estimated(stream: Stream, meta: StreamMeta) -> Usage:
    return estimate(
        meta.prompt_tokens,
        folded(stream.id, stream.committed()).output_text(),
        output_tokens_max=meta.output_tokens_max,
    )
