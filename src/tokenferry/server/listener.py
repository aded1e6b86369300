"""Accepts connections: the socket, TLS, and what the garbage collector is told."""

import asyncio
import contextlib
import errno
import gc
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from functools import partial

from aiohttp import web

from tokenferry.config.server_settings import ServerSettings
from tokenferry.server.certificate import renewed_on_signal, server_context
from tokenferry.server.open_files import allow_open_files, clients_max
from tokenferry.server.transport import protocol_factory, watch_stalled

EVERYWHERE = "::"
LISTEN_BACKLOG = 4096
# After the drain there is nothing left to wait for but sockets that do not close.
SHUTDOWN_TIMEOUT_S = 2.0
# As long as an event stream waits for a client that reads nothing. The kernel counts it, also for
# what is left of an answer when its connection is closed.
UNREAD_TIMEOUT_MS = 600_000
# A relayed token makes a dozen short-lived objects; the default threshold would walk the young
# generation every fifty tokens for cycles that are not there.
GC_THRESHOLDS = (20_000, 20, 50)


class ListenerUnusable(Exception):
    """The server cannot listen where it is to; the message says why and what to do."""


@contextlib.asynccontextmanager
async def listening(server: ServerSettings, app: web.Application) -> AsyncIterator[str]:
    """Accept connections; the value is the address.

    Raises:
        ListenerUnusable: If the address or the port cannot be had.
        CertificateUnusable: If there is to be TLS, and its files cannot be used.
    """
    runner = web.AppRunner(
        app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_TIMEOUT_S
    )
    await runner.setup()
    if runner.server is None:
        raise RuntimeError("aiohttp made no server")
    files = allow_open_files(server.connections_max)
    factory = protocol_factory(
        runner.server,
        # Our pings and heartbeats find dead peers sooner than the kernel's keep-alive would.
        {
            "access_log": None,
            "keepalive_timeout": server.keepalive_timeout_s,
            "tcp_keepalive": False,
        },
        clients_max(files),
    )
    chain, key = server.tls_cert, server.tls_key
    tls = server_context(chain, key) if chain and key else None
    try:
        listener = await _listen(server, factory, tls)
    except OSError as exc:
        raise ListenerUnusable(_fault(server, exc)) from exc
    stalled = asyncio.create_task(watch_stalled(runner.server))
    renewing = renewed_on_signal(tls, chain, key) if tls and chain and key else None
    for sock in listener.sockets:
        _give_up_in_time(sock)
    try:
        port = listener.sockets[0].getsockname()[1]
        host = f"[{server.host}]" if ":" in server.host else server.host
        # What is there now stays: no collection need walk it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        with renewing or contextlib.nullcontext():
            yield f"{'https' if tls else 'http'}://{host}:{port}"
    finally:
        stalled.cancel()
        listener.close()
        await runner.cleanup()


async def _listen(
    server: ServerSettings,
    factory: Callable[[], asyncio.BaseProtocol],
    tls: ssl.SSLContext | None,
) -> asyncio.Server:
    """Begin to accept; `::` is every address, of which asyncio by itself would take IPv6 alone."""
    listen = partial(asyncio.get_running_loop().create_server, factory, ssl=tls)
    if server.host != EVERYWHERE or not socket.has_dualstack_ipv6():
        return await listen(server.host, server.port, backlog=LISTEN_BACKLOG)
    address = (server.host, server.port)
    sock = socket.create_server(address, family=socket.AF_INET6, dualstack_ipv6=True)
    return await listen(sock=sock, backlog=LISTEN_BACKLOG)


def _fault(server: ServerSettings, exc: OSError) -> str:
    reasons = {
        errno.EADDRINUSE: "Another program uses this port. End it, or name another port with "
        "--port.",
        errno.EACCES: "Ports below 1024 need a privilege. Name another one with --port, or put a "
        "proxy before it.",
        errno.EADDRNOTAVAIL: "This machine has no such address. Name another one with --host; "
        "0.0.0.0 stands for all.",
    }
    where = f"Cannot listen at {server.host}:{server.port}"
    if isinstance(exc, socket.gaierror):
        return f"{where}: {exc.strerror}. Name an address of this machine with --host."
    return f"{where}. {reasons.get(exc.errno or 0) or exc}"


def _give_up_in_time(sock: socket.socket) -> None:
    """Have the kernel close connections whose clients are silent, or read nothing (tcp(7))."""
    if (option := getattr(socket, "TCP_USER_TIMEOUT", None)) is not None:  # Linux has it
        sock.setsockopt(socket.IPPROTO_TCP, option, UNREAD_TIMEOUT_MS)
