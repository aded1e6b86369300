"""An echo over the transport of `/v1/stream`, for Autobahn's fuzzing client.

`python tests/autobahn/echo_server.py PORT`. Connections and sockets are of the gateway's own
classes with its options (test_transport.py compares them), text goes out as the gateway's own
frames, written straight to the transport, and pings are answered as it answers them. Two things
differ: the message limit, since Autobahn sends 16 MiB, and binary frames, which the gateway
refuses.
"""

import asyncio
import sys

import uvloop
from aiohttp import WSMsgType, web

from tokenferry.protocol.frames import text_frame
from tokenferry.server.transport import ClientProtocol, protocol_factory
from tokenferry.server.upgrade import CLOSE_TIMEOUT_S, GatewaySocket

# The largest message of Autobahn's section 9, and its frame's header.
MESSAGE_BYTES_MAX = 16 * 1024 * 1024 + 14


async def echo(request: web.Request) -> web.WebSocketResponse:
    socket = GatewaySocket(
        protocols=(),
        autoping=False,
        compress=False,
        max_msg_size=MESSAGE_BYTES_MAX,
        timeout=CLOSE_TIMEOUT_S,
    )
    await socket.prepare(request)
    assert isinstance(request.protocol, ClientProtocol)
    while True:
        frame = await socket.receive()
        if frame.type is WSMsgType.TEXT:
            if (transport := request.protocol.transport) is not None:
                transport.write(text_frame(frame.data.encode()))
        elif frame.type is WSMsgType.PING:
            await socket.pong(frame.data)
        elif frame.type is WSMsgType.BINARY:
            await socket.send_bytes(frame.data)
        elif frame.type is not WSMsgType.PONG:
            return socket


async def serve(port: int) -> None:
    app = web.Application()
    app.router.add_get("/v1/stream", echo)
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    assert runner.server is not None
    factory = protocol_factory(runner.server, {"access_log": None})
    await asyncio.get_running_loop().create_server(factory, "127.0.0.1", port)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
