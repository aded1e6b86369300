"""The emulated PortOne: that it is as strict as the documented one, and can be driven by people."""

import sys
from asyncio import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from emulators.portone import PortOneEmulator
from emulators.portone_pages import ACTIONS
from emulators.portone_service import PortOneService

ID = "tuaaaaaaaaaaaaaaaa"
KEY = {"idempotency-key": '"0123456789abcdef"'}
REDIRECT = "https://gateway.example/paid?page=1"


def request(**changes: Any) -> dict[str, Any]:
    asked = {
        "storeId": PortOneEmulator.store_id,
        "channelKey": PortOneEmulator.channel_key,
        "paymentId": ID,
        "orderName": "<credit>",
        "totalAmount": 1_000,
        "currency": "KRW",
        "redirectUrl": REDIRECT,
        "customer": {"fullName": "김", "phoneNumber": "1", "email": "k@x", "customerId": "c"},
    }
    return asked | changes


@pytest.fixture
async def emulator() -> PortOneEmulator:
    return PortOneEmulator()


@pytest.fixture
async def http(emulator: PortOneEmulator) -> AsyncIterator[httpx.AsyncClient]:
    runner = web.AppRunner(emulator.app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    headers = {"authorization": f"PortOne {emulator.api_secret}"}
    async with httpx.AsyncClient(base_url=f"http://{host}:{port}", headers=headers) as client:
        yield client
    await runner.cleanup()


async def control(http: httpx.AsyncClient, method: str, **arguments: Any) -> Any:
    answer = await http.post(f"/_control/{method}", json=arguments)
    assert answer.status_code == 200, answer.text
    return answer.json()


class TestApi:
    async def test_wants_the_credential(self, http: httpx.AsyncClient) -> None:
        for given in ("", "PortOne wrong", f"Bearer {PortOneEmulator.api_secret}"):
            answer = await http.get(f"/payments/{ID}", headers={"authorization": given})
            assert (answer.status_code, answer.json()["type"]) == (401, "UNAUTHORIZED")

    async def test_a_key_answers_once_for_three_hours(
        self, http: httpx.AsyncClient, emulator: PortOneEmulator
    ) -> None:
        await emulator.pay(ID, amount=1_000)
        path, body = f"/payments/{ID}/cancel", {"reason": "x", "amount": 100}
        first = await http.post(path, json=body, headers=KEY)
        again = await http.post(path, json=body, headers=KEY)
        assert first.json() == again.json()
        assert emulator.payments[ID].cancelled == 100
        other = await http.post(path, json={"reason": "y"}, headers=KEY)
        assert other.status_code == 400
        await emulator.set_clock(3 * 3_600 + 1)
        await http.post(path, json=body, headers=KEY)
        assert emulator.payments[ID].cancelled == 200

    @pytest.mark.parametrize("key", ["0123456789abcdef", '"short"', '""', '"' + "x" * 257 + '"'])
    async def test_a_key_has_a_form(self, http: httpx.AsyncClient, key: str) -> None:
        answer = await http.post(
            f"/payments/{ID}/cancel", json={"reason": "x"}, headers={"idempotency-key": key}
        )
        assert answer.status_code == 400

    @pytest.mark.parametrize(
        ("body", "status", "kind"),
        [
            ({}, 400, "INVALID_REQUEST"),
            ({"reason": "x", "amount": 0}, 400, "INVALID_REQUEST"),
            ({"reason": "x", "amount": 1_001}, 409, "CANCEL_AMOUNT_EXCEEDS_CANCELLABLE_AMOUNT"),
            (
                {"reason": "x", "currentCancellableAmount": 999},
                409,
                "CANCELLABLE_AMOUNT_CONSISTENCY_BROKEN",
            ),
            ({"reason": "x", "storeId": "another"}, 403, "FORBIDDEN"),
            ({"reason": "x", "refundAccount": {"bank": "TOSS"}}, 400, "INVALID_REQUEST"),
        ],
    )
    async def test_refusals(
        self,
        http: httpx.AsyncClient,
        emulator: PortOneEmulator,
        body: dict[str, Any],
        status: int,
        kind: str,
    ) -> None:
        await emulator.pay(ID, amount=1_000)
        answer = await http.post(f"/payments/{ID}/cancel", json=body)
        assert (answer.status_code, answer.json()["type"]) == (status, kind)
        assert emulator.payments[ID].cancelled == 0

    async def test_what_was_not_paid_cannot_be_cancelled(
        self, http: httpx.AsyncClient, emulator: PortOneEmulator
    ) -> None:
        path, body = f"/payments/{ID}/cancel", {"reason": "x"}
        assert (await http.post(path, json=body)).json()["type"] == "PAYMENT_NOT_FOUND"
        await emulator.open_window(request())
        assert (await http.post(path, json=body)).json()["type"] == "PAYMENT_NOT_PAID"

    async def test_the_list_by_cursor_goes_by_the_beginning(
        self, http: httpx.AsyncClient, emulator: PortOneEmulator
    ) -> None:
        for number in range(3):
            await emulator.set_clock(float(number))
            await emulator.pay(f"tu_{number}", amount=10)
        await emulator.console_cancel("tu_0")
        first = await http.get("/payments-by-cursor", params={"requestBody": '{"size": 2}'})
        ids = [each["payment"]["id"] for each in first.json()["items"]]
        assert ids == ["tu_0", "tu_1"]
        asked = f'{{"cursor": "{first.json()["items"][-1]["cursor"]}"}}'
        rest = await http.get("/payments-by-cursor", params={"requestBody": asked})
        assert [each["payment"]["id"] for each in rest.json()["items"]] == ["tu_2"]


class TestPages:
    async def test_the_script_has_the_documented_function(self, http: httpx.AsyncClient) -> None:
        script = await http.get("/v2/browser-sdk.js")
        assert script.headers["content-type"].startswith("text/javascript")
        assert "window.PortOne" in script.text
        assert "requestPayment(request)" in script.text
        assert str(http.base_url).rstrip("/") in script.text

    async def test_a_buyer_pays(self, http: httpx.AsyncClient, emulator: PortOneEmulator) -> None:
        opened = await http.post("/_pay", json=request())
        assert opened.headers["access-control-allow-origin"] == "*"
        url = opened.json()["url"]
        page = await http.get(url)
        assert "&lt;credit&gt;" in page.text
        assert all(f'value="{action}"' in page.text for action in ACTIONS)
        done = await http.post(url, data={"action": "pay"})
        assert done.status_code == 303
        back = httpx.URL(done.headers["location"])
        assert str(back).startswith("https://gateway.example/paid?page=1&")
        assert back.params["paymentId"] == ID
        assert "code" not in back.params
        assert emulator.payments[ID].status == "PAID"

    async def test_a_buyer_gives_up(
        self, http: httpx.AsyncClient, emulator: PortOneEmulator
    ) -> None:
        url = (await http.post("/_pay", json=request())).json()["url"]
        done = await http.post(url, data={"action": "give_up"})
        back = httpx.URL(done.headers["location"])
        assert back.params["code"] == "FAILURE_TYPE_PG"
        assert back.params["message"] == "사용자가 결제를 취소하였습니다"
        assert emulator.payments[ID].status == "FAILED"

    async def test_a_notice_is_held_or_lost(
        self, http: httpx.AsyncClient, emulator: PortOneEmulator
    ) -> None:
        url = (await http.post("/_pay", json=request())).json()["url"]
        await http.post(url, data={"action": "fail", "lose": "1"})
        assert emulator.notices.held == []
        await http.post(url, data={"action": "pay", "hold": "1"})
        assert len(emulator.notices.held) == 2

    async def test_a_tampered_amount_does_not_open_the_window(
        self, http: httpx.AsyncClient
    ) -> None:
        await http.post(
            f"/payments/{ID}/pre-register", json={"totalAmount": 1_000, "currency": "KRW"}
        )
        refused = await http.post("/_pay", json=request(totalAmount=1))
        assert refused.json()["code"] == "INVALID_REQUEST"
        assert "url" in (await http.post("/_pay", json=request())).json()

    @pytest.mark.parametrize(
        "changes",
        [
            {"paymentId": "tu_1"},
            {"paymentId": "a" * 41},
            {"customer": {}},
            {"customer": {"fullName": "김", "phoneNumber": "1", "email": "k@x"}},
            {"payMethod": "VIRTUAL_ACCOUNT"},
            {"payMethod": "VIRTUAL_ACCOUNT", "virtualAccount": {"accountExpiry": {}}},
        ],
    )
    async def test_what_a_company_behind_it_does_not_take(
        self, http: httpx.AsyncClient, changes: dict[str, Any]
    ) -> None:
        refused = await http.post("/_pay", json=request(**changes))
        assert refused.json()["code"] == "PG_PROVIDER_ERROR"

    async def test_no_such_button(self, http: httpx.AsyncClient) -> None:
        url = (await http.post("/_pay", json=request())).json()["url"]
        answer = await http.post(url, data={"action": "console_cancel"})
        assert answer.status_code == 400


class TestNotices:
    async def test_what_is_not_accepted_is_sent_again(self, emulator: PortOneEmulator) -> None:
        got: list[tuple[str, bytes]] = []

        async def receive(request: web.Request) -> web.Response:
            got.append((request.headers["webhook-id"], await request.read()))
            return web.Response(status=500 if len(got) == 1 else 200)

        receiver = web.Application()
        receiver.router.add_post("/", receive)
        runner = web.AppRunner(receiver)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        await emulator.set_notices("send", f"http://{host}:{port}/")
        await emulator.open_window(request())
        assert [status for *_, status in emulator.notices.sent] == [500]
        await emulator.set_clock(60.0)
        assert await emulator.release_notices() == 1
        assert [status for *_, status in emulator.notices.sent] == [500, 200]
        # What it is about stays, also when it happened.
        assert got[0] == got[1]
        await runner.cleanup()
        assert await emulator.send_notice(ID) == 0
        await emulator.notices.close()


class TestControl:
    async def test_does_what_a_test_can(
        self, http: httpx.AsyncClient, emulator: PortOneEmulator
    ) -> None:
        paid = await control(http, "pay", payment_id=ID, amount=1_000)
        assert paid["status"] == "PAID"
        await control(http, "dispute", payment_id=ID)
        lost = await control(http, "resolve_dispute", payment_id=ID, lost=True)
        assert lost["cancellations"][0]["trigger"] == "CHARGEBACK"
        await control(http, "fail_next", kind="html", calls=2)
        for _ in range(2):
            assert (await http.get(f"/payments/{ID}")).status_code == 502
        assert (await http.get(f"/payments/{ID}")).status_code == 200
        state = (await http.get("/_control")).json()
        assert [each["id"] for each in state["payments"]] == [ID]

    @pytest.mark.parametrize("method", ["_turn", "now", "__init__", "nothing", "app"])
    async def test_nothing_else(self, http: httpx.AsyncClient, method: str) -> None:
        assert (await http.post(f"/_control/{method}")).status_code == 404

    @pytest.mark.parametrize(
        ("method", "arguments"),
        [
            ("pay", {}),
            ("deposit", {"payment_id": "none"}),
            ("finish_cancel", {"payment_id": ID, "ok": True}),
            ("resolve_dispute", {"payment_id": ID, "lost": True}),
        ],
    )
    async def test_what_cannot_be_is_refused(
        self,
        http: httpx.AsyncClient,
        emulator: PortOneEmulator,
        method: str,
        arguments: dict[str, Any],
    ) -> None:
        await emulator.pay(ID, amount=1)
        answer = await http.post(f"/_control/{method}", json=arguments)
        assert answer.status_code in (400, 409)

    def test_every_control_is_documented(self) -> None:
        controls = [each for name, each in vars(PortOneService).items() if not name.startswith("_")]
        assert all(each.__doc__ for each in controls if callable(each))


async def test_runs_alone() -> None:
    process = await subprocess.create_subprocess_exec(
        sys.executable,
        "-m",
        "emulators.portone",
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert process.stdout is not None
        address = (await process.stdout.readline()).decode().split()[-1]
        async with httpx.AsyncClient(base_url=address) as client:
            paid = await client.post("/_control/pay", json={"payment_id": ID, "amount": 5})
        assert paid.json()["amount"]["total"] == 5
        said = [(await process.stdout.readline()).decode() for _ in range(5)]
        assert any(PortOneEmulator.api_secret in line for line in said)
        assert any(PortOneEmulator.webhook_secret in line for line in said)
    finally:
        process.terminate()
        await process.wait()
