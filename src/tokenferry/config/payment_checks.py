"""Reports what payments cannot be taken without: what one table needs of another."""

from collections.abc import Mapping
from typing import Any

from tokenferry.config.payment_settings import TossSettings
from tokenferry.config.report import Report
from tokenferry.config.server_settings import ServerSettings

# Table -> the setting that switches it on, and what it needs then.
NEEDED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "toss": ("secret_key", ("client_key",)),
    "portone": ("api_secret", ("webhook_secret", "store_id", "channel_key")),
    "stripe": ("secret_key", ("webhook_secret",)),
}
# They take nothing but won.
KOREAN = ("toss",)


def check_payments(sections: Mapping[str, Any], server: ServerSettings, report: Report) -> None:
    """Report what is missing beside the settings that are there."""
    payments = sections["payments"]
    used = [name for name, (key, _) in NEEDED.items() if getattr(sections[name], key)]
    for name in used:
        key, needed = NEEDED[name]
        for setting in needed:
            if not getattr(sections[name], setting):
                report.add((name, key), f"[{name}] has no `{setting}`", f'add {setting} = "…"')
        if not server.public_url:
            message = f"[{name}] is set without `public_url`, where buyers come back to"
            report.add((name, key), message, 'add public_url = "https://…" to [server]')
        if name in KOREAN and not payments.packages_krw:
            report.add(
                (name, key), f"[{name}] takes won, and nothing is sold for won", _SELL_FOR_WON
            )
        elif not (payments.packages_krw or payments.packages_usd):
            report.add((name, key), f"[{name}] is set, and nothing is sold", _SELL)
    if "toss" in used:
        _check_toss_keys(sections["toss"], report)
    if payments.packages_krw and not (payments.krw_per_usd and payments.krw_rate_date):
        report.add(
            ("payments", "packages_krw"),
            "[payments] sells for won without a rate and its day",
            'add krw_per_usd = "1450.00" and krw_rate_date = "2026-11-27"',
        )


def _check_toss_keys(toss: TossSettings, report: Report) -> None:
    """Report keys that Toss refuses, when the buyer has agreed already."""
    kinds = [key.split("_") for key in (toss.client_key, toss.secret_key.reveal())]
    modes = {words[0] for words in kinds if words[0] in ("test", "live")}
    if len(modes) > 1:
        report.add(
            ("toss", "client_key"),
            "[toss] has a key for tests beside one for real money",
            "take both keys of the same row in Toss's developer centre",
        )
    if any(words[1:2] in (["gck"], ["gsk"]) for words in kinds):
        report.add(
            ("toss", "client_key"),
            "[toss] has a key of the payment widget, which the pay page does not use",
            "take the keys for the API, `…_ck_…` and `…_sk_…`",
        )


_SELL = 'add packages_usd = ["5.00", "20.00"] to [payments]'
_SELL_FOR_WON = 'add packages_krw = ["10000", "30000"] to [payments]'
