"""A gateway with some weeks behind it: accounts, keys, credit, and requests of the demo model.

All of it is made through the gateway's own interface: `tokenferry serve` runs once for each day,
with its clock put back (`clock/sitecustomize.py`), and serves that day's requests. Beside the demo
model it has a provider that is not there, so that there are failures to tell of.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from emulators.toss import CLIENT_KEY, SECRET_KEY, TossEmulator

from harness.accounts import Member, administrator, log_in, member
from harness.gateway import Gateway, ProviderEntry, environment

CLOCK = Path(__file__).with_name("clock")
DAYS = 16
WAIT_S = 20
MEMBER, ADMIN = "minji@example.com", "operator@example.com"
OTHERS = ("jiho@example.com", "alex@example.com", "seoyeon@example.com")
WON = 10_000
# Where nobody listens: port 9 is "discard", which nothing runs any more.
NOWHERE = "http://127.0.0.1:9/v1"
QUESTIONS = (
    "Say hello to our customers in one sentence.",
    "주문이 언제 도착하는지 알려 주세요.",
    "Sum up this week's reports, please.",
    "이 글을 세 문장으로 요약해 주세요.",
    "Which of these invoices are overdue?",
)


class Server(Gateway):
    """A gateway that is started again and again, without a new key each time."""

    async def create_key(self, name: str = "", *options: str) -> str:
        """Make none."""
        return "no key is made"


@dataclass
class World:
    """The gateway as it is today, and who uses it."""

    gateway: Gateway
    toss: TossEmulator
    member: Member
    admin: Member
    keys: dict[str, str] = field(default_factory=dict)
    story_id: str = ""
    open_order: str = ""
    paid_order: str = ""

    async def ask(self, key: str, model: str, tokens_max: int, question: str) -> int:
        """Ask for an answer, and return the status."""
        body = {
            "model": model,
            "max_tokens": tokens_max,
            "messages": [{"role": "user", "content": question}],
        }
        answer = await self.gateway.post("/v1/chat/completions", json.dumps(body).encode(), key)
        return answer.status

    @asynccontextmanager
    async def long_answers(self) -> AsyncIterator[None]:
        """Have an answer under way for each of the other accounts."""
        asking = [
            asyncio.create_task(
                self.ask(self.keys[email], "demo", 2_000, "Please write a long answer.")
            )
            for email in OTHERS
        ]
        async with asyncio.timeout(WAIT_S):
            while len((await self.admin.call("GET", "/api/admin/streams")).json["data"]) < len(
                asking
            ):
                await asyncio.sleep(0.02)
        yield
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


@asynccontextmanager
async def open_world(directory: Path) -> AsyncIterator[World]:
    """Make the world, day by day, and run it as it is today."""
    toss = TossEmulator()
    gateway = _gateway(directory, await toss.start())
    dice = random.Random(16)
    try:
        await _start(gateway, DAYS)
        world = await _first_day(gateway, toss)
        await gateway.stop()
        for days_ago in range(DAYS - 1, -1, -1):
            await _start(gateway, days_ago)
            await _day(world, days_ago, dice)
            if days_ago:
                await gateway.stop()
        await _today(world)
        yield world
        await gateway.stop()
    finally:
        await gateway.kill()
        await toss.stop()


def _gateway(directory: Path, toss_url: str) -> Server:
    tables = {
        "accounts": {"signup": "open", "signups_per_ip_per_hour": 0},
        "billing": {"signup_credit": "5.00"},
        "limits": {"requests_per_minute": 60, "guest_connections_per_minute": 0},
        "payments": {
            "packages_usd": ["5.00", "20.00"],
            "packages_krw": ["10000", "30000", "50000"],
            "krw_per_usd": "1450.00",
            "krw_rate_date": datetime.now(UTC).date().isoformat(),
        },
        "toss": {
            "client_key": CLIENT_KEY,
            "secret_key": SECRET_KEY,
            "api_url": toss_url,
            "script_url": f"{toss_url}/v2/standard",
        },
    }
    local = ProviderEntry("local", "openai", NOWHERE, ["qwen3:8b"], extra={"streams_max": 4})
    gateway = Server(
        directory,
        server={"drain_timeout_s": 1},
        providers=[local],
        aliases={"fast": ["local/qwen3:8b", "demo/demo"]},
        tables=tables,
    )
    text = gateway.config.read_text("utf-8")
    text = text.replace("[server]\n", f'[server]\npublic_url = "{gateway.url}"\n')
    gateway.config.write_text(text, "utf-8")
    return gateway


async def _start(gateway: Gateway, days_ago: float) -> None:
    gateway.variables = {}
    if days_ago:
        path = f"{environment()['PYTHONPATH']}:{CLOCK}"
        gateway.variables = {"PYTHONPATH": path, "PICTURES_DAYS_AGO": str(days_ago)}
    await gateway.start()


async def _first_day(gateway: Gateway, toss: TossEmulator) -> World:
    admin = await administrator(gateway, ADMIN)
    price = {"model": "qwen3:8b", "input": "0.20", "output": "0.60", "output_tokens_max": 4_000}
    await admin.call("POST", "/api/admin/prices", price)
    world = World(gateway, toss, await member(gateway, MEMBER), admin)
    world.keys = {
        "Web service": await world.member.key("Web service", budget="20.00"),
        "Nightly batch": await world.member.key("Nightly batch", requests_per_minute=30),
        "Notebook": await world.member.key("Notebook", models=["demo"]),
    }
    for email in OTHERS:
        world.keys[email] = await (await member(gateway, email)).key("Laptop")
    return world


async def _day(world: World, days_ago: int, dice: random.Random) -> None:
    """Serve a day: what was asked, and what is done once in a while."""
    if days_ago == DAYS - 5:
        batch = {"amount": "10.00", "count": 3, "batch": "Autumn fair"}
        made = await world.admin.call("POST", "/api/admin/vouchers", batch)
        await world.member.call("POST", "/api/vouchers/redeem", {"code": made.json["codes"][0]})
    if days_ago in (2, 7):
        await _buy(world)
    if days_ago == 1:
        await _administer(world)
    # Fewer at the end of the week.
    count = dice.randint(2, 5) if days_ago % 7 in (3, 4) else dice.randint(7, 16)
    asked = [_question(world, dice) for _ in range(count)]
    await asyncio.gather(*(world.ask(*each) for each in asked))


async def _administer(world: World) -> None:
    """Change what is in the list of changes and shows on no other page."""
    call = world.admin.call
    (found,) = (await call("GET", f"/api/admin/accounts?search={OTHERS[0]}")).json["data"]
    key = world.keys[OTHERS[0]].split("_")[1]
    limits = {"requests_per_minute": 600, "streams_max": 20}
    await call("PATCH", f"/api/admin/keys/{key}", limits)
    one = f"/api/admin/accounts/{found['id']}"
    await call("POST", f"{one}/suspend", {"reason": "A card that was reported as stolen"})
    await call("POST", f"{one}/unsuspend", {})


def _question(world: World, dice: random.Random) -> tuple[str, str, int, str]:
    (name,) = dice.choices(list(world.keys), weights=[6, 4, 2, 2, 1, 1])
    models = ["demo"] if name == "Notebook" else ["demo", "fast", "qwen3:8b"]
    (model,) = dice.choices(models, weights=[12, 6, 1][: len(models)])
    paper = "The report says what was done, and what it has cost. " * dice.randint(20, 400)
    question = f"{dice.choice(QUESTIONS)}\n\n{paper}"
    return world.keys[name], model, dice.randint(4, 40), question


async def _buy(world: World) -> str:
    """Buy credit, and return the order's id."""
    order_id = await _order(world)
    back = f"{world.gateway.url}/pay/{order_id}/return"
    agreed = urlsplit(world.toss.pay(world.toss.request_payment(order_id, WON, success_url=back)))
    await world.gateway.get(f"{agreed.path}?{agreed.query}")
    return order_id


async def _order(world: World) -> str:
    wish = {"provider": "toss", "package": f"KRW-{WON}"}
    return str((await world.member.call("POST", "/api/topups", wish)).json["id"])


async def _today(world: World) -> None:
    world.member = await log_in(world.gateway, MEMBER)
    world.admin = await log_in(world.gateway, ADMIN)
    old = await world.member.key("Old laptop")
    await world.member.call("DELETE", f"/api/keys/{old.split('_')[1]}")
    await world.ask(world.keys["Web service"], "fast", 40, "Say hello, please.")
    world.paid_order = await _buy(world)
    world.open_order = await _order(world)
    async with asyncio.timeout(WAIT_S):
        while (story := await _latest_story(world)) is None:
            await asyncio.sleep(0.05)
    world.story_id = story


async def _latest_story(world: World) -> str | None:
    """Return the latest request that took two attempts; it is written a moment after its end."""
    found = (await world.member.call("GET", "/api/requests?limit=5")).json["data"]
    return next((each["stream_id"] for each in found if len(each.get("tries") or []) > 1), None)
