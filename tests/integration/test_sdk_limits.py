"""The official openai SDKs against a limit: they wait as long as they are told, and succeed.

Nobody helps them: what they do about a 429 is their own doing. When each try was sent, and what it
was answered with, is seen from outside.
"""

import asyncio
import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import openai
import pytest

from harness.gateway import SERVER, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCRIPT = Path(__file__).parents[1] / "node" / "sdk.mjs"
TIMEOUT_S = 60
# One a second, after a burst.
PER_MINUTE = 60
# The last one waits for three seconds, unless the machine takes as long for all.
COUNT = PER_MINUTE + 3
MESSAGES: Any = [{"role": "user", "content": "안녕하세요"}]


@pytest.fixture(scope="module")
def gateway_options() -> dict[str, Any]:
    return {"server": SERVER, "tables": {"limits": {"requests_per_minute": PER_MINUTE}}}


def check(all_tries: list[list[dict[str, Any]]]) -> None:
    """See that each request got through, and that nothing was sent sooner than was said."""
    refusals = 0
    for tries in all_tries:
        assert [each["status"] for each in tries] == [429] * (len(tries) - 1) + [200]
        for refused, again in pairwise(tries):
            refusals += 1
            assert 0 < refused["wait_ms"] <= 1000
            # Node's timers may be a part of a millisecond early.
            assert again["sent_ms"] - refused["answered_ms"] >= refused["wait_ms"] - 1
    assert refusals, "the limit was never met"


async def test_the_sdk_for_python(gateway: Gateway) -> None:
    all_tries: list[list[dict[str, Any]]] = [[] for _ in range(COUNT)]

    async def sending(request: Any) -> None:
        tries = all_tries[int(request.headers["x-number"])]
        tries.append({"sent_ms": time.monotonic() * 1000})

    async def answered(response: Any) -> None:
        tries = all_tries[int(response.request.headers["x-number"])]
        tries[-1] |= {
            "status": response.status_code,
            "wait_ms": int(response.headers.get("retry-after-ms", 0)),
            "answered_ms": time.monotonic() * 1000,
        }

    key = await gateway.create_key()
    async with openai.AsyncOpenAI(
        base_url=f"{gateway.url}/v1", api_key=key, max_retries=5
    ) as client:
        client._client.event_hooks = {"request": [sending], "response": [answered]}

        async def ask(number: int) -> str:
            stream = await client.chat.completions.create(
                model="demo",
                messages=MESSAGES,
                max_tokens=1,
                stream=True,
                extra_headers={"x-number": str(number)},
            )
            return "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])

        async with asyncio.timeout(TIMEOUT_S):
            texts = await asyncio.gather(*(ask(number) for number in range(COUNT)))
    assert all(texts)
    check(all_tries)


async def test_with_its_defaults_it_waits_as_well(gateway: Gateway) -> None:
    key = await gateway.create_key("n", "--rpm", "30")
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=key) as client:

        async def ask() -> Any:
            return await client.chat.completions.with_raw_response.create(
                model="demo", messages=MESSAGES, max_tokens=1
            )

        async with asyncio.timeout(TIMEOUT_S):
            answers = await asyncio.gather(*(ask() for _ in range(31)))
    assert max(answer.retries_taken for answer in answers) <= 2
    assert {answer.headers["x-ratelimit-limit-requests"] for answer in answers} == {"30"}


@pytest.mark.needs("node")
async def test_the_sdk_for_node(gateway: Gateway) -> None:
    key = await gateway.create_key()
    process = await asyncio.create_subprocess_exec(
        *("node", str(SCRIPT), f"{gateway.url}/v1", key, "limited", "demo", str(COUNT)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(TIMEOUT_S):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    seen = json.loads(out)
    assert seen["answers"] == COUNT
    check(seen["tries"])
