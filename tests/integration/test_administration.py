"""What administrators see and do, on a running gateway: by HTTP, with what is really going on."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio

from harness import websocket
from harness.accounts import Member, administrator, member
from harness.answers import body
from harness.dialects import opening, token
from harness.gateway import SERVER, Gateway, provider_entry
from harness.http_client import Response
from harness.providers import Exchange, ScriptedProvider

pytestmark = pytest.mark.asyncio(loop_scope="module")

WAIT_S = 20
MODEL = "m-openai"


@pytest.fixture(scope="module")
def gateway_options(provider: ScriptedProvider) -> dict[str, Any]:
    return {
        "server": {**SERVER, "log_format": "json"},
        "providers": [
            provider_entry("openai", provider.url, streams_max=1),
            provider_entry("anthropic", provider.url),
        ],
        "aliases": {"chat": [f"openai/{MODEL}", "anthropic/m-anthropic"]},
        "tables": {
            "accounts": {"signup": "open", "signups_per_ip_per_hour": 0},
            "billing": {"signup_credit": "9.00", "margin": "10"},
            "queue": {"length_max": 7, "wait_max_s": 50},
        },
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chief(gateway: Gateway) -> Member:
    return await administrator(gateway, "Chief@예시.kr")


def audited(gateway: Gateway, action: str | None = None) -> list[dict[str, Any]]:
    """Return the lines of the log for changes, or for one kind of them."""
    lines = (json.loads(line) for line in gateway.log().splitlines() if line.startswith("{"))
    told = (line for line in lines if line["logger"] == "tokenferry.audit")
    return [line for line in told if action in (None, line["action"])]


async def endless(exchange: Exchange) -> None:
    exchange.head()
    for part in (*opening("openai"), token("openai", "아직")):
        exchange.chunk(part)
    await exchange.until_gone()


async def until(ask: Any, holds: Any) -> Any:
    """Ask until the answer is as it is to be."""
    async with asyncio.timeout(WAIT_S):
        while not holds(answer := (await ask()).json):
            await asyncio.sleep(0.01)
    return answer


async def test_members_may_do_nothing_of_it(gateway: Gateway) -> None:
    document = (await gateway.get("/api/openapi.json")).json
    somebody = await member(gateway, "member@example.com")
    routes = [
        (method.upper(), path.replace("{", "a").replace("}", "b"))
        for path, operations in document["paths"].items()
        for method in operations
        if path.startswith("/api/admin/")
    ]
    assert len(routes) >= 20
    for method, path in routes:
        answer = await somebody.call(method, path, {} if method in ("POST", "PATCH") else None)
        assert (answer.status, answer.error["code"]) == (403, "admin_only"), (method, path)
        answer = await gateway.get(path) if method == "GET" else answer
        assert answer.status in (401, 403)


class TestAccounts:
    async def test_found_by_what_is_known_of_them(self, gateway: Gateway, chief: Member) -> None:
        somebody = await member(gateway, "findme@example.com")
        key = await somebody.key("노트북")
        public_id = key.split("_")[1]
        for search in ("FindMe", somebody.account_id, public_id, "findme%40example.com"):
            answer = await chief.call("GET", f"/api/admin/accounts?search={search}")
            (found,) = answer.json["data"]
            assert (found["id"], found["balance"], found["available"]) == (
                somebody.account_id, "9.00", "9.00",
            )  # fmt: skip
            assert found["last_used"] is None
        path = f"/api/admin/accounts/{somebody.account_id}"
        shown = (await chief.call("GET", path)).json
        (listed,) = shown["keys"]
        assert (listed["public_id"], listed["name"]) == (public_id, "노트북")
        assert set(listed["operator_limits"].values()) == {None}
        assert "key" not in listed
        entries = (await chief.call("GET", f"{path}/ledger")).json["data"]
        assert [(entry["kind"], entry["amount"]) for entry in entries] == [("signup", "9.00")]
        answer = await chief.call("GET", "/api/admin/accounts/acc_0")
        assert (answer.status, answer.error["code"]) == (404, "account_not_found")

    async def test_nobody_locks_himself_out(self, chief: Member) -> None:
        path = f"/api/admin/accounts/{chief.account_id}/suspend"
        assert (await chief.call("POST", path, {})).status == 400
        assert (await chief.call("GET", "/api/account")).status == 200

    async def test_a_key_s_allowance_is_the_operator_s_to_give(
        self, gateway: Gateway, chief: Member
    ) -> None:
        somebody = await member(gateway, "allowed@example.com")
        key = await somebody.key()
        path = f"/api/admin/keys/{key.split('_')[1]}"
        limits = {"requests_per_minute": 5_000, "streams_max": 0}
        changed = (await chief.call("PATCH", path, {**limits, "priority": True})).json
        assert changed["operator_limits"] == {**limits, "tokens_per_minute": None}
        assert changed["effective_limits"] == {**limits, "tokens_per_minute": 0}
        assert (changed["priority"], changed["requests_per_minute"]) == (True, None)
        assert "5000 requests/min" in await gateway.administer("keys", "list")
        for wrong in ({"requests_per_minute": -1}, {"budget": "1"}):
            answer = await chief.call("PATCH", path, wrong)
            assert (answer.status, answer.error["param"]) == (400, next(iter(wrong)))
        assert (await chief.call("DELETE", path)).json["revoked"] is not None
        async with asyncio.timeout(WAIT_S):
            while (await gateway.get("/v1/models", key)).status != 401:
                await asyncio.sleep(0.01)
        answer = await chief.call("DELETE", "/api/admin/keys/nobody")
        assert (answer.status, answer.error["code"]) == (404, "key_not_found")
        (line,) = audited(gateway, "key.limit")
        assert (line["target"], line["requests_per_minute"]) == (key.split("_")[1], 5_000)
        assert (line["by"], line["by_email"]) == (chief.account_id, "chief@예시.kr")

    async def test_what_another_administrator_has_changed_stays_or_is_told(
        self, gateway: Gateway, chief: Member
    ) -> None:
        somebody = await member(gateway, "contended@example.com")
        path = f"/api/admin/keys/{(await somebody.key()).split('_')[1]}"
        for body_ in ({"requests_per_minute": 9, "priority": True}, {"streams_max": 0}):
            assert (await chief.call("PATCH", path, body_)).status == 200
        last = (await chief.call("PATCH", path, {"requests_per_minute": 10})).json
        limits = {"requests_per_minute": 10, "tokens_per_minute": None, "streams_max": 0}
        assert (last["operator_limits"], last["priority"]) == (limits, True)
        rows = await chief.call("GET", f"/api/admin/audit?account={somebody.account_id}")
        # Only what is another number now, and what it was.
        assert [row["details"] for row in rows.json["data"]] == [
            {"requests_per_minute": 10, "before": {"requests_per_minute": 9}},
            {"streams_max": 0, "before": {"streams_max": None}},
            {
                "priority": True,
                "requests_per_minute": 9,
                "before": {"priority": False, "requests_per_minute": None},
            },
        ]

    async def test_of_the_operator_s_number_and_the_owner_s_the_stricter_holds(
        self, gateway: Gateway, chief: Member
    ) -> None:
        somebody = await member(gateway, "held@example.com")
        key = await somebody.key()
        own, admin = (f"/api{part}/keys/{key.split('_')[1]}" for part in ("", "/admin"))
        set_by_operator = {"requests_per_minute": 20, "tokens_per_minute": 5_000}
        await chief.call("PATCH", admin, set_by_operator)
        # The third number is as free as if the operator had set none.
        for streams in (7, None, 1):
            assert (await somebody.call("PATCH", own, {"streams_max": streams})).status == 200
        wanted = {"requests_per_minute": 21, "tokens_per_minute": 400, "streams_max": 1}
        facts = (await somebody.call("PATCH", own, wanted)).json
        assert facts | wanted == facts
        assert facts["operator_limits"] == {**set_by_operator, "streams_max": None}
        holds = {"requests_per_minute": 20, "tokens_per_minute": 400, "streams_max": 1}
        assert facts["effective_limits"] == holds
        response = await gateway.post(
            "/v1/chat/completions", json.dumps(body("nobody's", "x")).encode(), key
        )
        assert response.headers["x-ratelimit-limit-requests"] == "20"
        assert response.headers["x-ratelimit-limit-tokens"] == "400"
        # What either takes back is his own, and the other's holds then.
        for lifted in (None, 1_000_000):
            for name, number in set_by_operator.items():
                facts = (await somebody.call("PATCH", own, {name: lifted})).json
                assert facts["effective_limits"][name] == number
        await somebody.call("PATCH", own, wanted)
        facts = (await chief.call("PATCH", admin, dict.fromkeys(set_by_operator))).json
        assert facts["operator_limits"] == dict.fromkeys(wanted)
        assert facts | wanted == facts
        assert facts["effective_limits"]["tokens_per_minute"] == 400
        (shown,) = (await chief.call("GET", f"/api/admin/accounts/{somebody.account_id}")).json[
            "keys"
        ]
        assert shown == facts


class TestGrants:
    async def test_one_that_names_itself_is_booked_once(
        self, gateway: Gateway, chief: Member
    ) -> None:
        somebody = await member(gateway, "given@example.com")
        path = f"/api/admin/accounts/{somebody.account_id}"
        wanted = {"amount": "2.50", "reason": "버그를 찾아 주셨습니다", "reference": "g-1"}
        answers = await asyncio.gather(
            *(chief.call("POST", f"{path}/grants", wanted) for _ in range(8))
        )
        assert {answer.json["balance"] for answer in answers} == {"11.50"}
        for other in ({"amount": "2.51"}, {"amount": "-2.50"}, {"reason": "another"}):
            answer = await chief.call("POST", f"{path}/grants", wanted | other)
            assert (answer.status, answer.error["code"]) == (422, "idempotency_key_reused"), other
        elsewhere = f"/api/admin/accounts/{chief.account_id}/grants"
        assert (await chief.call("POST", elsewhere, wanted)).status == 422
        taken = {"amount": "-1.50", "reason": "too much", "reference": "g-2"}
        for _ in range(2):
            answer = await chief.call("POST", f"{path}/grants", taken)
            assert answer.json["balance"] == "10.00"
        # Without a name each is one of its own.
        for balance in ("11.00", "12.00"):
            unnamed = {"amount": "1", "reason": "r"}
            answer = await chief.call("POST", f"{path}/grants", unnamed)
            assert answer.json["balance"] == balance
        entries = (await chief.call("GET", f"{path}/ledger?limit=4")).json
        assert [entry["amount"] for entry in entries["data"]] == ["1.00", "1.00", "-1.50", "2.50"]
        assert entries["data"][3]["reference"] == f"{chief.account_id}:g-1"
        rest = (await chief.call("GET", f"{path}/ledger?before={entries['next']}")).json
        assert [entry["kind"] for entry in rest["data"]] == ["signup"]
        assert [line["amount"] for line in audited(gateway, "account.grant")] == [
            "2.50", "-1.50", "1.00", "1.00",
        ]  # fmt: skip

    @pytest.mark.parametrize("wrong", [{"amount": "0"}, {"reason": " "}, {"reference": "a:b"}])
    async def test_what_is_none(self, chief: Member, wrong: dict[str, str]) -> None:
        path = f"/api/admin/accounts/{chief.account_id}/grants"
        answer = await chief.call("POST", path, {"amount": "1", "reason": "r", **wrong})
        assert (answer.status, answer.error["param"]) == (400, next(iter(wrong)))


class TestPrices:
    async def models(self, chief: Member) -> dict[str, Any]:
        answer = (await chief.call("GET", "/api/admin/models")).json
        assert answer["margin_ppm"] == 100_000
        return {model["id"]: model for model in answer["data"]}

    async def test_a_price_is_set_shown_used_and_removed(
        self, gateway: Gateway, chief: Member
    ) -> None:
        path = "/api/admin/prices"
        kinds = ("price.set", "price.remove")
        before = [len(audited(gateway, kind)) for kind in kinds]
        wanted = {
            "model": "m-anthropic", "input": "1.00", "output": "2.00", "output_tokens_max": 99,
        }  # fmt: skip
        done = (await chief.call("POST", path, wanted)).json
        assert (done["so_far"], done["parts_lost"], done["price"]["state"]) == (
            None, False, "counts",
        )  # fmt: skip
        later = {**wanted, "input": "1.50", "valid_from": "2099-01-01"}
        assert (await chief.call("POST", path, later)).json["price"]["state"] == "coming"
        models = await self.models(chief)
        assert models["chat"]["alias"]
        assert [one["provider"] for one in models["chat"]["candidates"]] == ["openai", "anthropic"]
        (candidate,) = models["m-anthropic"]["candidates"]
        assert candidate["price"]["own"]
        assert candidate["price"]["rates"] == {"input": "1.00", "output": "2.00"}
        assert [one["valid_from"] for one in candidate["coming"]] == ["2099-01-01"]
        assert candidate["output_tokens_max"] == 99
        listed = (await chief.call("GET", f"{path}?search=ANTHROPIC&limit=1")).json
        assert (listed["total"], len(listed["data"])) == (2, 1)
        # What clients are told follows within a second, with the margin that accounts pay.
        somebody = await member(gateway, "pays@example.com")
        key = await somebody.key()

        async def shown() -> Response:
            return await gateway.get("/v1/models/m-anthropic", key)

        found = await until(shown, lambda model: model["pricing"] is not None)
        assert found["pricing"]["input"] == "1.10"
        one = f"{path}?model=m-anthropic"
        assert (await chief.call("DELETE", f"{one}&valid_from=2099-01-01")).json == {"removed": 1}
        assert (await chief.call("DELETE", one)).json == {"removed": 1}
        answer = await chief.call("DELETE", one)
        assert (answer.status, answer.error["code"]) == (404, "price_not_found")
        after = [len(audited(gateway, kind)) for kind in kinds]
        assert after == [count + 2 for count in before]

    async def test_an_odd_price_is_taken_with_force_alone(self, chief: Member) -> None:
        path = "/api/admin/prices"
        odd = {"model": "odd", "input": "1.00", "output": "2.00", "cached_input": "1.50"}
        answer = await chief.call("POST", path, odd)
        assert (answer.status, answer.error["param"]) == (400, "force")
        assert "cached input is dearer" in answer.error["message"]
        assert (await chief.call("POST", path, odd | {"force": True})).status == 200
        leap = {"model": "odd", "input": "200.00", "output": "300.00"}
        answer = await chief.call("POST", path, leap)
        assert (answer.status, answer.error["param"]) == (400, "force")
        assert (await chief.call("DELETE", f"{path}?model=odd")).json == {"removed": 1}

    @pytest.mark.parametrize(
        "wrong",
        [
            {"input": "free"},
            {"output": "-1"},
            {"reasoning": "1000001"},
            {"model": "m\n"},
            {"valid_from": "2026-02-30"},
            {"shutdown": "soon"},
            {"successor": "n"},
            {"context_tokens_max": 0},
            {"tiers": []},
        ],
    )
    async def test_what_is_no_price(self, chief: Member, wrong: dict[str, Any]) -> None:
        price = {"model": "m", "input": "1", "output": "1", **wrong}
        answer = await chief.call("POST", "/api/admin/prices", price)
        assert (answer.status, answer.error["param"]) == (400, next(iter(wrong)))

    async def test_a_price_with_tiers_is_lost_with_notice(self, chief: Member) -> None:
        """The shipped price of a model that nobody serves here."""
        path = "/api/admin/prices"
        wanted = {"model": "gpt-6.1-sol", "input": "2.00", "output": "10.00"}
        done = (await chief.call("POST", path, wanted)).json
        assert done["parts_lost"]
        assert not done["so_far"]["own"]
        assert {part["service_tier"] for part in done["so_far"]["parts"]} == {
            None, "flex", "priority",
        }  # fmt: skip
        assert (await chief.call("DELETE", f"{path}?model=gpt-6.1-sol")).status == 200


class TestGoingOn:
    async def test_who_runs_who_waits_and_how_one_is_stopped(
        self, gateway: Gateway, chief: Member, provider: ScriptedProvider
    ) -> None:
        prompts = [provider.play(endless) for _ in range(2)]
        aware = websocket.connect(gateway.port, gateway.key, subprotocols=[websocket.SUBPROTOCOL])
        async with aware as socket:
            for prompt in prompts:
                socket.send_json({"type": "create", "ref": prompt, "request": body(MODEL, prompt)})
                await socket.receive_type("started")
                await socket.receive_type("chunk" if prompt == prompts[0] else "queued")

            async def streams() -> Response:
                return await chief.call("GET", "/api/admin/streams")

            answer = await until(
                streams,
                lambda found: [one["state"] for one in found["data"]] == ["queued", "answering"],
            )
            assert (answer["running"], answer["next"]) == (2, None)
            waiting, running = answer["data"]
            assert (running["account"], running["model"], running["followers"]) == (
                "operator", MODEL, 1,
            )  # fmt: skip
            assert (running["provider"], running["calls"]) == ("openai", 1)
            assert running["chunks"] >= 2
            assert (waiting["provider"], waiting["calls"], waiting["chunks"]) == ("openai", 0, 0)
            page = (await chief.call("GET", "/api/admin/streams?limit=1")).json
            assert [one["id"] for one in page["data"]] == [waiting["id"]]
            page = (await chief.call("GET", f"/api/admin/streams?before={page['next']}")).json
            assert [one["id"] for one in page["data"]] == [running["id"]]
            page = (await chief.call("GET", f"/api/admin/streams?account={chief.account_id}")).json
            assert page["data"] == []

            queue = (await chief.call("GET", "/api/admin/queue")).json["data"]
            (line,) = [one for one in queue if one["provider"] == "openai"]
            assert (line["running"], line["streams_max"], line["waiting"]) == (1, 1, 1)
            assert (line["waiting_max"], line["wait_max_ms"]) == (7, 50_000)
            classes = {one["service_class"]: one for one in line["classes"]}
            assert list(classes) == ["priority", "default", "flex"]
            assert (classes["default"]["waiting"], classes["flex"]["oldest_ms"]) == (1, None)
            assert 0 <= classes["default"]["oldest_ms"] < WAIT_S * 1000

            for stream in (running, waiting):
                stopped = await chief.call("POST", f"/api/admin/streams/{stream['id']}/stop", {})
                assert stopped.json["state"] == "ending"
                done = await socket.receive_type("done")
                assert (done["stream_id"], done["finish_reason"]) == (stream["id"], "cancelled")
            # The provider is left at once.
            await (await provider.exchange(prompts[0])).until_gone(WAIT_S)
            await until(streams, lambda found: found["running"] == 0)
        again = await chief.call("POST", f"/api/admin/streams/{running['id']}/stop", {})
        assert (again.status, again.error["code"]) == (404, "stream_not_found")
        for action in ("stream.stop", "stream.stopped"):
            rows = (await chief.call("GET", f"/api/admin/audit?action={action}")).json["data"]
            assert [(row["target"], row["details"]["model"]) for row in rows] == [
                (waiting["id"], MODEL), (running["id"], MODEL),
            ]  # fmt: skip
            lines = audited(gateway, action)
            assert [line["target"] for line in lines] == [running["id"], waiting["id"]]

    async def test_a_cursor_that_is_none(self, chief: Member) -> None:
        answer = await chief.call("GET", "/api/admin/streams?before=x")
        assert (answer.status, answer.error["param"]) == (400, "before")

    async def test_providers(self, chief: Member) -> None:
        providers = (await chief.call("GET", "/api/admin/providers")).json["data"]
        assert [one["name"] for one in providers] == ["anthropic", "demo", "openai"]


async def test_vouchers_are_made_listed_and_good(gateway: Gateway, chief: Member) -> None:
    path = "/api/admin/vouchers"
    made = (
        await chief.call("POST", path, {"amount": "5.00", "count": 3, "batch": "가을 행사"})
    ).json
    assert (len(set(made["codes"])), made["amount"], made["expires"]) == (3, "5.00", None)
    somebody = await member(gateway, "redeems@example.com")
    redeemed = await somebody.call("POST", "/api/vouchers/redeem", {"code": made["codes"][0]})
    assert redeemed.json["balance"] == "14.00"
    page = (await chief.call("GET", f"{path}?batch={quote('가을 행사')}&limit=2")).json
    rest = (await chief.call("GET", f"{path}?before={page['next']}")).json
    assert rest["next"] is None
    found = page["data"] + rest["data"]
    assert sorted(one["state"] for one in found) == ["good", "good", "redeemed"]
    (used,) = [one for one in found if one["state"] == "redeemed"]
    assert used["account"] == somebody.account_id
    assert all(code not in json.dumps(found) for code in made["codes"])
    for wrong in ({"amount": "0"}, {"count": 1_001}, {"batch": ""}, {"expires": "2020-01-01"}):
        request = {"amount": "1", "batch": "b", **wrong}
        answer = await chief.call("POST", path, request)
        assert (answer.status, answer.error["param"]) == (400, next(iter(wrong)))
    (line,) = audited(gateway, "vouchers.make")
    assert (line["target"], line["count"], line["amount"]) == ("가을 행사", 3, "5.00")
    assert all(code not in gateway.log() for code in made["codes"])


def told(line: dict[str, Any]) -> dict[str, Any]:
    """Return what a line of the log says besides what every line has."""
    ordinary = {"time", "level", "logger", "message", "action", "target", "by", "by_email"}
    return {name: value for name, value in line.items() if name not in {*ordinary, "account"}}


class TestAudit:
    PATH = "/api/admin/audit"

    async def test_a_change_is_in_the_list_as_it_is_in_the_log(
        self, gateway: Gateway, chief: Member
    ) -> None:
        somebody = await member(gateway, "listed@example.com")
        public_id = (await somebody.key()).split("_")[1]
        account = f"/api/admin/accounts/{somebody.account_id}"
        wanted = {"amount": "2.50", "reason": "버그를 찾아 주셨습니다", "reference": "a-1"}
        price = {"model": "audited", "input": "1.00", "output": "2.00"}
        steps: list[tuple[str, str, Any]] = [
            ("POST", f"{account}/grants", wanted),
            ("POST", f"{account}/suspend", {"reason": "도난 카드"}),
            ("POST", f"{account}/unsuspend", {}),
            ("PATCH", f"/api/admin/keys/{public_id}", {"streams_max": 3}),
            ("DELETE", f"/api/admin/keys/{public_id}", None),
            ("POST", "/api/admin/prices", price),
            ("DELETE", "/api/admin/prices?model=audited", None),
            ("POST", "/api/admin/vouchers", {"amount": "1", "batch": "감사 행사"}),
        ]
        for method, path, body_ in steps:
            answer = await chief.call(method, path, body_)
            assert answer.status in (200, 201), answer.body
        rows = (await chief.call("GET", f"{self.PATH}?limit={len(steps)}")).json["data"]
        assert [row["action"] for row in reversed(rows)] == [
            "account.grant", "account.suspend", "account.unsuspend", "key.limit", "key.revoke",
            "price.set", "price.remove", "vouchers.make",
        ]  # fmt: skip
        for row in rows:
            line = audited(gateway, row["action"])[-1]
            assert {name: row[name] for name in ("target", "by", "by_email")} == {
                "target": line["target"], "by": chief.account_id, "by_email": "chief@예시.kr",
            }  # fmt: skip
            assert row["details"] == told(line)
        about = (await chief.call("GET", f"{self.PATH}?account={somebody.account_id}")).json
        assert [row["action"] for row in about["data"]] == [
            "key.revoke", "key.limit", "account.unsuspend", "account.suspend", "account.grant",
        ]  # fmt: skip
        assert about["data"][3]["details"] == {"reason": "도난 카드"}
        assert about["data"][4]["details"] == {
            "amount": "2.50",
            "reason": "버그를 찾아 주셨습니다",
            "reference": f"{chief.account_id}:a-1",
        }
        # What changed nothing is no change.
        lines = len(audited(gateway))
        for method, path, body_ in (steps[0], steps[2], steps[3], steps[4]):
            assert (await chief.call(method, path, body_)).status == 200
        assert (await chief.call("DELETE", "/api/admin/prices?model=audited")).status == 404
        again = (await chief.call("GET", f"{self.PATH}?limit=1")).json["data"]
        assert again == rows[:1]
        for _ in range(2):
            assert (await chief.call(*steps[1])).status == 200
        assert (await chief.call(*steps[2])).status == 200
        newest = (await chief.call("GET", f"{self.PATH}?limit=3")).json["data"]
        actions = ["account.unsuspend", "account.suspend", "vouchers.make"]
        assert [row["action"] for row in newest] == actions
        assert len(audited(gateway)) == lines + 2
        out = await gateway.administer("audit", "--account", somebody.account_id, "--limit", "1")
        assert "account.unsuspend" in out
        assert "chief@예시.kr" in out

    async def test_page_by_page_and_by_days(self, chief: Member) -> None:
        for number in range(3):
            made = {"amount": "1", "batch": f"쪽 {number}"}
            assert (await chief.call("POST", "/api/admin/vouchers", made)).status == 201
        every, path = [], f"{self.PATH}?action=vouchers.make&limit=2"
        page = (await chief.call("GET", path)).json
        every += page["data"]
        while page["next"] is not None:
            page = (await chief.call("GET", f"{path}&before={page['next']}")).json
            every += page["data"]
        assert [row["target"] for row in every[:3]] == ["쪽 2", "쪽 1", "쪽 0"]
        numbers = [row["number"] for row in every]
        assert numbers == sorted(set(numbers), reverse=True)
        whole = (await chief.call("GET", f"{self.PATH}?action=vouchers.make&limit=500")).json
        assert (whole["data"], whole["next"]) == (every, None)
        assert (await chief.call("GET", f"{self.PATH}?to=2020-01-01")).json["data"] == []
        today = (await chief.call("GET", f"{self.PATH}?from=2020-01-01&limit=1")).json["data"]
        assert today == every[:1]
        for wrong in ("before=x", "limit=0", "limit=501", "from=2026-02-30", "from=x", "key=k"):
            answer = await chief.call("GET", f"{self.PATH}?{wrong}")
            assert (answer.status, answer.error["param"]) == (400, wrong.split("=")[0]), wrong

    async def test_nobody_changes_it(self, chief: Member) -> None:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert (await chief.call(method, self.PATH, {})).status in (404, 405)


class TestLedgerCheck:
    PATH = "/api/admin/ledger/check"

    async def checked(self, chief: Member) -> dict[str, Any]:
        before = (await chief.call("GET", self.PATH)).json["last"]
        answer = await chief.call("POST", self.PATH, {})
        assert answer.status == 202

        async def status() -> Response:
            return await chief.call("GET", self.PATH)

        found = await until(
            status, lambda now: now["running_since"] is None and now["last"] is not before
        )
        last: dict[str, Any] = found["last"]
        return last

    async def test_right_books_have_no_difference(self, chief: Member) -> None:
        check = await self.checked(chief)
        assert (check["by"], check["fault"]) == ("chief@예시.kr", None)
        rows = (await chief.call("GET", "/api/admin/audit?limit=1")).json["data"]
        assert (rows[0]["action"], rows[0]["target"]) == ("ledger.check", "ledger")
        audit = check["audit"]
        assert (audit["differences"], audit["sentences"], audit["sum"]) == (0, [], "0.00")
        assert {book["difference"] for book in audit["books"]} == {"0.00"}
        names = [book["book"] for book in audit["books"]]
        assert {"accounts", "account:operator", "issued:signup"} <= set(names)
        assert audit["transfers"] > 0

    async def test_wrong_ones_have(self, gateway: Gateway, chief: Member, directory: Path) -> None:
        def change(by: int) -> None:
            with closing(sqlite3.connect(gateway.data_dir / "tokenferry.db")) as database:
                database.execute(
                    "UPDATE ledger_book SET debits_nanos = debits_nanos + ? "
                    "WHERE book = 'issued:signup'",
                    (by,),
                )
                database.commit()

        change(7)
        try:
            audit = (await self.checked(chief))["audit"]
        finally:
            change(-7)
        assert (audit["differences"], audit["sum"]) == (1, "-0.000000007")
        assert "the balance of issued:signup" in audit["sentences"][0]
        (book,) = [one for one in audit["books"] if one["book"] == "issued:signup"]
        assert book["difference"] == "0.000000007"
        assert "differences in the books: 1" in gateway.log()


async def test_a_role_is_given_and_taken_by_the_command_line(gateway: Gateway) -> None:
    somebody = await member(gateway, "promoted@example.com")
    path = "/api/admin/providers"
    assert (await somebody.call("GET", path)).status == 403
    told = await gateway.administer("accounts", "role", somebody.email, "admin")
    assert told == "promoted@example.com is an administrator\n"
    # The login that there is has it at once.
    assert (await somebody.call("GET", path)).status == 200
    await gateway.administer("accounts", "role", somebody.email, "member")
    assert (await somebody.call("GET", path)).status == 403
