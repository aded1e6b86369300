"""Who sells nothing pays nothing for it."""

import subprocess
import sys

from tokenferry.config import Settings
from tokenferry.config.payment_settings import PaymentSettings
from tokenferry.server.payment_site import _packages

LOADED = (
    "import sys, tokenferry.server.app; "
    "print([name for name in ('stripe', 'httpx', 'portone_server_sdk') if name in sys.modules])"
)


def test_the_sdks_are_not_loaded_before_somebody_sells():
    """They take 30 MB, and half a second of the start."""
    out = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert out.stdout == "[]\n"


def test_packages_are_named_by_their_price_and_carry_their_rate():
    payments = PaymentSettings(
        packages_usd=("5.00", "20"),
        packages_krw=("10000",),
        krw_per_usd=1_450_500_000,
        krw_rate_date="2026-11-27",
    )
    packages = _packages(Settings(payments=payments))
    assert list(packages) == ["USD-500", "USD-2000", "KRW-10000"]
    assert packages["USD-2000"].credit_nanos == 20 * 10**9
    won = packages["KRW-10000"]
    assert (won.credit_nanos, won.note) == (
        6_894_174_422,
        "1 USD = 1450.50 KRW (2026-11-27)",
    )
