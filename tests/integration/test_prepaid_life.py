"""A stranger's whole way: signs up, streams with the clients there are, runs out, pays, goes on."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from harness.accounts import PASSWORD, Member, log_in, member
from harness.market import Market
from integration.test_compat_clients import CLIENTS, PROMPTS, check, run_node, run_python

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.needs("shared"),
    pytest.mark.needs("node"),
    pytest.mark.needs("websockets13"),
]

DEMO = {"model": "demo", "messages": [{"role": "user", "content": "안녕하세요"}], "max_tokens": 50}


@pytest_asyncio.fixture
async def market(tmp_path: Path) -> AsyncIterator[Market]:
    async with AsyncExitStack() as stack:
        yield await Market(tmp_path).open(stack, credit="1.00")


class Life:
    """Somebody with a key."""

    def __init__(self, market: Market, somebody: Member, key: str) -> None:
        self.market = market
        self.somebody = somebody
        self.key = key

    async def ask(self) -> Any:
        body = json.dumps(DEMO).encode()
        return await self.market.gateway.post("/v1/chat/completions", body, self.key)

    async def balance(self) -> float:
        return float((await self.somebody.call("GET", "/api/balance")).json["balance"])

    async def is_charged(self, before: float) -> None:
        """Wait until the last request has been: a charge waits for others."""
        while await self.balance() >= before:
            await asyncio.sleep(0.05)

    async def run_clients(self) -> None:
        arguments = (self.market.gateway.ws_url, self.key, "demo", PROMPTS["korean"])
        for result in await asyncio.gather(
            run_python(CLIENTS / "stream_chat.py", *arguments),
            run_python(CLIENTS / "stream_chat.py", *arguments, websockets="13"),
            run_python(CLIENTS / "robust_stream_chat.py", *arguments),
            run_node(CLIENTS / "stream_chat.js", *arguments),
        ):
            check(result)

    async def requests(self, count: int) -> list[dict[str, Any]]:
        """Return what was asked for, once so many are on the bill: a charge waits for others."""
        while True:
            listed = (await self.somebody.call("GET", "/api/requests")).json["data"]
            if len(listed) >= count:
                return list(listed)
            await asyncio.sleep(0.05)


async def by_commands(market: Market) -> Life:
    """Have an account and a key made by the operator's commands."""
    gateway, email = market.gateway, "commands@example.com"
    made = ("accounts", "create", email, "--credit", "1.00", "--password-stdin")
    await gateway.administer(*made, typed=f"{PASSWORD}\n")
    assert await gateway.administer("accounts", "balance", email) == "1.00\n"
    key = (await gateway.administer("keys", "create", "노트북", "--account", email)).strip()
    return Life(market, await log_in(gateway, email), key)


async def by_http(market: Market) -> Life:
    """Sign up and make a key over HTTP alone."""
    somebody = await member(market.gateway, "http@example.com")
    return Life(market, somebody, await somebody.key("노트북"))


@pytest.mark.parametrize("way", [by_commands, by_http])
async def test_a_strangers_whole_way(market: Market, way: Any) -> None:
    life = await way(market)
    assert await life.balance() == 1.0
    assert (await life.ask()).status == 200
    # Streams with each client that people have, and sees what that cost.
    await life.run_clients()
    requests = await life.requests(5)
    spent = 1.0 - await life.balance()
    assert 0 < spent < 1
    assert sum(float(one["cost"]) for one in requests) == pytest.approx(spent)
    # Runs out, and is told what is missing and where more is had.
    chief = await market.administrator()
    path = f"/api/admin/accounts/{life.somebody.account_id}/grants"
    rest = f"-{await life.balance():.9f}"
    assert (await chief.call("POST", path, {"amount": rest, "reason": "spent"})).status == 200
    refused = await life.ask()
    assert (refused.status, refused.error["code"]) == (402, "insufficient_credit")
    assert refused.json["top_up_url"] == "https://gateway.example/top-up"
    assert float(refused.json["missing"]) > 0
    # A voucher.
    code = (await market.gateway.administer("vouchers", "create", "--amount", "0.50")).strip()
    redeemed = await life.somebody.call("POST", "/api/vouchers/redeem", {"code": code})
    assert redeemed.json == {"credited": "0.50", "balance": "0.50"}
    assert (await life.ask()).status == 200
    await life.is_charged(0.5)
    # Each payment provider.
    market.buyer = life.somebody
    for seller in market.sellers.values():
        before = await life.balance()
        order = await market.order(seller)
        await market.visit(await seller.pay(order["id"]))
        bought = await life.balance()
        assert bought == pytest.approx(before + float(seller.credit))
        assert (await life.ask()).status == 200
        await life.is_charged(bought)
    kinds = [one["kind"] for one in (await life.somebody.call("GET", "/api/ledger")).json["data"]]
    assert kinds.count("topup") == 3
    await market.verified()
    assert "OK" in await market.gateway.administer("ledger", "verify")
