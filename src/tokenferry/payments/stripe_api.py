"""Calls of Stripe's API by its SDK: answers as plain objects, lists page by page, errors sorted.

The requests go over httpx. The SDK's own client for it hands the body over in a way that httpx has
deprecated, waits 80 seconds, and reads answers of any length.

Source: stripe-python 16.1 (November 2026), whose `HTTPClient` says what is asked of a client.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NoReturn

import httpx
import stripe

from tokenferry.engine.payments import ProviderRefuses, ProviderUnsure
from tokenferry.payments.api_call import ANSWER_BYTES_MAX, CONNECT_TIMEOUT_S
from tokenferry.payments.stripe_answer import fault, flag, text

# The largest page there is, and so many of them that only a fault has more.
PAGE_ITEMS = 100
PAGES_MAX = 1_000
# What the SDK raises over something that is JSON, but not such as Stripe's.
STUMBLES = (AttributeError, KeyError, IndexError, TypeError, ValueError, RecursionError)


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
    # The SDK tries again with the same Idempotency-Key. Its errors have no types.
    error = stripe.APIConnectionError(why, should_retry=True)  # type: ignore[no-untyped-call]
    raise error from None


class StripeApi:
    """An account's API.

    Args:
        secret_key: Its key.
        api_url: Where it is.
        timeout_s: How long an answer is waited for.
        retries: How many times an unanswered call is repeated at once, with its idempotency key.
    """

    def __init__(self, secret_key: str, api_url: str, timeout_s: float, retries: int) -> None:
        self._secrets = (secret_key,)
        # The only switch there is. Telemetry also leaves a file in the home directory.
        stripe.enable_telemetry = False
        self._http = StripeHttp(timeout_s)
        self.sdk = stripe.StripeClient(
            secret_key,
            base_addresses={"api": api_url.rstrip("/")},
            max_network_retries=retries,
            http_client=self._http,
        )

    async def close(self) -> None:
        """Let go of connections; idempotent."""
        await self._http.close_async()

    async def each(
        self,
        what: str,
        listing: Callable[..., Awaitable[stripe.StripeObject]],
        wanted: Mapping[str, Any],
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield what is in a list, page after page.

        Args:
            what: What is done, for the errors.
            listing: The SDK's method; it is called with the page's parameters.
            wanted: Which things are listed.

        Raises:
            ProviderUnsure: If Stripe does not answer, or with something else.
        """
        params: dict[str, Any] = {**wanted, "limit": PAGE_ITEMS}
        for _ in range(PAGES_MAX):
            page = await self.get(what, listing(params))
            items = page.get("data")
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise ProviderUnsure(f"{what}: an answer without a list")
            for item in items:
                yield item
            if not flag(page, "has_more"):
                return
            if not items:
                raise ProviderUnsure(f"{what}: an empty page that is not the last")
            params["starting_after"] = text(items[-1], "id")
        raise ProviderUnsure(f"{what}: more than {PAGES_MAX} pages")

    async def get(self, what: str, call: Awaitable[stripe.StripeObject]) -> dict[str, Any]:
        """Ask where no refusal is an answer: that something is unknown says nothing of money.

        Raises:
            ProviderUnsure: If Stripe does not answer, or does not know it.
        """
        try:
            return await self.ask(what, call)
        except ProviderRefuses as exc:
            raise ProviderUnsure(f"{what}: {exc}") from None

    async def ask(self, what: str, call: Awaitable[stripe.StripeObject]) -> dict[str, Any]:
        """Return what a call of the SDK returns.

        Raises:
            ProviderUnsure: If it is not known what Stripe has done.
            ProviderRefuses: If Stripe says that it does not do it.
        """
        try:
            answer: Any = (await call).to_dict()
        except stripe.StripeError as exc:
            # Not chained: the SDK's text may quote the key.
            raise fault(what, exc, self._secrets) from None
        except STUMBLES as exc:
            raise ProviderUnsure(f"{what}: an answer that is none: {type(exc).__name__}") from exc
        if not isinstance(answer, dict):
            raise ProviderUnsure(f"{what}: an answer that is no object")
        return answer
