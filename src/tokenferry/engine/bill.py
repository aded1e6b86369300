"""The bill of one stream: what its candidates cost, what is held for it, what it comes to.

Source: docs/decisions/0010-money.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from tokenferry.domain.ledger import OPERATOR, Charge
from tokenferry.domain.money import format_dollars
from tokenferry.domain.pricing import Cost, Tariff
from tokenferry.domain.routing import Try
from tokenferry.domain.usage import Usage
from tokenferry.engine.admission import Admission
from tokenferry.errors import CreditUsedUp
from tokenferry.protocol.frames import Terminal, encode, wire_error

MS_PER_S = 1000
_NOTHING = Usage(0, 0)
_USED_UP = CreditUsedUp("The credit for this answer is used up. Top up, and ask for the rest.")


class Books(Protocol):
    """What a bill needs of the books."""

    def charge(self, charge: Charge) -> None:
        """Book a charge."""

    def balance(self, account_id: str) -> int | None:
        """Return an account's balance after all charges so far; None if it is not known."""


class End(NamedTuple):
    """How a stream ended, as far as its bill says it.

    Attributes:
        finish: The finish reason, "cancelled" or "error".
        error_code: The error's kind.
        tries: The calls that were made; empty if it is not known.
        provider: That candidate's provider.
        provider_model: The provider's own name for the model.
        service_tier: The one that the provider reported.
        first_token_s: Seconds from the request to the first token.
        duration_s: Seconds from the request to the end.
    """

    finish: str
    error_code: str | None
    tries: tuple[Try, ...]
    provider: str
    provider_model: str
    service_tier: str | None
    first_token_s: float | None
    duration_s: float


@dataclass(slots=True)
class Bill:
    """The money of one stream.

    Attributes:
        account_id: Who pays.
        key_id: Public id of the key that asked.
        model: What the client asked for.
        created_ms: Unix time of the request.
        tariffs: What each candidate, a (provider, model), costs; None where no price is known.
        books: Where it is booked.
        wanted_nanos: The most that it may cost; 0 where nothing is held.
        least_nanos: The least that is worth beginning with.
        budget_nanos: The key's budget.
        needs_hold: Whether credit must be held before it begins.
        is_refused: Whether it was not: nothing was begun, so nothing is booked.
        prompt_tokens: The raised estimate of the prompt.
        choice_count: How many answers are asked for.
        output_tokens_max: What the reservation affords each of them; None where nothing limits it.
        admission: What it holds of the limits; None if it is over already.
    """

    account_id: str
    key_id: str
    model: str
    created_ms: int
    tariffs: Mapping[tuple[str, str], Tariff | None]
    books: Books
    wanted_nanos: int = 0
    least_nanos: int = 0
    budget_nanos: int | None = None
    needs_hold: bool = False
    is_refused: bool = False
    prompt_tokens: int = 0
    choice_count: int = 1
    output_tokens_max: int | None = None
    admission: Admission | None = None

    def charge(self, stream_id: str, usage: Usage | None, end: End) -> Charge | None:
        """Return what is to be booked; None if nothing was begun."""
        if self.is_refused:
            return None
        cost = self._cost(end, usage)
        used = usage or _NOTHING
        duration_ms = round(end.duration_s * MS_PER_S)
        return Charge(
            stream_id=stream_id,
            account_id=self.account_id,
            key_id=self.key_id,
            model=self.model,
            provider=end.provider,
            provider_model=end.provider_model,
            created_ms=self.created_ms,
            ended_ms=self.created_ms + duration_ms,
            prompt_tokens=used.prompt_tokens,
            cached_tokens=used.cached_tokens,
            cache_write_tokens=used.cache_write_tokens,
            completion_tokens=used.completion_tokens,
            reasoning_tokens=used.reasoning_tokens,
            estimated=used.estimated,
            cost_nanos=None if cost is None else cost.charge_nanos,
            list_nanos=None if cost is None else cost.list_nanos,
            cache_saved_nanos=0 if cost is None else cost.cache_saved_nanos,
            finish=end.finish,
            error_code=end.error_code,
            attempts=len(end.tries) or 1,
            first_token_ms=(
                None if end.first_token_s is None else round(end.first_token_s * MS_PER_S)
            ),
            duration_ms=duration_ms,
            tries=encode(end.tries).decode() if end.tries else "",
        )

    def complete(self, terminal: Terminal, charge: Charge | None) -> None:
        """Say in a terminal record what the stream costs, and what is to be booked."""
        terminal.charge = charge
        if charge is not None and charge.cost_nanos is not None:
            terminal.cost = format_dollars(charge.cost_nanos)
        terminal.balance = self._balance(charge)
        if self.output_tokens_max is not None and "length" in terminal.finish_reasons:
            terminal.notice = wire_error(_USED_UP)

    def settle(self, charge: Charge | None) -> None:
        """Book it, and give back what it holds of the limits."""
        if self.admission is not None:
            used = 0 if charge is None else charge.prompt_tokens + charge.completion_tokens
            self.admission.close(used)
        if charge is not None:
            self.books.charge(charge)

    def _balance(self, charge: Charge | None) -> str | None:
        """Return what the account has after a charge that is about to be booked, in decimal USD.

        None for the operator, who owes nothing to himself.
        """
        if self.account_id == OPERATOR:
            return None
        balance = self.books.balance(self.account_id)
        cost = 0 if charge is None else charge.cost_nanos or 0
        return None if balance is None else format_dollars(max(0, balance - cost))

    def _cost(self, end: End, usage: Usage | None) -> Cost | None:
        tariff = self.tariffs[end.provider, end.provider_model]
        if tariff is None:
            return None
        return Cost(0, 0, 0) if usage is None else tariff.cost(usage, end.service_tier)
