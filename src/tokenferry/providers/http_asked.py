"""What a response answers, and where it goes: the answer to a sink, what is left to the gate."""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from tokenferry.domain.capacity_headers import Capacity, is_told, read_capacity
from tokenferry.engine.ports import Sink
from tokenferry.errors import ProviderInvalidResponse
from tokenferry.protocol.chat import ChatRequest
from tokenferry.providers.wire import Decoder, WireFormat

NS_PER_MS = 1_000_000


class Head(NamedTuple):
    """The head of a response.

    Attributes:
        status: HTTP status.
        headers: Lower-case names; repeated headers are joined by a comma.
    """

    status: int
    headers: Mapping[str, str]


class Asked(NamedTuple):
    """What the response answers, and where it goes.

    Attributes:
        provider: The provider's configured name, for messages.
        wire: The provider's dialect.
        request: The request that was sent.
        sink: Where the answer goes.
        body_bytes_max: The limit of a whole answer, of anything that was compressed, of an event.
        heard: Told what the response says is left of the provider's limits; None if nobody asks.
    """

    provider: str
    wire: WireFormat
    request: ChatRequest
    sink: Sink
    body_bytes_max: int
    heard: Callable[[Capacity], None] | None = None

    def hear(self, headers: Mapping[str, str]) -> None:
        """Pass on what a response's headers say of limits; most say nothing."""
        if self.heard is None or not is_told(headers):
            return
        capacity = read_capacity(headers, time.time_ns() // NS_PER_MS)
        if capacity is not None:
            self.heard(capacity)

    def decoder(self) -> Decoder:
        """Return a new reader for the answer."""
        return self.wire.decoder(self.request, self.sink)

    def invalid(self, what: str) -> ProviderInvalidResponse:
        """Return an error that says what is wrong with the response."""
        return ProviderInvalidResponse(f"{self.provider}: {what}.")
