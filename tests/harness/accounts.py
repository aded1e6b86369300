"""What tests do with the accounts of a running gateway."""

import json
from dataclasses import dataclass
from typing import Any

from harness.gateway import Gateway
from harness.http_client import Response, fetch

PASSWORD = "correct horse"
COOKIE = "tokenferry_session"


async def call(
    gateway: Gateway,
    method: str,
    path: str,
    body: Any = None,
    token: str | None = None,
    **headers: str,
) -> Response:
    """Send a request to the API, with a JSON body if there is one."""
    every = {name.replace("_", "-"): value for name, value in headers.items()}
    data = None
    if body is not None:
        data = json.dumps(body).encode()
        every.setdefault("Content-Type", "application/json")
    if token is not None:
        every["Authorization"] = f"Bearer {token}"
    return await fetch(gateway.port, method, path, headers=every, body=data)


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody with an account, logged in."""

    gateway: Gateway
    email: str
    account_id: str
    token: str

    async def call(self, method: str, path: str, body: Any = None) -> Response:
        return await call(self.gateway, method, path, body, self.token)

    async def key(self, name: str = "k", **terms: Any) -> str:
        """Make a key and return its text."""
        response = await self.call("POST", "/api/keys", {"name": name, **terms})
        assert response.status == 201, response.body
        return str(response.json["key"])


def logged_in(somebody: Member) -> dict[str, Any]:
    """Return what a new browser context has of somebody who is logged in."""
    cookie = {"name": COOKIE, "value": somebody.token, "url": somebody.gateway.url}
    return {"storage_state": {"cookies": [cookie], "origins": []}}


async def sign_up(gateway: Gateway, email: str) -> Response:
    return await call(gateway, "POST", "/api/accounts", {"email": email, "password": PASSWORD})


async def log_in(gateway: Gateway, email: str, password: str = PASSWORD) -> Member:
    response = await call(gateway, "POST", "/api/sessions", {"email": email, "password": password})
    assert response.status == 201, response.body
    answer = response.json
    return Member(gateway, answer["account"]["email"], answer["account"]["id"], answer["token"])


async def member(gateway: Gateway, email: str) -> Member:
    """Sign up and log in."""
    response = await sign_up(gateway, email)
    assert (response.status, response.json) == (201, {"state": "active"}), response.body
    return await log_in(gateway, email)


async def administrator(gateway: Gateway, email: str) -> Member:
    """Make an administrator's account as an operator does, and log in."""
    await gateway.administer(
        "accounts", "create", email, "--admin", "--password-stdin", typed=f"{PASSWORD}\n"
    )
    return await log_in(gateway, email)
