"""Clients over HTTP when the disk takes nothing; what they are sent otherwise is in integration."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.virtual import KEY, Bench
from tokenferry.engine.ports import JournalUnavailable
from tokenferry.engine.relay import GIVE_UP_S
from tokenferry.engine.stream import Subscription
from tokenferry.errors import StorageUnavailable
from tokenferry.protocol.events import EventRenderer
from tokenferry.server.event_stream import STALLED_S, EventOutlet, _answer_whole
from tokenferry.stores.memory import MemoryJournal


class FullDisk(MemoryJournal):
    def append(self, batch: Any) -> None:
        raise JournalUnavailable("full")


class Transport:
    was_aborted = False

    def abort(self) -> None:
        self.was_aborted = True


@pytest.fixture
def bench() -> Bench:
    return Bench(journal=FullDisk(1 << 20))


def hub_of(bench: Bench) -> Any:
    shared = SimpleNamespace(dispatcher=bench.dispatcher)
    return SimpleNamespace(loop=asyncio.get_running_loop(), shared=shared)


async def test_who_waits_for_a_whole_answer_hears_that_it_cannot_be_saved(bench: Bench) -> None:
    protocol = cast("Any", SimpleNamespace(user=None))
    stream = bench.create(stream=False)
    answer = asyncio.ensure_future(_answer_whole(hub_of(bench), protocol, stream))
    await asyncio.sleep(0)
    bench.sink.text("a")
    bench.timers.advance(GIVE_UP_S + 1)
    with pytest.raises(StorageUnavailable):
        await answer
    assert not stream.followed


async def test_events_that_have_not_begun_can_still_be_an_error(bench: Bench) -> None:
    transport = Transport()
    stream = bench.create()
    outlet = EventOutlet(
        hub_of(bench), cast("Any", SimpleNamespace(transport=transport)), KEY, chunked=True
    )
    renderer = EventRenderer(stream.id, stream.epoch, include_usage=False)
    outlet.subscription = Subscription(stream, outlet, renderer)
    bench.sink.text("a")
    bench.timers.advance(GIVE_UP_S)
    assert (outlet.begun.is_set(), transport.was_aborted) == (True, False)
    assert isinstance(stream.error, StorageUnavailable)
    assert stream.head_record is None


async def test_a_client_that_reads_nothing_does_not_keep_its_stream_for_ever(bench: Bench) -> None:
    transport = Transport()
    stream = bench.create()
    hub = hub_of(bench)
    hub.shared.settings = SimpleNamespace(heartbeat_s=15)
    outlet = EventOutlet(hub, cast("Any", SimpleNamespace(transport=transport)), KEY, chunked=True)
    renderer = EventRenderer(stream.id, stream.epoch, include_usage=False)
    outlet.subscription = Subscription(stream, outlet, renderer)
    outlet.write(b": keep-alive\n\n")
    began_s = time.monotonic()
    outlet.full()
    outlet.sweep(began_s + STALLED_S / 2)
    outlet.subscription.after = 5  # it has read something
    outlet.sweep(began_s + STALLED_S)
    outlet.sweep(began_s + 2 * STALLED_S - 1)
    assert not transport.was_aborted
    outlet.sweep(began_s + 2 * STALLED_S)
    assert transport.was_aborted
    assert outlet._early == [b": keep-alive\n\n"], "it is sent no comments that it does not read"


async def test_events_that_have_begun_are_cut_off(bench: Bench) -> None:
    transport = Transport()
    stream = bench.create()
    outlet = EventOutlet(
        hub_of(bench), cast("Any", SimpleNamespace(transport=transport)), KEY, chunked=True
    )
    renderer = EventRenderer(stream.id, stream.epoch, include_usage=False)
    outlet.subscription = Subscription(stream, outlet, renderer)
    outlet.write(b": keep-alive\n\n")
    bench.sink.text("a")
    bench.timers.advance(GIVE_UP_S + 1)
    assert transport.was_aborted
