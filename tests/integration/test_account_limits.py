"""How often one may sign up, behind a proxy, and where nobody may."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from harness.accounts import PASSWORD, call, sign_up
from harness.gateway import SERVER, Gateway
from harness.http_client import Response

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def gateway_options() -> dict[str, Any]:
    accounts = {
        "signup": "open",
        "signups_per_ip_per_hour": 2,
        "signups_per_hour": 6,
        "trusted_proxies": 1,
    }
    return {"server": SERVER, "tables": {"accounts": accounts}}


async def sign_up_from(gateway: Gateway, email: str, forwarded: str) -> Response:
    request = {"email": email, "password": PASSWORD}
    return await call(gateway, "POST", "/api/accounts", request, X_Forwarded_For=forwarded)


async def test_sign_ups_are_limited_by_address_and_by_all(gateway: Gateway) -> None:
    async def statuses(*senders: str) -> list[int]:
        found = []
        for sender in senders:
            number = len(taken)
            taken.append(sender)
            found.append((await sign_up_from(gateway, f"{number}@b.kr", sender)).status)
        return found

    taken: list[str] = []
    # What a client claims stands before what the proxy has added.
    assert await statuses("6.6.6.1, 1.1.1.1", "6.6.6.2, 1.1.1.1", "6.6.6.3, 1.1.1.1") == [
        201, 201, 429,
    ]  # fmt: skip
    assert await statuses("2001:db8::1", "2001:db8::2", "2001:db8::3") == [201, 201, 429]
    assert await statuses("2.2.2.2", "3.3.3.3", "4.4.4.4") == [201, 201, 429]
    answer = await sign_up_from(gateway, "late@b.kr", "5.5.5.5")
    assert (answer.status, answer.error["code"]) == (429, "rate_limit_exceeded")
    assert int(answer.headers["retry-after"]) > 60


async def test_a_flood_of_logins_is_turned_away_and_others_are_served(gateway: Gateway) -> None:
    """Hashing has a bounded queue: beyond it a login is refused at once."""

    async def log_in(number: int) -> int:
        request = {"email": f"flood{number}@b.kr", "password": PASSWORD}
        sender = f"10.0.{number // 250}.{number % 250}"
        answer = await call(gateway, "POST", "/api/sessions", request, X_Forwarded_For=sender)
        return answer.status

    flood = asyncio.gather(*(log_in(number) for number in range(250)))
    await asyncio.sleep(0.2)
    async with asyncio.timeout(2):
        assert (await gateway.get("/v1/models", gateway.key)).status == 200
    statuses = await flood
    assert set(statuses) <= {401, 503}
    assert 401 in statuses
    assert 503 in statuses


async def test_nobody_signs_up_where_it_is_closed(tmp_path: Path) -> None:
    closed = Gateway(tmp_path, server=SERVER)
    await closed.start()
    try:
        answer = await sign_up(closed, "a@b.kr")
        assert (answer.status, answer.error["code"]) == (403, "signup_closed")
        await closed.administer("accounts", "create", "a@b.kr")
        await closed.stop()
    finally:
        await closed.kill()
