"""The settings of accounts, and of the mails that are sent to them."""

from dataclasses import dataclass, field

from tokenferry.config.rules import Choice, Integer, Name
from tokenferry.config.spec import spec
from tokenferry.config.web_rules import Address, Credential, Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSettings:
    """The table `[accounts]`."""

    signup: str = field(
        default="closed",
        metadata=spec(
            Choice("open", "closed"),
            "Whether anybody may sign up. Closed, `tokenferry accounts create` makes the accounts.",
        ),
    )
    session_days: int = field(
        default=30, metadata=spec(Integer(1, 365), "How long a login lasts, in days.")
    )
    signups_per_hour: int = field(
        default=100,
        metadata=spec(Integer(0, 1_000_000), "Sign-ups an hour, by all together; 0 is no limit."),
    )
    signups_per_ip_per_hour: int = field(
        default=5,
        metadata=spec(
            Integer(0, 1_000_000),
            "Sign-ups an hour and IPv4 address, or /64 network of IPv6; 0 is no limit.",
        ),
    )
    trusted_proxies: int = field(
        default=0,
        metadata=spec(
            Integer(0, 10),
            "How many proxies of your own are in front of the server, each of which adds to "
            "`X-Forwarded-For`. With too low a number all clients look like one, with too high a "
            "number anybody can pretend any address.",
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """The table `[mail]`."""

    smtp_host: str = field(
        default="",
        metadata=spec(
            Name(255, optional=True),
            "The server that takes mails. Without one, e-mail addresses are not verified, and a "
            "forgotten password is replaced with `tokenferry accounts password`.",
        ),
    )
    smtp_port: int = field(
        default=587,
        metadata=spec(
            Integer(1, 65_535), "Its port: 587 goes with `starttls`, 465 with `tls`, as a rule."
        ),
    )
    security: str = field(
        default="starttls",
        metadata=spec(
            Choice("starttls", "tls", "none"),
            "`starttls` begins in the clear and goes no further without encryption, `tls` is "
            "encrypted from the beginning. `none` is for a server on this machine.",
        ),
    )
    username: str = field(
        default="", metadata=spec(Name(255, optional=True), "Who logs in there, if anybody.")
    )
    password: Secret = field(
        default=Secret(""),
        metadata=spec(Credential(), "The password for it.", in_words='`""`'),
    )
    sender: str = field(
        default="",
        metadata=spec(
            Address(), "The address that mails are from. It goes with `smtp_host`, and is required."
        ),
    )
