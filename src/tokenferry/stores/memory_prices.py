"""The in-memory store of prices, for tests of whatever needs a `PriceStore`."""

from collections.abc import Sequence

from tokenferry.domain.pricing import Price
from tokenferry.engine.audit_trail import AuditEntry


class MemoryPrices:
    """Prices that live as long as the process.

    Attributes:
        entries: What was written of the audit trail.
    """

    def __init__(self) -> None:
        self._prices: dict[tuple[str, int], Price] = {}
        self._version = 0
        self.entries: list[AuditEntry] = []

    def put(self, prices: Sequence[Price], now_ms: int, entry: AuditEntry | None = None) -> None:
        """Store prices; see `PriceStore`."""
        del now_ms
        self._prices |= {(price.model, price.valid_from_ms): price for price in prices}
        self._version += 1
        self.entries += [] if entry is None else [entry]

    def remove(
        self, model: str, valid_from_ms: int | None = None, entry: AuditEntry | None = None
    ) -> int:
        """Remove a model's price, or all that it has; see `PriceStore`."""
        found = [key for key in self._prices if key[0] == model and valid_from_ms in (None, key[1])]
        for key in found:
            del self._prices[key]
        self._version += bool(found)
        self.entries += [entry] if entry is not None and found else []
        return len(found)

    def all(self) -> list[Price]:
        """Return every price, by model and moment."""
        return [self._prices[key] for key in sorted(self._prices)]

    def data_version(self) -> int:
        """Return the number of writes."""
        return self._version

    def close(self) -> None:
        """Do nothing."""
