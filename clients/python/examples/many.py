"""Asks several questions at once, over one connection, and tells everything that happens."""

import asyncio

from tokenferry_client import AsyncTokenferry, Chunk, Done, Queued, Reconnecting, Waiting

QUESTIONS = ["하나?", "둘?", "셋?"]


async def ask(client: AsyncTokenferry, question: str) -> None:
    """Print what happens to one question."""
    messages = [{"role": "user", "content": question}]
    async for event in client.stream(model="demo", messages=messages, max_tokens=20).events():
        match event:
            case Waiting(wait_ms=wait_ms):
                print(question, f"waits {wait_ms} ms for its turn")
            case Queued(position=position):
                print(question, f"has {position} in front")
            case Reconnecting(attempt=attempt):
                print(question, f"reconnects, attempt {attempt}")
            case Chunk(text=text):
                print(question, text)
            case Done(finish_reason=reason, cost=cost):
                print(question, f"is done: {reason}, {cost} USD")


async def main() -> None:
    """Ask all of them."""
    async with AsyncTokenferry() as client:
        await asyncio.gather(*(ask(client, question) for question in QUESTIONS))


asyncio.run(main())
