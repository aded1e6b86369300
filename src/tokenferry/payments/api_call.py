"""One call to a payment provider's HTTP API, and what its answer may be taken for.

What is not understood is never taken for "not paid": it is `ProviderUnsure`, and asked again.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import httpx

from tokenferry.engine.payments import ProviderUnsure

# A provider confirms a payment with a bank meanwhile.
TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 5.0
# A page of a list is the largest.
ANSWER_BYTES_MAX = 4 * 1024 * 1024
_CONFLICT = 409
_TOO_MANY = 429
_SERVER_FAULT = 500
_ERROR = 400


class Answer(NamedTuple):
    """What a provider said.

    Attributes:
        status: The HTTP status: 2xx, 4xx other than 409 and 429, or one that was to be spoken.
        body: The decoded JSON: an object, or a list.
    """

    status: int
    body: Any

    @property
    def is_error(self) -> bool:
        """Whether the provider says no."""
        return self.status >= _ERROR

    def text(self, name: str) -> str:
        """Return a field that is a text; empty if it is none."""
        value = self.body.get(name) if isinstance(self.body, dict) else None
        return value if isinstance(value, str) else ""


class Api:
    """A provider's API.

    Args:
        base_url: Its address, without a slash at the end.
        headers: What every request carries: the credential.
        spoken: Statuses with which this provider answers, although with others they leave open
            what was done: such as a 409 that is a refusal.
    """

    def __init__(
        self, base_url: str, headers: Mapping[str, str], spoken: Collection[int] = ()
    ) -> None:
        self._spoken = frozenset(spoken)
        self._client = httpx.AsyncClient(
            base_url=base_url,
            headers={"accept": "application/json", **headers},
            timeout=httpx.Timeout(TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            follow_redirects=False,
        )

    async def get(self, path: str, query: Mapping[str, str | int] | None = None) -> Answer:
        """Ask for something.

        Raises:
            ProviderUnsure: If there is no answer, or none that says anything.
        """
        return await self._call("GET", path, query=query)

    async def post(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Have something done.

        Raises:
            ProviderUnsure: If it is not known whether it was done.
        """
        return await self._call("POST", path, body=body, headers=headers)

    async def close(self) -> None:
        """Let go of connections; idempotent."""
        await self._client.aclose()

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        data = bytearray()
        try:
            async with self._client.stream(
                method, path, params=query, json=body, headers=headers
            ) as response:
                async for chunk in response.aiter_bytes():
                    data += chunk
                    if len(data) > ANSWER_BYTES_MAX:
                        raise ProviderUnsure(f"{method} {path}: the answer is too long")
        except httpx.HTTPError as exc:
            raise ProviderUnsure(f"{method} {path}: {type(exc).__name__} {exc}") from exc
        status = response.status_code
        unclear = status in (_CONFLICT, _TOO_MANY) or status >= _SERVER_FAULT
        if unclear and status not in self._spoken:
            raise ProviderUnsure(f"{method} {path}: HTTP {status}")
        try:
            decoded = json.loads(data)
        except ValueError as exc:
            raise ProviderUnsure(f"{method} {path}: HTTP {status} with no JSON") from exc
        if not isinstance(decoded, dict | list) or not (status < 300 or status >= _ERROR):  # noqa: PLR2004
            raise ProviderUnsure(f"{method} {path}: HTTP {status} with neither object nor list")
        return Answer(status, decoded)
