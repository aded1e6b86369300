import asyncio
import json

import websockets


async def ask(prompt):
    headers = {"Authorization": "Bearer YOUR_KEY"}
    url = "ws://127.0.0.1:8000/v1/stream"
    async with websockets.connect(url, additional_headers=headers) as socket:
        body = {"model": "demo", "messages": [{"role": "user", "content": prompt}]}
        await socket.send(json.dumps(body))
        async for frame in socket:
            chunk = json.loads(frame)
            if "error" in chunk:
                raise RuntimeError(chunk["error"]["message"])
            print(chunk["choices"][0]["delta"]["content"], end="", flush=True)
            if chunk["done"]:
                return


asyncio.run(ask("Hello!"))
