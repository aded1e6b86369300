"""What things cost: the store of the operator's own prices as a port, and the live price book.

The book is kept in memory and made anew when the store has changed, which is asked for once a
second at most. A price that a command sets counts for requests that begin `FRESH_S` later.

Weakness: the question goes to the store in the caller's thread. With SQLite it takes some
microseconds, and half a millisecond when something else in the file has changed.
"""

import logging
from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from tokenferry.domain.pricing import Listing, Price, PriceBook, Retirement, Tariff
from tokenferry.domain.routing import Candidate, Catalog
from tokenferry.engine.audit_trail import AuditEntry
from tokenferry.engine.keys import StoreUnusable
from tokenferry.errors import ModelNotFound, ModelRetired

log = logging.getLogger(__name__)

FRESH_S = 1.0


class PriceStore(Protocol):
    """Where the operator's own prices are kept. Every method may raise `StoreUnusable`."""

    def put(self, prices: Sequence[Price], now_ms: int, entry: AuditEntry | None = None) -> None:
        """Store prices, all or none, in place of those for the same models and moments.

        The entry is written with them.
        """

    def remove(
        self, model: str, valid_from_ms: int | None = None, entry: AuditEntry | None = None
    ) -> int:
        """Remove a model's price, or all that it has; return how many there were.

        The entry is written with it, if there was any.
        """

    def all(self) -> list[Price]:
        """Return every price, by model and moment."""

    def data_version(self) -> Hashable:
        """Return what is another one after every write to the prices, by whichever process."""

    def close(self) -> None:
        """Let go of the store; idempotent."""


class Prices(Protocol):
    """What the engine asks. A `PriceBook` is one, and so is `LivePrices`."""

    def tariff(
        self,
        provider: str,
        model: str,
        now_ms: int,
        *,
        service_tier: str | None = None,
        margin_ppm: int = 0,
    ) -> Tariff | None:
        """Return what a request costs that is begun now; see `PriceBook`."""

    def listing(self, provider: str, model: str, now_ms: int) -> Listing | None:
        """Return what there is to say of a model; see `PriceBook`."""

    def retirement(self, provider: str, model: str, now_ms: int) -> Retirement | None:
        """Return why a model is served no more; see `PriceBook`."""


class LivePrices:
    """The price book as it is now.

    Args:
        store: The operator's own prices.
        shipped: What Tokenferry brings along.
        clock: Monotonic seconds.

    Raises:
        StoreUnusable: If the store fails. Later on its failures are logged, and what was read
            before goes on counting.
    """

    def __init__(
        self, store: PriceStore, shipped: Sequence[Price], clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._shipped = shipped
        self._clock = clock
        self._refreshed_s = clock()
        self._version = store.data_version()
        self._book = PriceBook(shipped, store.all())
        self._fault = ""

    @property
    def book(self) -> PriceBook:
        """The book, at most a second old."""
        now_s = self._clock()
        if now_s - self._refreshed_s >= FRESH_S:
            self._refreshed_s = now_s
            try:
                self._refresh()
            except StoreUnusable as exc:
                # Once, not every second.
                if self._fault != str(exc):
                    log.error("prices cannot be read anew, the old ones count: %s", exc)  # noqa: TRY400 -- the message says all
                self._fault = str(exc)
        return self._book

    def tariff(
        self,
        provider: str,
        model: str,
        now_ms: int,
        *,
        service_tier: str | None = None,
        margin_ppm: int = 0,
    ) -> Tariff | None:
        """Return what a request costs that is begun now; see `PriceBook`."""
        return self.book.tariff(
            provider, model, now_ms, service_tier=service_tier, margin_ppm=margin_ppm
        )

    def listing(self, provider: str, model: str, now_ms: int) -> Listing | None:
        """Return what there is to say of a model; see `PriceBook`."""
        return self.book.listing(provider, model, now_ms)

    def retirement(self, provider: str, model: str, now_ms: int) -> Retirement | None:
        """Return why a model is served no more; see `PriceBook`."""
        return self.book.retirement(provider, model, now_ms)

    def _refresh(self) -> None:
        # Asked before the prices are read: what is written in between is read again.
        version = self._store.data_version()
        if version != self._version:
            self._book = PriceBook(self._shipped, self._store.all())
            self._version = version
        self._fault = ""


def serving(
    catalog: Catalog, prices: Prices, providers: Iterable[str], name: str, now_ms: int
) -> tuple[list[Candidate], ModelRetired | None]:
    """Return who still serves a model, and the error for those of its candidates that do not.

    Args:
        catalog: Which model is served by whom.
        prices: Which models their providers serve no more.
        providers: The names of all that are configured.
        name: What the client asks for.
        now_ms: Unix time.

    Raises:
        ModelRetired: If it is not configured, or no more, since its provider has shut it down.
        ModelNotFound: If it is not configured.
    """
    try:
        candidates = catalog.resolve(name)
    except ModelNotFound:
        for provider in providers:
            end = prices.retirement(provider, name.removeprefix(f"{provider}/"), now_ms)
            if end is not None:
                raise retired(provider, end) from None
        raise
    gone = None
    left = []
    for candidate in candidates:
        end = prices.retirement(*candidate, now_ms)
        if end is None:
            left.append(candidate)
        else:
            gone = gone or retired(candidate.provider, end)
    return left, gone


def retired(provider: str, retirement: Retirement) -> ModelRetired:
    """Return the error for a model that its provider serves no more."""
    day = datetime.fromtimestamp(retirement.shutdown_ms // 1000, UTC).date().isoformat()
    remedy = "Ask for another model; GET /v1/models lists all."
    if retirement.successor is not None:
        remedy = f"Ask for {retirement.successor} in its place."
    error = ModelRetired(
        f"{retirement.model} was shut down by {provider} on {day}. {remedy}", param="model"
    )
    error.details = {"successor": retirement.successor, "shutdown_date": day}
    return error
