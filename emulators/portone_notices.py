"""The notices of the emulated PortOne: signed by Standard Webhooks, and sent, or not.

Source: PortOne's guide to webhooks (developers.portone.io repository at af926bd, August 2026) and
standardwebhooks.com.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import aiohttp

from emulators.portone_payments import Payment, named, stamp

WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"secret of the emulator's notices").decode()
TIMEOUT = aiohttp.ClientTimeout(total=10)


def signature(secret: str, notice_id: str, timestamp: str, body: bytes) -> str:
    """Return the signature of a notice, `v1,…`."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{notice_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


class Notices:
    """Sends notices.

    Args:
        url: Where to; None for nowhere.
        clock: Returns Unix time.

    Attributes:
        mode: `send`, at once and before anything else happens; `hold`, until they are released;
            `lose`.
        held: What is held back, or was not accepted: the kind, headers and body of each.
        sent: What was sent, with the answer's status; 0 for none.
    """

    def __init__(self, url: str | None, clock: Callable[[], float]) -> None:
        self.url = url
        self.mode = "send"
        self.held: list[tuple[dict[str, str], bytes]] = []
        self.sent: list[tuple[dict[str, str], bytes, int]] = []
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._made = 0

    async def tell(
        self, payment: Payment, kind: str, cancellation_id: str | None = None
    ) -> tuple[dict[str, str], bytes]:
        """Send a notice of a payment, or what the mode says; return its headers and body."""
        data = {
            "storeId": payment.store_id,
            "paymentId": payment.id,
            "transactionId": payment.transaction_id,
        }
        if cancellation_id:
            data["cancellationId"] = cancellation_id
        headers, body = self.make({"type": f"Transaction.{kind}", "data": data})
        accepted = self.mode == "send" and 200 <= await self.send(headers, body) < 300
        if not accepted and self.mode != "lose":
            self.held.append((headers, body))
        return headers, body

    def make(
        self, notice: dict[str, Any], *, secret: str = WEBHOOK_SECRET, age_s: float = 0
    ) -> tuple[dict[str, str], bytes]:
        """Return the headers and body of a signed notice, sent so long ago."""
        now_s = self._clock() - age_s
        self._made += 1
        body = json.dumps({"timestamp": stamp(now_s), **notice}, ensure_ascii=False).encode()
        return self._signed(named("notice", self._made), body, secret, int(now_s)), body

    def _signed(self, notice_id: str, body: bytes, secret: str, now_s: int) -> dict[str, str]:
        return {
            "webhook-id": notice_id,
            "webhook-timestamp": str(now_s),
            "webhook-signature": signature(secret, notice_id, str(now_s), body),
            "content-type": "application/json",
        }

    async def send(self, headers: dict[str, str], body: bytes) -> int:
        """Send a notice now; return the answer's status, 0 for none."""
        if self.url is None:
            return 200
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=TIMEOUT)
        try:
            async with self._session.post(self.url, data=body, headers=headers) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError):
            status = 0
        self.sent.append((headers, body, status))
        return status

    async def release(self, *, reverse: bool = False, times: int = 1) -> int:
        """Send what is held back, signed anew as retries are; return how many.

        Args:
            reverse: The last first.
            times: How often each.
        """
        held, self.held = self.held, []
        for headers, body in reversed(held) if reverse else held:
            now_s = int(self._clock())
            signed = self._signed(headers["webhook-id"], body, WEBHOOK_SECRET, now_s)
            for _ in range(times):
                await self.send(signed, body)
        return len(held)

    async def close(self) -> None:
        """Let go of connections."""
        if self._session is not None:
            await self._session.close()
