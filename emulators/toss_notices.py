"""The notices of the emulated Toss Payments: what is sent, when, how often and in which order.

Notices of payments are not signed. One that is not answered with 200 is kept for `retry`.

Source: docs.tosspayments.com, "Webhooks", November 2026.
"""

import asyncio
import copy
import json
import secrets
from collections.abc import Callable
from typing import Any

import aiohttp

Json = dict[str, Any]
TIMEOUT_S = 10.0


class Notice:
    """A notice: its body, and how many times it was sent again."""

    def __init__(self, body: Json, stamp: str) -> None:
        self.id = secrets.token_hex(8)
        self.body = json.dumps(body, ensure_ascii=False).encode()
        self.stamp = stamp
        self.retried = 0

    def headers(self) -> dict[str, str]:
        return {
            "content-type": "application/json",
            "tosspayments-webhook-transmission-id": self.id,
            "tosspayments-webhook-transmission-time": self.stamp,
            "tosspayments-webhook-transmission-retried-count": str(self.retried),
        }


class Outbox:
    """Notices to one address.

    Args:
        url: Where they go; None for nowhere.
        stamp: Tells the time as Toss writes it.
    """

    def __init__(self, url: str | None, stamp: Callable[[], str]) -> None:
        self.url = url
        # Whether they are sent at once; otherwise they wait in `held`.
        self.at_once = False
        self.events = {"PAYMENT_STATUS_CHANGED", "DEPOSIT_CALLBACK"}
        self.held: list[Notice] = []
        self.sent: list[tuple[Notice, int]] = []
        self.unanswered: list[Notice] = []
        self._stamp = stamp
        self._before: dict[str, str] = {}
        self._tasks: set[asyncio.Task[int]] = set()

    def changed(self, payment: Json) -> None:
        """Write the notices of a change; a deposit's twice, if both events are registered."""
        status, account = payment["status"], payment["virtualAccount"]
        before = self._before.get(payment["paymentKey"])
        self._before[payment["paymentKey"]] = status
        if "PAYMENT_STATUS_CHANGED" in self.events:
            data = copy.deepcopy(payment)
            event = {"eventType": "PAYMENT_STATUS_CHANGED", "createdAt": self._stamp()}
            self._put({**event, "data": data})
        if "DEPOSIT_CALLBACK" in self.events and account and before != "IN_PROGRESS":
            flat = {"createdAt": self._stamp(), "secret": payment["secret"], "status": status}
            key = payment["lastTransactionKey"]
            self._put({**flat, "transactionKey": key, "orderId": payment["orderId"]})

    async def deliver(self, *, times: int = 1, newest_first: bool = False) -> list[int]:
        """Send what is held, each so many times; return the HTTP statuses of the answers."""
        notices, self.held = self.held[:: -1 if newest_first else 1], []
        return [await self.send(notice) for notice in notices for _ in range(times)]

    def lose(self) -> int:
        """Drop what is held; return how many."""
        lost, self.held = len(self.held), []
        return lost

    async def retry(self) -> list[int]:
        """Send again what was not answered with 200."""
        notices, self.unanswered = self.unanswered, []
        for notice in notices:
            notice.retried += 1
        return [await self.send(notice) for notice in notices]

    async def forge(self, body: Json) -> int:
        """Send a body of somebody else's; it looks like one of Toss's."""
        return await self.send(Notice(body, self._stamp()))

    async def send(self, notice: Notice) -> int:
        """Send a notice; return the HTTP status, 0 for none."""
        if self.url is None:
            return 0
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(self.url, data=notice.body, headers=notice.headers()) as answer,
            ):
                status = answer.status
        except (aiohttp.ClientError, TimeoutError):
            status = 0
        self.sent.append((notice, status))
        if status != 200:
            self.unanswered.append(notice)
        return status

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _put(self, body: Json) -> None:
        notice = Notice(body, self._stamp())
        if not self.at_once:
            self.held.append(notice)
            return
        task = asyncio.get_running_loop().create_task(self.send(notice))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
