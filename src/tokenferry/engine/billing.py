"""Money around one stream: what is held before it, what it costs, what is booked after it.

The operator's own account is metered and never refused: nothing is held for it, unless its key has
a budget.

Source: docs/decisions/0010-money.md.
Weakness: the prompt's tokens are an estimate, with a quarter on top. What a prompt costs beyond it
is taken from the account's free credit, and where there is none the gateway bears it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tokenferry.domain.fair_queue import class_of
from tokenferry.domain.ledger import OPERATOR, Charge, Refusal
from tokenferry.domain.money import format_dollars
from tokenferry.domain.pricing import Tariff
from tokenferry.domain.usage import Usage, estimate_tokens
from tokenferry.engine.bill import Bill
from tokenferry.engine.keys import Key, StoreUnusable
from tokenferry.engine.ledger import Held, Hold
from tokenferry.engine.prices import Prices
from tokenferry.engine.settlement import Settlement
from tokenferry.errors import (
    BudgetExceeded,
    InsufficientCredit,
    ModelNotAllowed,
    ModelNotPriced,
    PaymentRequired,
    ServiceTierNotAllowed,
    StorageUnavailable,
    TokenferryError,
)
from tokenferry.protocol.chat import ChatRequest, Part

# Where neither the request nor the price book says how long an answer may be.
OUTPUT_TOKENS_DEFAULT = 32_768
# What an estimate of the prompt is raised by: a quarter, and something for each message and image.
# OpenAI counts four tokens of form a message; the largest images count about 1,600 at all vendors.
MARGIN_DIVISOR = 4
MESSAGE_TOKENS = 8
IMAGE_TOKENS = 1_600
# Of a file or of sound, in base64. A PDF of dense pages has some 25, a voice in mp3 100 and more.
DATA_CHARACTERS_PER_TOKEN = 16
# What they are likely to count, where nobody has counted: OpenAI's figure for an image of a million
# points, a PDF of some text, speech in mp3.
IMAGE_TOKENS_LIKELY = 765
FILE_CHARACTERS_PER_TOKEN_LIKELY = 32
AUDIO_CHARACTERS_PER_TOKEN_LIKELY = 128


class Offered(Protocol):
    """A candidate."""

    @property
    def provider(self) -> str:
        """The provider's configured name."""

    @property
    def model(self) -> str:
        """Its own name for the model."""


class Asked(Offered, Protocol):
    """A candidate, and the request as it is translated for it."""

    @property
    def output_tokens_max(self) -> int | None:
        """See `engine.ports.Prepared`."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator has decided.

    Attributes:
        margin_ppm: What accounts pay above list prices.
        hold_tokens_min: The least output there must be credit for.
        serves_unpriced: Whether accounts get models without a price, for nothing.
        top_up_url: Where more credit is had; None if nobody said.
    """

    margin_ppm: int = 0
    hold_tokens_min: int = 256
    serves_unpriced: bool = False
    top_up_url: str | None = None


