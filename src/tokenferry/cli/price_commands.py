"""The commands for prices: list, set, remove, import. Amounts are USD per million tokens."""

import argparse
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from tokenferry.cli.main import EXIT_FAULT, EXIT_OK, EXIT_USAGE, print_fault
from tokenferry.cli.terminal import database, explained, table
from tokenferry.config.prices import day_ms, day_of, shipped_prices
from tokenferry.domain.money import format_dollars
from tokenferry.domain.price_entry import (
    TYPED_RATES,
    EntryUnusable,
    PriceEntry,
    has_more,
    known_price,
    oddities,
)
from tokenferry.domain.price_form import write_terms
from tokenferry.domain.price_import import (
    Imported,
    ImportUnusable,
    PassedOver,
    Refused,
    convert,
    read_rows,
)
from tokenferry.domain.price_terms import Rates, Scale, Terms
from tokenferry.domain.pricing import Price, PriceBook
from tokenferry.stores.sqlite_prices import SqlitePrices

# LiteLLM's list has 3.5 MB.
FILE_BYTES_MAX = 64 * 1024 * 1024
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_HEADER = ("MODEL", "INPUT", "CACHED", "WRITE", "OUTPUT", "FROM", "SOURCE", "MORE")
# Rates that have no column of their own, and in which one they are shown.
_EXTRA = (("cache_write_1h", 3), ("audio_input", 1), ("reasoning", 4), ("audio_output", 4))


class _Wrong(Exception):
    """The command cannot be done as it was typed; the message says why."""


def list_prices(arguments: argparse.Namespace) -> int:
    """Print the prices that count now and those that will, or everything about one model."""
    with explained():
        shipped, own = shipped_prices(), _own(database(arguments))
        if arguments.model is None:
            rows = [_row(price) for price in _in_force(shipped, own)]
        else:
            found = [price for price in (*own, *shipped) if _is_of(price, arguments.model)]
            if not found:
                print_fault(
                    f"no price of {arguments.model!r} is known; `tokenferry prices list` shows all"
                )
                return EXIT_FAULT
            rows = [row for price in found for row in (_row(price), *_details(price.terms))]
        sys.stdout.write(table([_HEADER, *rows]))
        return EXIT_OK
    return EXIT_FAULT


def set_price(arguments: argparse.Namespace) -> int:
    """Store one price of the operator's own."""
    with explained():
        try:
            price = _typed(arguments)
            path = database(arguments)
            known = _known(PriceBook(shipped_prices(), _own(path)), price.model)
            if not arguments.force:
                _check(price, known)
        except _Wrong as exc:
            print_fault(str(exc))
            return EXIT_USAGE
        with closing(SqlitePrices(path)) as store:
            store.put([price], _now_ms())
        sys.stdout.write(table([_HEADER, _row(price)]))
        if known is not None and has_more(known.terms) and not has_more(price.terms):
            sys.stderr.write(
                "The price so far has tiers, hours or service tiers; this one has none.\n"
            )
        return EXIT_OK
    return EXIT_FAULT


def remove_price(arguments: argparse.Namespace) -> int:
    """Remove prices of the operator's own."""
    with explained():
        try:
            begin = _day("--valid-from", arguments.valid_from)
        except _Wrong as exc:
            print_fault(str(exc))
            return EXIT_USAGE
        path = database(arguments)
        removed = 0
        if path.exists():
            with closing(SqlitePrices(path)) as store:
                removed = store.remove(arguments.model, begin)
        if not removed:
            print_fault(f"no price of {arguments.model!r} was set here, for that day or at all")
            return EXIT_FAULT
        sys.stdout.write(f"{removed} removed\n")
        return EXIT_OK
    return EXIT_FAULT


def import_prices(arguments: argparse.Namespace) -> int:
    """Store the prices of a file in the form of LiteLLM's list."""
    with explained():
        try:
            begin = _begin(arguments)
            rows = read_rows(_read(arguments.file))
        except (_Wrong, ImportUnusable) as exc:
            print_fault(f"{arguments.file}: {exc}" if isinstance(exc, ImportUnusable) else str(exc))
            return EXIT_USAGE
        path = database(arguments)
        book = PriceBook(shipped_prices(), _own(path))
        done: list[Imported | Refused | PassedOver] = []
        for model, row in rows.items():
            if fnmatchcase(model, arguments.only):
                known = _known(book, model)
                rates = None if known is None else known.terms.scale.rates
                done.append(convert(model, row, rates, force=arguments.force))
        source = f"{arguments.file.name}, {day_of(_now_ms())}"
        prices = [_imported(one, begin, source) for one in done if isinstance(one, Imported)]
        changed = [price for price in prices if not _same(book.known(price.model, begin), price)]
        if changed and not arguments.dry_run:
            with closing(SqlitePrices(path)) as store:
                store.put(changed, _now_ms())
        if arguments.dry_run and changed:
            sys.stdout.write(table([_HEADER, *map(_row, changed)]))
        _report(done, len(changed), len(prices), dry_run=arguments.dry_run)
        return EXIT_OK if prices else EXIT_FAULT
    return EXIT_FAULT


