"""What is going on, as the operator sees it: the lines before providers, and the running streams.

Everything is read in the event loop, without changing anything.

Weakness: a page of running streams walks over all streams that are kept, a millisecond for ten
thousand; it is asked for by people, a few times a second at most.
"""

import heapq
from collections.abc import Iterator
from typing import Literal, NamedTuple

from tokenferry.domain.fair_queue import CLASSES, NS_PER_S, ServiceClass
from tokenferry.engine.book import Book, Entry
from tokenferry.engine.gate import Gate

LiveState = Literal["preparing", "queued", "calling", "answering", "ending"]


class ClassState(NamedTuple):
    """Who waits of one class at one provider.

    Attributes:
        service_class: The class.
        waiting: How many.
        oldest_s: How long the one has waited that came first; None if nobody waits.
        eta_s: How long somebody may wait who comes now; None if nobody knows.
    """

    service_class: ServiceClass
    waiting: int
    oldest_s: float | None
    eta_s: float | None


class LiveStream(NamedTuple):
    """A running stream.

    Attributes:
        stream_id: Names it.
        account_id: Who pays.
        key_id: Public id of the key that asked.
        model: What was asked for.
        provider: Who is called, or is to be called next; None before that is decided.
        provider_model: That provider's name for the model.
        state: How far it is: `preparing` (credit is held, or the disk is waited for), `queued` (in
            a provider's line), `calling` (nothing has come yet), `answering`, `ending` (its end is
            decided, and its settlement is not).
        created_ms: Unix time.
        chunks: Records that are committed.
        followers: Connections that read it.
        calls: Calls of providers so far.
    """

    stream_id: str
    account_id: str
    key_id: str
    model: str
    provider: str | None
    provider_model: str | None
    state: LiveState
    created_ms: int
    chunks: int
    followers: int
    calls: int


# From when a stream is, and its name: what pages are cut by, the newest first.
Moment = tuple[int, str]


def line_states(gate: Gate, now_s: float) -> list[ClassState]:
    """Return who waits at a gate, class by class.

    Args:
        gate: A provider's.
        now_s: Its timers' time.
    """
    line, pace_s = gate.line, gate.pace_s()
    running, limit, _ = gate.state()
    has_room = not len(line) and (not limit or running < limit)
    states, ahead = [], 0
    for name in CLASSES:
        waiting = line.length(name)
        ahead += waiting
        since_ns = line.oldest_ns(name)
        oldest_s = None if since_ns is None else max(0.0, now_s - since_ns / NS_PER_S)
        eta_s = None if pace_s is None else (ahead + 1) * pace_s
        states.append(ClassState(name, waiting, oldest_s, 0.0 if has_room else eta_s))
    return states


def live_streams(
    book: Book, limit: int, before: Moment | None = None, account_id: str | None = None
) -> list[LiveStream]:
    """Return running streams, the newest first.

    Args:
        book: All streams.
        limit: How many at most.
        before: Only those from before this one.
        account_id: Only those of one account.
    """

    def wanted() -> Iterator[Entry]:
        # The newest first, so that nearly all others are passed over at one comparison.
        for entry in reversed(book.running()):
            is_before = before is None or _moment(entry) < before
            if is_before and account_id in (None, entry.meta.account):
                yield entry

    return [live_stream(entry) for entry in heapq.nlargest(limit, wanted(), key=_moment)]


def live_stream(entry: Entry) -> LiveStream:
    """Return a stream as it is now."""
    stream, meta, generation = entry.stream, entry.meta, entry.generation
    pursuit = None if generation is None else generation.pursuit
    serving = None if pursuit is None else pursuit.serving
    return LiveStream(
        stream.id,
        meta.account,
        stream.owner,
        meta.model,
        None if serving is None else serving.provider,
        None if serving is None else serving.model,
        _state(entry),
        meta.created_ms,
        stream.head,
        len(stream.subscriptions),
        0 if pursuit is None else pursuit.calls,
    )


def _moment(entry: Entry) -> Moment:
    return entry.meta.created_ms, entry.stream.id


def _state(entry: Entry) -> LiveState:
    stream, generation = entry.stream, entry.generation
    if generation is None or stream.sealed:
        return "ending"
    if generation.pursuit.first_token_s is not None:
        return "answering"
    if generation.pursuit.waiting is not None:
        return "queued"
    return "preparing" if generation.pursuit.serving is None else "calling"
