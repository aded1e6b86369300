"""The prices that Tokenferry brings along: dated data, `prices.toml` beside this module.

A table of it is the plain form of `domain.price_terms`, with the models that it is for, their
vendor, and dates in place of milliseconds. A date is a day in UTC.
"""

import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from importlib.resources import files
from typing import Any

from tokenferry.domain.price_form import (
    TermsUnusable,
    read_terms,
)
from tokenferry.domain.pricing import Price

SHIPPED_FILE = "prices.toml"


def shipped_prices() -> tuple[Price, ...]:
    """Return the prices that Tokenferry brings along."""
    text = files(__package__).joinpath(SHIPPED_FILE).read_text(encoding="utf-8")
    return read_prices(text)


def read_prices(text: str) -> tuple[Price, ...]:
    """Read a price list in TOML.

    Raises:
        TermsUnusable: If it is none, or two of its prices are for the same model and day; the
            message names the model.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise TermsUnusable(f"the price list is no TOML: {exc}") from exc
    seen = document.pop("date", None)
    tables = document.pop("prices", None)
    if not _is_date(seen):
        raise TermsUnusable("the price list has no `date`")
    if document or not isinstance(tables, list):
        raise TermsUnusable("the price list has something else than `date` and `[[prices]]`")
    prices = tuple(price for table in tables for price in _read_table(table, f"Tokenferry, {seen}"))
    known = set()
    for price in prices:
        if (price.model, price.valid_from_ms) in known:
            raise TermsUnusable(f"{price.model}: has two prices for the same day")
        known.add((price.model, price.valid_from_ms))
    return prices


def day_ms(day: date) -> int:
    """Return the first moment of a day in UTC, Unix time."""
    return int(datetime.combine(day, time(), UTC).timestamp()) * 1000


def day_of(moment_ms: int) -> str:
    """Return the day of a moment in UTC, as `2026-11-26`."""
    return datetime.fromtimestamp(moment_ms // 1000, UTC).date().isoformat()


def _read_table(table: Mapping[str, Any], source: str) -> Iterator[Price]:
    plain = dict(table)
    models = plain.pop("models", None)
    if not isinstance(models, list) or not models or not all(map(_is_name, models)):
        raise TermsUnusable("a price has no `models`, a list of names")
    if "vendor" not in plain:
        raise TermsUnusable(f"{models[0]}: vendor is missing")
    try:
        begin = _take_day(plain, "valid_from")
        if (end := _take_day(plain, "shutdown")) is not None:
            plain["shutdown_ms"] = end
        terms = read_terms(plain)
    except TermsUnusable as exc:
        raise TermsUnusable(f"{models[0]}: {exc}") from exc
    for model in models:
        yield Price(model, begin or 0, terms, source)


def _take_day(plain: dict[str, Any], name: str) -> int | None:
    value = plain.pop(name, None)
    if value is None:
        return None
    if not _is_date(value):
        raise TermsUnusable(f"{name} is not a date such as 2026-11-26")
    return day_ms(value)


def _is_date(value: object) -> bool:
    return isinstance(value, date) and not isinstance(value, datetime)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value)