class Billing:
    """Puts money before and after streams.

    Args:
        prices: What models cost.
        settlement: The queue in front of the books.
        rules: What the operator has decided.
        wall_ms: The wall clock, Unix time.
    """

    def __init__(
        self, prices: Prices, settlement: Settlement, rules: Rules, wall_ms: Callable[[], int]
    ) -> None:
        self._prices = prices
        self._settlement = settlement
        self._rules = rules
        self._wall_ms = wall_ms

    def bill(self, key: Key, request: ChatRequest, candidates: Sequence[Asked]) -> Bill:
        """Return the money of a request that is about to become a stream.

        In this order: the key's models, its service tiers, then a price that is known.

        Raises:
            ModelNotAllowed: If the key is for other models.
            ServiceTierNotAllowed: If the key may not go before others.
            ModelNotPriced: If nobody could say what it costs.
        """
        if not key.may_ask_for(request.model):
            raise ModelNotAllowed(
                f"This key may not ask for {request.model[:100]!r}. GET /v1/models lists what it "
                "may ask for.",
                param="model",
            )
        if class_of(request.service_tier) == "priority" and not key.has_priority:
            raise ServiceTierNotAllowed(
                "This key may not ask for `priority`. Ask without `service_tier`, or have the "
                "operator allow it: `tokenferry keys limit --priority`.",
                param="service_tier",
            )
        now_ms = self._wall_ms()
        tariffs = self._tariffs(key.account_id, candidates, request.service_tier, now_ms)
        bill = Bill(key.account_id, key.public_id, request.model, now_ms, tariffs, self._settlement)
        bill.budget_nanos = key.budget_nanos
        bill.needs_hold = key.is_limited or key.budget_nanos is not None
        if bill.needs_hold:
            self._weigh(bill, request, candidates, is_limited=key.is_limited)
        return bill

    def estimate(
        self, key: Key, request: ChatRequest, candidates: Sequence[Asked]
    ) -> dict[str, object]:
        """Return what a request may cost, in decimal USD; None where no price is known.

        `cost_max` is what would be held for it: the raised estimate of the prompt and the longest
        answer, at the dearest rates. `prompt_cost` is the prompt alone, as it is likely counted.

        Raises:
            ModelNotAllowed: As `bill` does.
            ModelNotPriced: As `bill` does.
        """
        bill = self.bill(key, request, candidates)
        if not bill.needs_hold:
            self._weigh(bill, request, candidates, is_limited=False)
        tokens = estimate_tokens(request.prompt_text()) + beside_text(request)
        tariff = next(iter(bill.tariffs.values()))
        prompt = None if tariff is None else tariff.cost(Usage(tokens, 0)).charge_nanos
        return {
            "prompt_tokens": tokens,
            "prompt_cost": None if prompt is None else format_dollars(prompt),
            "cost_max": None if tariff is None else format_dollars(bill.wanted_nanos),
            "currency": "USD",
        }

    def restored(
        self,
        key_id: str,
        account_id: str,
        model: str,
        created_ms: int,
        candidates: Sequence[Offered],
    ) -> Bill:
        """Return the money of a stream that an earlier process has begun; its hold is there."""
        tariffs = self._tariffs(account_id, candidates, None, created_ms)
        return Bill(account_id, key_id, model, created_ms, tariffs, self._settlement)

    def reserve(
        self, stream_id: str, bill: Bill, then: Callable[[TokenferryError | None], None]
    ) -> None:
        """Hold what a stream may cost; `then` gets why not, or None."""

        def decided(result: Held | Refusal | StoreUnusable) -> None:
            if isinstance(result, StoreUnusable):
                bill.is_refused = True
                then(StorageUnavailable("The ledger cannot be written now. Try again later."))
            elif isinstance(result, Refusal):
                bill.is_refused = True
                then(self._refused(result))
            else:
                if result.amount_nanos < bill.wanted_nanos:
                    bill.output_tokens_max = _affordable(bill, result.amount_nanos)
                then(None)

        self._settlement.reserve(
            Hold(
                stream_id,
                bill.account_id,
                bill.key_id,
                bill.wanted_nanos,
                bill.least_nanos,
                bill.budget_nanos,
                self._wall_ms(),
            ),
            decided,
        )

    @property
    def is_failing(self) -> bool:
        """Whether requests are refused because the books take nothing."""
        return self._settlement.is_refusing

    def charge(self, charge: Charge) -> None:
        """Book what a stream cost; it ends its reservation."""
        self._settlement.charge(charge)

    def _tariffs(
        self,
        account_id: str,
        candidates: Sequence[Offered],
        service_tier: str | None,
        moment_ms: int,
    ) -> dict[tuple[str, str], Tariff | None]:
        margin_ppm = 0 if account_id == OPERATOR else self._rules.margin_ppm
        return {
            (candidate.provider, candidate.model): self._prices.tariff(
                candidate.provider,
                candidate.model,
                moment_ms,
                service_tier=service_tier,
                margin_ppm=margin_ppm,
            )
            for candidate in candidates
        }

    def _weigh(
        self, bill: Bill, request: ChatRequest, candidates: Sequence[Asked], *, is_limited: bool
    ) -> None:
        """Say how much is to be held."""
        bill.prompt_tokens = prompt_tokens = _raised(request)
        bill.choice_count = request.choice_count
        asked = request.output_tokens_max
        for candidate in candidates:
            tariff = bill.tariffs[candidate.provider, candidate.model]
            if tariff is None or tariff.unknown_service_tier is not None:
                if is_limited and not (tariff is None and self._rules.serves_unpriced):
                    raise _not_priced(request, tariff)
                continue
            limit = asked or tariff.output_tokens_max or OUTPUT_TOKENS_DEFAULT
            limit = max(limit, candidate.output_tokens_max or 0)
            least = limit if asked else min(limit, self._rules.hold_tokens_min)
            count = bill.choice_count
            bill.wanted_nanos = max(
                bill.wanted_nanos, tariff.hold_nanos(prompt_tokens, limit * count)
            )
            bill.least_nanos = max(
                bill.least_nanos, tariff.hold_nanos(prompt_tokens, least * count)
            )

    def _refused(self, refusal: Refusal) -> PaymentRequired:
        needed, free = format_dollars(refusal.needed_nanos), format_dollars(refusal.free_nanos)
        error: PaymentRequired
        if refusal.reason == "budget_exceeded":
            error = BudgetExceeded(
                f"This key's budget for the month has {free} USD left; the request may cost "
                f"{needed} USD. Raise the budget, ask for less output, or wait for the next month."
            )
        else:
            where = f" at {self._rules.top_up_url}" if self._rules.top_up_url else ""
            error = InsufficientCredit(
                f"The account has {free} USD of free credit; the request may cost {needed} USD. "
                f"Top up{where}, or ask for less output with `max_tokens`."
            )
        error.details = {
            "needed": needed,
            "available": free,
            "missing": format_dollars(refusal.needed_nanos - refusal.free_nanos),
            "top_up_url": self._rules.top_up_url,
        }
        return error