def _report(
    done: Sequence[Imported | Refused | PassedOver], changed: int, taken: int, *, dry_run: bool
) -> None:
    refused = [one for one in done if isinstance(one, Refused)]
    sys.stderr.writelines(f"refused: {one.model!r}: {one.reason}\n" for one in refused)
    sys.stderr.writelines(
        f"odd: {one.model!r}: {warning}\n"
        for one in done
        if isinstance(one, Imported)
        for warning in one.warnings
    )
    would = "would be " if dry_run else ""
    sys.stdout.write(
        f"{changed} {would}imported, {taken - changed} known already, {len(refused)} refused, "
        f"{len(done) - taken - len(refused)} for something else than text\n"
    )


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as exc:
        raise _Wrong(f"cannot read {path}: {exc.strerror}") from exc
    if len(data) > FILE_BYTES_MAX:
        raise _Wrong(f"{path} has more than {FILE_BYTES_MAX} bytes: that is no price list")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise _Wrong(f"{path} is no UTF-8 text") from exc


def _imported(one: Imported, begin: int, source: str) -> Price:
    terms = one.terms
    if one.end is not None and (end := _parse_day(one.end)) is not None:
        terms = replace(terms, shutdown_ms=end)
    return Price(one.model, begin, terms, source)


def _same(known: Price | None, price: Price) -> bool:
    return known is not None and known.terms == price.terms


def _typed(arguments: argparse.Namespace) -> Price:
    """Return the price that the options say."""
    entry = PriceEntry(
        arguments.model,
        {
            name: text
            for name in TYPED_RATES
            if (text := getattr(arguments, name, None)) is not None
        },
        _begin(arguments),
        f"set {day_of(_now_ms())}",
        arguments.context,
        arguments.output_max,
        _day("--shutdown", arguments.shutdown),
        arguments.successor,
    )
    try:
        return entry.price()
    except EntryUnusable as exc:
        if exc.field == "model":
            raise _Wrong(f"a model's name {exc.reason}") from None
        if exc.field == "successor":
            raise _Wrong("--successor needs --shutdown DATE") from None
        raise _Wrong(f"--{exc.field.replace('_', '-')} {exc.reason}") from None


def _check(price: Price, known: Price | None) -> None:
    if reasons := oddities(price, known):
        raise _Wrong(f"{price.model}: {'; '.join(reasons)}; --force takes it all the same")


def _begin(arguments: argparse.Namespace) -> int:
    """Return from when a price holds: the day that was given, else today."""
    begin = _day("--valid-from", arguments.valid_from)
    return day_ms(datetime.fromtimestamp(_now_ms() // 1000, UTC).date()) if begin is None else begin


def _day(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    if (found := _parse_day(text)) is None:
        raise _Wrong(f"{option} is {text!r}, not a day such as 2026-12-01")
    return found


def _parse_day(text: str) -> int | None:
    try:
        return day_ms(date.fromisoformat(text)) if _DAY.fullmatch(text) else None
    except ValueError:
        return None


def _own(path: Path) -> list[Price]:
    if not path.exists():
        return []
    with closing(SqlitePrices(path)) as store:
        return store.all()


def _known(book: PriceBook, model: str) -> Price | None:
    return known_price(book, model, _now_ms())


def _in_force(shipped: Sequence[Price], own: Sequence[Price]) -> Iterator[Price]:
    """Yield by name the price that counts, then those that begin later."""
    now_ms = _now_ms()
    book = PriceBook(shipped, own)
    later: dict[str, list[Price]] = {}
    for price in sorted((*own, *shipped), key=lambda price: (price.model, price.valid_from_ms)):
        later.setdefault(price.model, [])
        if price.valid_from_ms > now_ms:
            later[price.model].append(price)
    for name, prices in later.items():
        if (known := book.known(name, now_ms)) is not None:
            yield known
        yield from prices


def _is_of(price: Price, model: str) -> bool:
    return price.model == model or price.model.endswith(f"/{model}")


def _row(price: Price) -> tuple[str, ...]:
    begin = day_of(price.valid_from_ms) if price.valid_from_ms else ""
    return (price.model, *_shown(price.terms.scale.rates), begin, price.source, _more(price.terms))


def _shown(rates: Rates) -> tuple[str, ...]:
    shown = (rates.input, rates.cached_input, rates.cache_write, rates.output)
    return tuple(map(format_dollars, shown))


def _more(terms: Terms) -> str:
    found = []
    if terms.scale.tiers:
        found.append("tiers")
    if terms.windows:
        found.append("hours")
    found += terms.service_tiers
    if terms.shutdown_ms is not None:
        instead = f", then {terms.successor}" if terms.successor else ""
        found.append(f"ends {day_of(terms.shutdown_ms)}{instead}")
    return "; ".join(found)


def _details(terms: Terms) -> Iterator[tuple[str, ...]]:
    """Yield rows for what else a price says."""
    yield from _scale_details("", terms.scale)
    plain = write_terms(terms)
    for hours, window in zip(plain.get("windows", ()), terms.windows, strict=True):
        label = f"{hours['from']}-{hours['to']} UTC {hours.get('days', '')}".rstrip()
        yield _detail(label, window.scale.rates)
        yield from _scale_details(f"{label} ", window.scale)
    for name, scale in terms.service_tiers.items():
        yield _detail(name, scale.rates)
        yield from _scale_details(f"{name} ", scale)


def _scale_details(label: str, scale: Scale) -> Iterator[tuple[str, ...]]:
    given = scale.rates.given()
    for name, column in _EXTRA:
        if name in given:
            cells = [""] * len(_HEADER)
            cells[0] = f"  {label}{name.replace('_', ' ')}"
            cells[column] = format_dollars(given[name])
            yield tuple(cells)
    for tier in scale.tiers:
        yield _detail(f"{label}above {tier.above_prompt_tokens} tokens", tier.rates)


def _detail(label: str, rates: Rates) -> tuple[str, ...]:
    return (f"  {label}", *_shown(rates), "", "", "")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
