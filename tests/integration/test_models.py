"""What models cost and until when, as a real gateway tells it; and prices set while it runs."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from harness.gateway import Gateway

UNTIL_READ_S = 5.0


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    gateway = await Gateway(tmp_path).start()
    yield gateway
    await gateway.stop()


async def demo(gateway: Gateway) -> dict[str, Any]:
    response = await gateway.get("/v1/models/demo", gateway.key)
    assert response.status == 200
    found: dict[str, Any] = json.loads(response.body)
    return found


async def prices(gateway: Gateway, *argv: str) -> None:
    code, _, err = await gateway.command("prices", *argv, "--data-dir", str(gateway.data_dir))
    assert code == 0, err


async def test_a_price_that_is_set_counts_in_the_running_server(gateway: Gateway) -> None:
    before = await demo(gateway)
    assert (before["object"], before["owned_by"]) == ("model", "demo")
    assert before["pricing"] == {
        "unit": "USD per million tokens",
        "input": "1.00",
        "cached_input": "0.10",
        "cache_write": "1.00",
        "output": "5.00",
    }
    assert (before["shutdown_date"], before["successor"]) == (None, None)
    await prices(gateway, "set", "demo", "--input", "2.50", "--output", "7", "--output-max", "9")
    async with asyncio.timeout(UNTIL_READ_S):
        while (await demo(gateway))["pricing"]["input"] != "2.50":
            await asyncio.sleep(0.1)
    assert (await demo(gateway))["max_output_tokens"] == 9


async def test_a_retired_model_is_refused_with_its_successor(gateway: Gateway) -> None:
    await prices(
        gateway, "set", "demo", "--input", "1", "--output", "5",
        "--shutdown", "2026-01-01", "--successor", "demo-2",
    )  # fmt: skip
    async with asyncio.timeout(UNTIL_READ_S):
        while (await demo(gateway))["successor"] is None:
            await asyncio.sleep(0.1)
    assert (await demo(gateway))["shutdown_date"] == "2026-01-01"
    asked = {"model": "demo", "messages": [{"role": "user", "content": "hi"}]}
    for stream in (False, True):
        body = json.dumps({**asked, "stream": stream}).encode()
        response = await gateway.post("/v1/chat/completions", body, gateway.key)
        assert response.status == 404
        assert response.error["code"] == "model_retired"
        assert "Ask for demo-2 in its place" in response.error["message"]
        assert json.loads(response.body)["successor"] == "demo-2"
