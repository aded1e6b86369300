"""How Stripe's SDK reaches Stripe: over httpx, with time limits and answers of limited length.

The SDK's own client for httpx hands the request's body over in a way that httpx has deprecated,
waits 80 seconds and reads answers of any length.

Source: stripe-python 16.1 (November 2026), whose `HTTPClient` says what is asked of a client.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, NoReturn

import httpx
import stripe

from tokenferry.payments.api_call import ANSWER_BYTES_MAX, CONNECT_TIMEOUT_S


class StripeHttp(stripe.HTTPClient):
    """The part of the SDK that makes a request; it is used by its asynchronous methods only.

    Args:
        timeout_s: How long an answer is waited for.
    """

    name = "httpx"

    def __init__(self, timeout_s: float) -> None:
        super().__init__()
        self._httpx = httpx.AsyncClient(
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, CONNECT_TIMEOUT_S)),
            follow_redirects=False,
        )

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Make one request and return its body, status and headers.

        Raises:
            stripe.APIConnectionError: If there is no answer, or one that is too long.
        """
        data = bytearray()
        try:
            async with self._httpx.stream(
                method.upper(), url, headers=dict(headers), content=post_data
            ) as response:
                async for chunk in response.aiter_bytes():
                    data += chunk
                    if len(data) > ANSWER_BYTES_MAX:
                        _no_answer("the answer is too long")
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            _no_answer(f"{type(exc).__name__} {exc}")
        return bytes(data), response.status_code, response.headers

    def sleep_async(self, secs: float) -> Awaitable[None]:
        """Wait before the SDK tries once more."""
        return asyncio.sleep(secs)

    async def close_async(self) -> None:
        """Let go of connections; idempotent."""
        await self._httpx.aclose()


def _no_answer(why: str) -> NoReturn:
    # The SDK tries again with the same Idempotency-Key.
    raise stripe.APIConnectionError(why, should_retry=True) from None
