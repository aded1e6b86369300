"""The settings of money: what is given, what is added to prices, when somebody is warned.

Amounts are decimal texts in USD, such as `"1.00"`: a number of TOML is a float.
"""

from dataclasses import dataclass, field

from tokenferry.config.money_rules import Dollars, Percent
from tokenferry.config.rules import Choice, Integer
from tokenferry.config.spec import spec
from tokenferry.config.web_rules import PublicUrl


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingSettings:
    """The table `[billing]`."""

    signup_credit: int = field(
        default=0,
        metadata=spec(
            Dollars(0, 1_000),
            "What every new account is given, once.",
            in_words='`"0.00"`',
        ),
    )
    margin: int = field(
        default=0,
        metadata=spec(
            Percent(-100, 1_000),
            "What is added to list prices, in percent. The operator's own keys pay list prices.",
            in_words='`"0"`',
        ),
    )
    low_balance: int = field(
        default=500_000_000,
        metadata=spec(
            Dollars(0, 1_000_000),
            "The balance below which an account's clients are told so.",
            in_words='`"0.50"`',
        ),
    )
    hold_tokens_min: int = field(
        default=256,
        metadata=spec(
            Integer(1, 1_000_000),
            "The least output that there must be credit for before a request without a limit of "
            "its own is served.",
        ),
    )
    top_up_url: str = field(
        default="",
        metadata=spec(
            PublicUrl(),
            "Where accounts get more credit: every refusal for money names it.",
        ),
    )
    unpriced: str = field(
        default="refuse",
        metadata=spec(
            Choice("refuse", "free"),
            "What accounts get of models whose price is not known. The operator's own keys always "
            "get them.",
        ),
    )
