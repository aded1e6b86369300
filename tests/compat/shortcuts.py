"""The shortcuts that people write when they talk to a chat model over a WebSocket, one a function.

None of them knows Tokenferry: each is the loop of somebody who has seen OpenAI's chunks once.
Usage: python shortcuts.py URL KEY MODEL SHORTCUT PROMPT… (each prompt on the same connection)
Prints each answer, then a last line `answers=N`. Works with websockets before and after 14.
"""

import asyncio
import inspect
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import websockets

Connection = Any
Loop = Callable[[Connection], Awaitable[str]]


def headers_argument(headers: dict[str, str]) -> dict[str, Any]:
    names = inspect.signature(websockets.connect.__init__).parameters
    return {"extra_headers" if "extra_headers" in names else "additional_headers": headers}


async def until_done(connection: Connection) -> str:
    """Index without asking; stop at `done`."""
    text = ""
    while True:
        data = json.loads(await connection.recv())
        text += data["choices"][0]["delta"]["content"]
        if data["done"]:
            return text


async def until_finish_reason(connection: Connection) -> str:
    """Stop at the first finish reason; a second end would be the next answer's."""
    text = ""
    while True:
        choice = json.loads(await connection.recv())["choices"][0]
        text += choice["delta"]["content"]
        if choice["finish_reason"] is not None:
            return text


async def until_stop(connection: Connection) -> str:
    """Know one finish reason only."""
    pieces = []
    async for message in connection:
        choice = json.loads(message)["choices"][0]
        pieces.append(choice["delta"].get("content", ""))
        if choice.get("finish_reason") == "stop":
            break
    return "".join(pieces)


async def as_generator(connection: Connection) -> str:
    """Wrap the loop in a generator that is left as soon as it is done."""

    async def pieces() -> AsyncIterator[str]:
        async for message in connection:
            data = json.loads(message)
            if delta := data["choices"][0]["delta"]:
                yield delta["content"]
            if data.get("done"):
                return

    return "".join([piece async for piece in pieces()])


async def with_usage(connection: Connection) -> str:
    """Count on the usage in the same frame as the end."""
    text = ""
    while True:
        data = json.loads(await connection.recv())
        text += data["choices"][0]["delta"]["content"]
        if data["choices"][0]["finish_reason"]:
            assert data["usage"]["total_tokens"] > 0
            return text


SHORTCUTS: dict[str, Loop] = {
    loop.__name__: loop
    for loop in (until_done, until_finish_reason, until_stop, as_generator, with_usage)
}


async def main(url: str, key: str, model: str, shortcut: str, *prompts: str) -> None:
    """Ask every prompt on one connection, the next after the answer to the last."""
    headers = headers_argument({"Authorization": f"Bearer {key}"})
    async with websockets.connect(url, **headers) as connection:
        for prompt in prompts:
            messages = [{"role": "user", "content": prompt}]
            await connection.send(
                json.dumps({"model": model, "messages": messages, "stream": True})
            )
            print(await SHORTCUTS[shortcut](connection))
    print(f"answers={len(prompts)}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