def beside_text(request: ChatRequest) -> int:
    """Return what a prompt is likely to count beside its text: tools, images, files, sound."""
    tokens = _declared(request)
    for message in request.messages:
        if isinstance(message.content, list):
            tokens += sum(map(_likely_tokens, message.content))
    return tokens


def _likely_tokens(part: Part) -> int:
    if part.image_url is not None:
        return IMAGE_TOKENS_LIKELY
    if part.file is not None:
        return len(part.file.file_data or "") // FILE_CHARACTERS_PER_TOKEN_LIKELY
    if part.input_audio is not None:
        return len(part.input_audio.data) // AUDIO_CHARACTERS_PER_TOKEN_LIKELY
    return 0


def _declared(request: ChatRequest) -> int:
    """Return what the forms of tools and of the answer count."""
    tokens = 0
    for name in ("tools", "functions", "response_format"):
        if (raw := request.fields.get(name)) is not None:
            tokens += estimate_tokens(bytes(raw).decode("utf-8", "replace"))
    return tokens


def _raised(request: ChatRequest) -> int:
    """Return an estimate of the prompt that most providers' counts stay below."""
    tokens = estimate_tokens(request.prompt_text()) + _declared(request)
    media = 0
    for message in request.messages:
        # Providers count some of it, and of some messages: what led to a call of a tool.
        if message.reasoning_content:
            tokens += estimate_tokens(message.reasoning_content)
        if message.refusal:
            tokens += estimate_tokens(message.refusal)
        if message.reasoning_details:
            tokens += estimate_tokens(str(message.reasoning_details))
        if isinstance(message.content, list):
            media += sum(map(_media_tokens, message.content))
            tokens += sum(estimate_tokens(part.refusal or "") for part in message.content)
    tokens += tokens // MARGIN_DIVISOR + MESSAGE_TOKENS * (len(request.messages) + 1)
    return tokens + media


def _media_tokens(part: Part) -> int:
    """Return what a part may count that is no text."""
    data = ""
    if part.file is not None:
        data = part.file.file_data or ""
    elif part.input_audio is not None:
        data = part.input_audio.data
    elif part.image_url is None and (part.text is not None or part.refusal is not None):
        return 0
    return max(IMAGE_TOKENS, len(data) // DATA_CHARACTERS_PER_TOKEN)


def _affordable(bill: Bill, held_nanos: int) -> int:
    """Return how long each answer may be, at whichever candidate."""
    return min(
        max(1, tariff.output_tokens_for(held_nanos, bill.prompt_tokens) // bill.choice_count)
        for tariff in bill.tariffs.values()
        if tariff is not None
    )


def _not_priced(request: ChatRequest, tariff: Tariff | None) -> ModelNotPriced:
    name = request.model[:100]
    if tariff is not None:
        return ModelNotPriced(
            f"No price is known for the service tier {tariff.unknown_service_tier!r:.60} of "
            f"{name!r}. Ask without `service_tier`.",
            param="service_tier",
        )
    return ModelNotPriced(
        f"No price is known for {name!r}, so that accounts cannot be charged for it. The operator "
        "can set one: `tokenferry prices set`.",
        param="model",
    )
