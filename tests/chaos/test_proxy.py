"""The chaos proxy does what a fault says: exactly there, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from chaos.faults import CUTTING, Fault, Kind, draw
from chaos.proxy import Proxy

DATA = "가나다라 bytes 👍🏽 ".encode() * 200
WAIT_S = 10


class Target:
    """Sends DATA to whoever connects, and remembers what it got."""

    def __init__(self) -> None:
        self.got = b""
        self.ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(DATA)
        try:
            while data := await reader.read(1000):
                self.got += data
        except OSError:
            self.got += b" (reset)"
        self.ended.set()
        writer.close()


@asynccontextmanager
async def running(fault: Fault) -> AsyncIterator[tuple[Proxy, Target]]:
    target = Target()
    server = await asyncio.start_server(target.serve, "127.0.0.1", 0)
    proxy = Proxy(server.sockets[0].getsockname()[1], lambda _: fault)
    await proxy.start()
    try:
        async with asyncio.timeout(WAIT_S):
            yield proxy, target
    finally:
        await proxy.stop()
        server.close()


async def read_all(reader: asyncio.StreamReader, enough: int = len(DATA)) -> tuple[bytes, str]:
    """Read so much, or to the end; say how it ended."""
    got = b""
    try:
        while len(got) < enough:
            data = await reader.read(1000)
            if not data:
                return got, "end"
            got += data
    except ConnectionResetError:
        return got, "reset"
    return got, "open"


@pytest.mark.parametrize("fault", [Fault(), Fault(Kind.DELAY, delay_s=0.001)])
async def test_without_a_cut_everything_passes_both_ways(fault: Fault) -> None:
    async with running(fault) as (proxy, target):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"hello")
        assert await read_all(reader) == (DATA, "open")
        writer.write_eof()
        await target.ended.wait()
        assert target.got == b"hello"
        writer.close()
        assert proxy.cuts == 0


@pytest.mark.parametrize("at_bytes", [1, 7, 4000])
@pytest.mark.parametrize(
    ("kind", "pieces"), [(Kind.CUT, ()), (Kind.TRICKLE, (900, 701)), (Kind.HALF_OPEN, ())]
)
async def test_a_cut_comes_after_exactly_so_many_bytes(
    kind: Kind, pieces: tuple[int, ...], at_bytes: int
) -> None:
    async with running(Fault(kind, at_bytes=at_bytes, piece_bytes=pieces)) as (proxy, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        got, _ = await read_all(reader)
        assert got == DATA[:at_bytes]
        assert proxy.struck == {kind: 1}
        writer.close()


async def test_a_cut_on_the_way_up() -> None:
    async with running(Fault(Kind.CUT, up=True, at_bytes=3)) as (proxy, target):
        _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"hello")
        await target.ended.wait()
        assert target.got.removesuffix(b" (reset)") == b"hel"
        writer.close()


async def test_a_reset_is_a_reset() -> None:
    async with running(Fault(Kind.RESET, up=True, at_bytes=5)) as (proxy, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        await reader.readexactly(len(DATA))
        writer.write(b"hello")
        assert await read_all(reader) == (b"", "reset")
        writer.close()


async def test_half_open_one_direction_goes_on() -> None:
    async with running(Fault(Kind.HALF_OPEN, at_bytes=10)) as (proxy, target):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await read_all(reader) == (DATA[:10], "end")
        writer.write(b"still here")
        writer.write_eof()
        await target.ended.wait()
        assert target.got == b"still here"
        writer.close()


async def test_a_black_hole_swallows_both_ways_and_closes_nothing() -> None:
    async with running(Fault(Kind.BLACK_HOLE, at_bytes=10)) as (proxy, target):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await reader.readexactly(10) == DATA[:10]
        while not proxy.cuts:
            await asyncio.sleep(0)
        writer.write(b"lost")
        reading = asyncio.ensure_future(reader.read(1))
        done, _ = await asyncio.wait([reading], timeout=0.05)
        assert not done
        reading.cancel()
        assert target.got == b""
        writer.close()


async def test_who_connects_while_nobody_listens_is_refused() -> None:
    async with running(Fault()) as (proxy, _):
        proxy.target_port = 1
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert (await read_all(reader))[0] == b""
        assert proxy.refused == 1
        writer.close()


def number_of(wanted: Callable[[Fault], bool]) -> int:
    return sum(wanted(draw(1, number)) for number in range(500))


def test_the_dice_are_the_seeds() -> None:
    faults = [draw(1, number) for number in range(200)]
    assert faults == [draw(1, number) for number in range(200)]
    assert faults != [draw(2, number) for number in range(200)]
    for kind in Kind:
        assert number_of(lambda fault, kind=kind: fault.kind is kind) > 10  # type: ignore[misc]
    assert 50 < number_of(lambda fault: fault.up) < 250
    assert all(fault.at_bytes > 0 for fault in faults if fault.kind in CUTTING)
