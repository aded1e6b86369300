"""Asks one question and prints the answer as it comes: python ask.py "Why is the sky blue?"."""

import sys

from tokenferry_client import Tokenferry

question = " ".join(sys.argv[1:]) or "안녕하세요! 👋"
messages = [{"role": "user", "content": question}]
# The key and the address are in TOKENFERRY_API_KEY and TOKENFERRY_BASE_URL.
with Tokenferry() as client, client.stream(model="demo", messages=messages) as stream:
    for chunk in stream:
        print(chunk.text, end="", flush=True)
print(f"\n{stream.usage['completion_tokens']} tokens, {stream.cost} USD")
