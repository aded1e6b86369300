"""Accepts connections: the socket, TLS, and what the garbage collector is told."""

import asyncio
import contextlib
import gc
import ssl
from collections.abc import AsyncIterator

from aiohttp import web

from tokenferry.config.server_settings import ServerSettings
from tokenferry.server.transport import protocol_factory

LISTEN_BACKLOG = 4096
KEEPALIVE_TIMEOUT_S = 75.0
# After the drain there is nothing left to wait for but sockets that do not close.
SHUTDOWN_TIMEOUT_S = 2.0
# A relayed token makes a dozen short-lived objects; the default threshold would walk the young
# generation every fifty tokens for cycles that are not there.
GC_THRESHOLDS = (20_000, 20, 50)


@contextlib.asynccontextmanager
async def listening(server: ServerSettings, app: web.Application) -> AsyncIterator[str]:
    """Accept connections; the value is the address."""
    runner = web.AppRunner(
        app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_TIMEOUT_S
    )
    await runner.setup()
    if runner.server is None:
        raise RuntimeError("aiohttp made no server")
    factory = protocol_factory(
        runner.server,
        # Our pings and heartbeats find dead peers sooner than the kernel's keep-alive would.
        {"access_log": None, "keepalive_timeout": KEEPALIVE_TIMEOUT_S, "tcp_keepalive": False},
    )
    tls = _tls(server)
    listener = await asyncio.get_running_loop().create_server(
        factory, server.host, server.port, ssl=tls, backlog=LISTEN_BACKLOG
    )
    try:
        port = listener.sockets[0].getsockname()[1]
        host = f"[{server.host}]" if ":" in server.host else server.host
        # What is there now stays: no collection need walk it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        yield f"{'https' if tls else 'http'}://{host}:{port}"
    finally:
        listener.close()
        await runner.cleanup()


def _tls(server: ServerSettings) -> ssl.SSLContext | None:
    if server.tls_cert is None or server.tls_key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(server.tls_cert, server.tls_key)
    context.set_alpn_protocols(["http/1.1"])
    return context
