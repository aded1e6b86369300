"""A provider with a few places, counted: answers take a while, and some calls fail.

The model's name says how it behaves, `rush-PLACES-MS-FAILURES`: it bears so many calls at once
(refusing more with 429), an answer takes so many milliseconds, and so many percent of the calls
fail, in one of four ways, before or after their head, by lot of the request's own text.
"""

import asyncio
import json
import zlib
from collections import Counter
from dataclasses import dataclass, field

from aiohttp import web

TOKENS = 5


@dataclass
class Seen:
    """What a model has seen."""

    running: int = 0
    most: int = 0
    refused: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)


class Provider:
    """The provider over HTTP, in the event loop of whoever measures."""

    def __init__(self) -> None:
        self.seen: dict[str, Seen] = {}
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, backlog=4096).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        name, text = body["model"], body["messages"][-1]["content"]
        places, milliseconds, failures = (int(word) for word in name.split("-")[1:])
        seen = self.seen.setdefault(name, Seen())
        number = seen.calls[text]
        seen.calls[text] += 1
        if places and seen.running >= places:
            seen.refused += 1
            return _refusal(429, "too many at once", {"retry-after-ms": "50"})
        seen.running += 1
        seen.most = max(seen.most, seen.running)
        try:
            # By lot, and yet the same in every run.
            lot = zlib.crc32(f"{name} {text} {number}".encode())
            if lot % 100 < failures:
                return await self._fail(request, lot)
            return await self._speak(request, seen, text, milliseconds / 1000)
        except ConnectionError:
            return web.Response()  # nobody is there any more
        finally:
            seen.running -= 1

    async def _fail(self, request: web.Request, lot: int) -> web.StreamResponse:
        way = lot // 100 % 4
        if way == 0:
            return _refusal(500, "과부하입니다")
        if way == 1:
            return _refusal(503, "busy")
        if way == 2 and request.transport is not None:
            request.transport.abort()
            return web.Response()
        response = await _opened(request)
        await response.write(b'data: {"error": {"message": "broken", "type": "server_error"}}\n\n')
        return response

    async def _speak(
        self, request: web.Request, seen: Seen, text: str, seconds: float
    ) -> web.StreamResponse:
        response = await _opened(request)
        for number in range(TOKENS):
            await response.write(_event({"content": f"{number}번 "}, None))
            await asyncio.sleep(seconds / TOKENS)
        usage = {"prompt_tokens": 3, "completion_tokens": TOKENS, "total_tokens": 3 + TOKENS}
        await response.write(_event({}, "stop"))
        await response.write(b"data: %s\n\n" % _dumps({"choices": [], "usage": usage}))
        await response.write(b"data: [DONE]\n\n")
        seen.done[text] += 1
        return response


async def _opened(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    return response


def _refusal(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    error = {"error": {"message": message, "type": "server_error", "code": None}}
    return web.json_response(error, status=status, headers=headers)


def _event(delta: dict, reason: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "rush"}
    return b"data: %s\n\n" % _dumps(chunk | {"choices": [choice]})


def _dumps(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
