"""Begins an answer with one client, and goes on with it in another, which may be anywhere."""

from tokenferry_client import Tokenferry

messages = [{"role": "user", "content": "Tell me something long."}]
with Tokenferry() as client:
    stream = client.stream(model="demo", messages=messages, max_tokens=30)
    print(next(stream).text, end="")
    # Without this the stream would be cancelled when nobody reads it any more.
    stream.detach()
    position = str(stream.position)

print(f"\n-- from {position} on --")
with Tokenferry() as client:
    for chunk in client.resume(position):
        print(chunk.text, end="", flush=True)
print()
