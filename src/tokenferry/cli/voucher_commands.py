"""The commands that make and list vouchers."""

import argparse
import secrets
import sys
from contextlib import closing
from datetime import datetime

from tokenferry.cli.admin import local_time, now_ms
from tokenferry.cli.main import EXIT_FAULT, EXIT_OK, EXIT_USAGE, print_fault
from tokenferry.cli.terminal import database, existing_database, explained, table
from tokenferry.domain.money import format_dollars
from tokenferry.engine.vouchers import (
    VOUCHERS_MAX,
    NewVoucher,
    VoucherRow,
    new_vouchers,
    wanted_voucher,
)
from tokenferry.stores.sqlite_vouchers import SqliteVouchers


def create_vouchers(arguments: argparse.Namespace) -> int:
    """Make vouchers and print their codes alone, one a line."""
    made_ms = now_ms()
    try:
        wanted = _wanted(arguments, made_ms)
    except ValueError as exc:
        print_fault(str(exc.args[-1]))
        return EXIT_USAGE
    with explained(), closing(SqliteVouchers(database(arguments))) as store:
        codes = new_vouchers(store, wanted, arguments.count, secrets.token_bytes)
        sys.stdout.write("".join(f"{code}\n" for code in codes))
        if sys.stdout.isatty():
            sys.stderr.write("Store them now: they are not shown again.\n")
        return EXIT_OK
    return EXIT_FAULT


def list_vouchers(arguments: argparse.Namespace) -> int:
    """Print vouchers without their codes, the oldest first."""
    with explained():
        with closing(SqliteVouchers(existing_database(arguments, "is nothing"))) as store:
            rows = [_row(voucher) for voucher in store.listing(arguments.batch)]
        header = ("VOUCHER", "BATCH", "USD", "CREATED", "STATE")
        sys.stdout.write(table([header, *rows]))
        return EXIT_OK
    return EXIT_FAULT


def _wanted(arguments: argparse.Namespace, made_ms: int) -> NewVoucher:
    """Return what each voucher is to be like.

    Raises:
        ValueError: If an option's value cannot be; the message says why.
    """
    if not 1 <= arguments.count <= VOUCHERS_MAX:
        raise ValueError(f"make 1 to {VOUCHERS_MAX} vouchers at once")
    batch = arguments.batch
    if batch is None:
        batch = f"{datetime.fromtimestamp(made_ms / 1000).astimezone():%Y-%m-%d %H:%M:%S}"
    expires_ms = None
    if arguments.expires is not None:
        try:
            moment = datetime.fromisoformat(arguments.expires).astimezone()
            expires_ms = int(moment.timestamp() * 1000)
        except (ValueError, OverflowError, OSError):
            raise ValueError("a voucher expires at a day such as 2027-01-01") from None
    return wanted_voucher(arguments.amount, batch, made_ms, expires_ms)


def _row(voucher: VoucherRow) -> tuple[str, ...]:
    state = "good"
    if voucher.redeemed_ms is not None:
        state = f"redeemed {local_time(voucher.redeemed_ms)} by {voucher.account_id}"
    elif voucher.expires_ms is not None:
        word = "expired" if voucher.expires_ms <= now_ms() else "until"
        state = f"{word} {local_time(voucher.expires_ms)}"
    return (
        voucher.voucher_id,
        voucher.batch,
        format_dollars(voucher.amount_nanos),
        local_time(voucher.created_ms),
        state,
    )
