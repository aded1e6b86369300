"""The models that a key may ask for: the one plain HTTP request of this package.

Source: docs/reference/prices.md and the gateway's `/v1/models`. Weakness: it blocks a thread of the
loop's pool while it waits; it is asked for now and then.
"""

import asyncio
import http.client
import json
import ssl as tls
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any, Final

from tokenferry_client import dial, errors, frames
from tokenferry_client.address import Address
from tokenferry_client.events import ErrorInfo
from tokenferry_client.frames import UnreadableFrame

# Some thousand models with their prices.
ANSWER_BYTES_MAX: Final = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Model:
    """A model, or an alias for some.

    Attributes:
        id: What to ask for.
        context_length: How many tokens it takes; None if that is not known.
        pricing: What it costs, as the gateway says it; None if no price is known.
        raw: Everything that the gateway says of it.
    """

    id: str
    context_length: int | None = None
    pricing: dict[str, Any] | None = None
    raw: dict[str, Any] = field(default_factory=dict, repr=False)


class _Unreachable(Exception):
    """There was no answer."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


class AsyncModels:
    """The models of one gateway."""

    def __init__(
        self, address: Address, key: str, timeout_s: float, context: tls.SSLContext | None
    ) -> None:
        self._address = address
        self._url = f"{address.http_url}/v1/models"
        self._key = key
        self._timeout_s = timeout_s
        self._context = context

    async def list(self) -> list[Model]:
        """Return the models that the key may ask for.

        Raises:
            TokenferryError: If the gateway cannot be reached, or refuses.
        """
        try:
            answer = await asyncio.to_thread(self._fetch)
        except _Unreachable as exc:
            info = await dial.explain(self._address, exc.reason, self._timeout_s)
            raise errors.of_info(info) from exc.reason
        found = answer.get("data")
        entries = found if isinstance(found, list) else []
        return [_model(entry) for entry in entries if isinstance(entry, dict)]

    def _fetch(self) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._key}"}
        request = urllib.request.Request(self._url, headers=headers)  # noqa: S310 -- `address` allows http and https only
        try:
            with urllib.request.urlopen(  # noqa: S310 -- as above
                request, timeout=self._timeout_s, context=self._context
            ) as response:
                body = json.loads(response.read(ANSWER_BYTES_MAX))
        except urllib.error.HTTPError as exc:
            with exc:
                raise errors.of_info(_refusal(exc)) from exc
        except urllib.error.URLError as exc:
            raise _Unreachable(exc.reason if isinstance(exc.reason, Exception) else exc) from exc
        except (OSError, http.client.HTTPException) as exc:
            raise _Unreachable(exc) from exc
        except ValueError as exc:
            said = f"{self._url} answers with something else than a Tokenferry gateway does."
            raise errors.of_info(ErrorInfo(errors.NO_GATEWAY, said)) from exc
        return body if isinstance(body, dict) else {}


def _refusal(exc: urllib.error.HTTPError) -> ErrorInfo:
    kind = errors.type_of_status(exc.code)
    try:
        body = json.loads(exc.read(ANSWER_BYTES_MAX))
        info = frames.error_info(body if isinstance(body, dict) else {})
    except (OSError, ValueError, UnreadableFrame):
        return ErrorInfo(f"http_{exc.code}", f"The gateway answers with HTTP {exc.code}.", kind)
    return ErrorInfo(
        info.code,
        info.message,
        info.type or kind,
        info.param,
        info.retryable,
        request_id=exc.headers.get("x-request-id"),
    )


def _model(entry: dict[str, Any]) -> Model:
    context, pricing = entry.get("context_length"), entry.get("pricing")
    return Model(
        str(entry.get("id", "")),
        context if isinstance(context, int) else None,
        pricing if isinstance(pricing, dict) else None,
        entry,
    )
