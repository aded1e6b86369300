"""The in-memory store of prices, for tests of whatever needs a `PriceStore`."""

from collections.abc import Sequence

from tokenferry.domain.pricing import Price


class MemoryPrices:
    """Prices that live as long as the process."""

    def __init__(self) -> None:
        self._prices: dict[tuple[str, int], Price] = {}
        self._version = 0

    def put(self, prices: Sequence[Price], now_ms: int) -> None:
        """Store prices; see `PriceStore`."""
        del now_ms
        self._prices |= {(price.model, price.valid_from_ms): price for price in prices}
        self._version += 1

    def remove(self, model: str, valid_from_ms: int | None = None) -> int:
        """Remove a model's price, or all that it has; see `PriceStore`."""
        found = [key for key in self._prices if key[0] == model and valid_from_ms in (None, key[1])]
        for key in found:
            del self._prices[key]
        self._version += bool(found)
        return len(found)

    def all(self) -> list[Price]:
        """Return every price, by model and moment."""
        return [self._prices[key] for key in sorted(self._prices)]

    def data_version(self) -> int:
        """Return the number of writes."""
        return self._version

    def close(self) -> None:
        """Do nothing."""
