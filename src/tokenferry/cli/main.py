"""The command line: what can be typed, and which module does it.

A command's module is imported when the command runs: `keys create` answers in a tenth of a second
and need not wait for the server's libraries.
"""

import argparse
import errno
import importlib
import io
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from tokenferry import __version__
from tokenferry.config import ConfigError

EXIT_OK = 0
EXIT_FAULT = 1
EXIT_USAGE = 2
# What `chat` is built on, and nothing else needs: docs/decisions/0017-clients.md.
CLIENT = "tokenferry_client"
# Arguments that name files, beside those that are read as a `Path`.
PATHS = frozenset({"data_dir", "tls_cert", "tls_key"})


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the process's exit code: 0 done, 1 a fault, 2 wrong usage."""
    # A terminal that cannot show a name still shows the rest of the table.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    parser = _parser()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as exc:  # argparse has printed the usage, the help or the version
        return exc.code if isinstance(exc.code, int) else EXIT_USAGE
    if "module" not in arguments:
        arguments.parser.print_help(sys.stderr)
        return EXIT_USAGE
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except ConfigError as exc:
        print_fault("the configuration has faults:", *exc.lines())
        return EXIT_FAULT
    except KeyboardInterrupt:
        return 130  # 128 + SIGINT, as shells count
    except OSError as exc:
        return _unwritten(exc)
    return code


def _unwritten(exc: OSError) -> int:
    """Return the exit code where the output was not taken; raise again what is no such failure."""
    if exc.errno not in (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        raise exc
    # What is left in the buffer is written at exit, and has to go somewhere.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if exc.errno != errno.EPIPE:  # the reader, `head` say, has had enough
        print_fault(f"the output cannot be written: {exc.strerror}")
    return EXIT_FAULT


def _no_text(arguments: argparse.Namespace) -> str | None:
    """Return the first argument that is not UTF-8, as it can be shown; of files, any name goes."""
    for name, value in vars(arguments).items():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and name not in PATHS:
                # Bytes that are none stand in it as halves of surrogate pairs, PEP 383.
                data = text.encode(errors="surrogateescape")
                if (shown := data.decode(errors="backslashreplace")) != text:
                    return shown
    return None


def _run(arguments: argparse.Namespace) -> int:
    """Carry a command out, and return the exit code."""
    if (text := _no_text(arguments)) is not None:
        print_fault(f"an argument is not UTF-8: {text}", "Type it in a terminal that writes UTF-8.")
        return EXIT_USAGE
    try:
        command = importlib.import_module(arguments.module)
    except ModuleNotFoundError as exc:
        if exc.name != CLIENT:
            raise
        print_fault(
            "`tokenferry chat` is built on the package tokenferry-client, which is not installed.",
            "Its wheel is beside the gateway's: pip install dist/tokenferry_client-*.whl",
        )
        return EXIT_FAULT
    code: int = getattr(command, arguments.function)(arguments)
    return code


def print_fault(first: str, *more: str) -> None:
    """Print to standard error what went wrong."""
    sys.stderr.write("\n".join([f"tokenferry: {first}", *more, ""]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tokenferry",
        description="A self-hosted real-time gateway between programs and language models.",
    )
    parser.add_argument("--version", action="version", version=f"tokenferry {__version__}")
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_serve(commands.add_parser("serve", help="run the gateway"))
    _add_chat(commands.add_parser("chat", help="talk with a model in the terminal"))
    _add_config(commands.add_parser("config", help="check or explain the configuration"))
    _add_keys(commands.add_parser("keys", help="create, list and revoke API keys"))
    _add_prices(commands.add_parser("prices", help="list, set and import what models cost"))
    _add_vouchers(commands.add_parser("vouchers", help="make and list credit codes"))
    _add_ledger(commands.add_parser("ledger", help="check and export the books"))
    _add_requests(commands.add_parser("requests", help="list requests, and tell the story of one"))
    _add_audit(commands.add_parser("audit", help="list what administrators have changed"))
    _add_providers(commands.add_parser("providers", help="show how the providers are"))
    _add_accounts(commands.add_parser("accounts", help="create, suspend and credit accounts"))
    return parser


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Runs the gateway. It needs no configuration: it then serves the built-in model `demo` "
        "and the providers whose keys are in the environment."
    )
    _add_config_option(parser)
    parser.add_argument("--host", metavar="ADDRESS", help="where to listen (default: 127.0.0.1)")
    parser.add_argument("--port", help="the TCP port (default: 8000; 0 takes any free one)")
    _add_data_dir_option(parser)
    parser.add_argument("--tls-cert", metavar="FILE", help="certificate chain, PEM")
    parser.add_argument("--tls-key", metavar="FILE", help="its private key, PEM")
    parser.set_defaults(module="tokenferry.cli.serve", function="serve", parser=parser)


def _add_chat(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Talks with a model: at the terminal, or once, when a question is given or comes through a "
        "pipe. The API key is in the environment variable TOKENFERRY_API_KEY."
    )
    parser.add_argument("prompt", metavar="PROMPT", nargs="*", help="one question; then it ends")
    parser.add_argument("--model", metavar="NAME", help="whom to ask (default: the first there is)")
    parser.add_argument("--system", metavar="TEXT", help="what the model is told before all else")
    parser.add_argument(
        "--url",
        help="where the gateway is (default: TOKENFERRY_BASE_URL, else by the configuration)",
    )
    parser.add_argument("--key", help="the API key; others on this machine can see it here")
    _add_config_option(parser)
    parser.set_defaults(module="tokenferry.cli.chat", function="chat", parser=parser)


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    check = commands.add_parser(
        "check", help="report all faults, each with its line and what to do"
    )
    _add_config_option(check)
    check.set_defaults(module="tokenferry.cli.admin", function="check_config")
    reference = commands.add_parser("reference", help="print every setting, as Markdown")
    reference.set_defaults(module="tokenferry.cli.admin", function="print_reference")


def _add_keys(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    create = commands.add_parser("create", help="create a key and print it, this once")
    create.add_argument("name", metavar="NAME", help="what you call it, for the list")
    create.add_argument("--account", metavar="EMAIL", help="who pays (default: the operator)")
    create.add_argument("--budget", metavar="USD", help="what it may spend a month: 10.00")
    create.add_argument("--models", metavar="NAMES", help="the only ones it may ask for: a,b")
    create.add_argument("--expires", metavar="DAY", help="until when it is good: 2027-01-01")
    _add_rate_options(create)
    create.set_defaults(function="create_key")
    listing = commands.add_parser("list", help="list all keys, without their secrets")
    listing.set_defaults(function="list_keys")
    limit = commands.add_parser("limit", help="change what a key may have a minute and at a time")
    limit.add_argument("public_id", metavar="PUBLIC_ID", help="from `keys list`")
    _add_rate_options(limit)
    limit.set_defaults(function="limit_key")
    revoke = commands.add_parser("revoke", help="revoke a key, at once and for good")
    revoke.add_argument("public_id", metavar="PUBLIC_ID", help="from `keys list`")
    revoke.set_defaults(function="revoke_key")
    for command in (create, listing, limit, revoke):
        _add_config_option(command)
        _add_data_dir_option(command)
        command.set_defaults(module="tokenferry.cli.admin")


def _add_rate_options(parser: argparse.ArgumentParser) -> None:
    for option, what in (
        ("rpm", "requests a minute"),
        ("tpm", "tokens a minute"),
        ("streams", "streams at a time"),
    ):
        parser.add_argument(
            f"--{option}",
            metavar="N",
            help=f"{what}; 0 for no limit, `default` for the gateway's own number",
        )
    parser.add_argument(
        "--priority",
        action=argparse.BooleanOptionalAction,
        help="whether it may ask for the service tier `priority`",
    )


def _add_prices(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    listing = commands.add_parser("list", help="list prices, USD per million tokens")
    listing.add_argument("model", metavar="MODEL", nargs="?", help="everything about this one")
    listing.set_defaults(function="list_prices")
    setting = commands.add_parser("set", help="set a price of your own, USD per million tokens")
    _add_price_options(setting)
    setting.set_defaults(function="set_price")
    removal = commands.add_parser("remove", help="remove a price of your own")
    removal.add_argument("model", metavar="MODEL", help="its name, as it was set")
    removal.set_defaults(function="remove_price")
    reading = commands.add_parser(
        "import", help="import LiteLLM's model_prices_and_context_window.json"
    )
    reading.add_argument("file", metavar="FILE", type=Path)
    reading.add_argument(
        "--only", metavar="GLOB", default="*", help="only models whose names match, such as 'gpt-*'"
    )
    reading.add_argument("--dry-run", action="store_true", help="show what would be imported")
    reading.set_defaults(function="import_prices")
    for command in (setting, removal, reading):
        command.add_argument("--valid-from", metavar="DATE", help="the first day in UTC")
    setting.add_argument("--force", action="store_true", help="take it, however odd it is")
    reading.add_argument(
        "--force",
        action="store_true",
        help="take prices a hundred times those so far, or a hundredth",
    )
    for command in (listing, setting, removal, reading):
        _add_config_option(command)
        _add_data_dir_option(command)
        command.set_defaults(module="tokenferry.cli.price_commands")


def _add_price_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a provider's own name, or provider/model")
    for name, required, meaning in (
        ("input", True, "input tokens"),
        ("output", True, "output tokens"),
        ("cached-input", False, "input read from the provider's cache (default: as input)"),
        ("cache-write", False, "input written to it (default: as input)"),
        ("cache-write-1h", False, "written for an hour (default: as other writes)"),
        ("reasoning", False, "reasoning (default: as output)"),
    ):
        parser.add_argument(f"--{name}", metavar="USD", required=required, help=meaning)
    for name, meaning in (
        ("context", "the model's context"),
        ("output-max", "the most that it answers"),
    ):
        parser.add_argument(f"--{name}", metavar="TOKENS", type=_tokens, help=meaning)
    parser.add_argument("--shutdown", metavar="DATE", help="the day on which it is shut down")
    parser.add_argument("--successor", metavar="NAME", help="what to ask for then")


def _tokens(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,7}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of tokens, 1..99999999")
    return int(text)


def _add_vouchers(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    create = commands.add_parser("create", help="make codes and print them, this once")
    create.add_argument("--amount", metavar="USD", required=True, help="what each is worth: 5.00")
    create.add_argument("--count", metavar="N", type=int, default=1, help="how many (default: 1)")
    create.add_argument("--expires", metavar="DATE", help="the day on which they expire")
    create.set_defaults(function="create_vouchers")
    listing = commands.add_parser("list", help="list them, without their codes")
    listing.set_defaults(function="list_vouchers")
    for command in (create, listing):
        command.add_argument("--batch", metavar="NAME", help="what they are made for")
        _add_config_option(command)
        _add_data_dir_option(command)
        command.set_defaults(module="tokenferry.cli.voucher_commands")


def _add_ledger(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    verify = commands.add_parser("verify", help="compute everything anew, and tell differences")
    verify.set_defaults(function="verify_ledger")
    export = commands.add_parser("export", help="print all transfers")
    export.add_argument("--format", choices=("csv", "beancount"), default="csv")
    export.set_defaults(function="export_ledger")
    for command in (verify, export):
        _add_config_option(command)
        _add_data_dir_option(command)
        command.set_defaults(module="tokenferry.cli.ledger_commands")


def _add_requests(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    listing = commands.add_parser("list", help="list requests, the latest first")
    listing.add_argument("--account", metavar="ID", help="of one account")
    listing.add_argument("--key", metavar="PUBLIC_ID", help="of one key")
    listing.add_argument("--model", metavar="NAME", help="asked for by this name")
    listing.add_argument("--status", choices=("ok", "failed", "stopped"), help="by how they ended")
    listing.add_argument(
        "--limit", metavar="N", type=int, default=50, help="how many (default: 50)"
    )
    listing.set_defaults(function="list_requests")
    show = commands.add_parser("show", help="tell the story of one request")
    show.add_argument("stream_id", metavar="STREAM_ID", help="st_…")
    show.set_defaults(function="show_request")
    for command in (listing, show):
        _add_config_option(command)
        _add_data_dir_option(command)
        command.set_defaults(module="tokenferry.cli.request_commands")


def _add_audit(parser: argparse.ArgumentParser) -> None:
    parser.description = "Lists what administrators have changed, the latest first; times are UTC."
    parser.add_argument("--since", metavar="DAY|MOMENT", help="2026-11-28 or 2026-11-28T07:00:00Z")
    parser.add_argument("--account", metavar="ID", help="about one account, or by it")
    parser.add_argument("--action", metavar="NAME", help="of one kind, such as account.grant")
    parser.add_argument("--json", action="store_true", help="an object a line, as the API has them")
    parser.add_argument("--limit", metavar="N", type=int, default=50, help="how many (default: 50)")
    _add_config_option(parser)
    _add_data_dir_option(parser)
    parser.set_defaults(module="tokenferry.cli.audit_commands", function="list_audit")


def _add_providers(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    status = commands.add_parser(
        "status",
        help="which models are left alone and which keys rest, at a running server",
        description="Asks a running server with one of the operator's own API keys, from "
        "`tokenferry keys create`, in the environment variable TOKENFERRY_API_KEY.",
    )
    status.add_argument("--url", help="where it is (default: by the configuration)")
    _add_config_option(status)
    status.set_defaults(module="tokenferry.cli.provider_commands", function="show_status")


def _add_accounts(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def add(name: str, function: str, what: str, *, of_one: bool = True) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=what)
        if of_one:
            command.add_argument("email", metavar="EMAIL", help="whose account")
        _add_config_option(command)
        _add_data_dir_option(command)
        command.set_defaults(module="tokenferry.cli.account_commands", function=function)
        return command

    create = add("create", "create_account", "create an account and print its id")
    create.add_argument("--credit", metavar="USD", help="what it is given: 5.00")
    create.add_argument("--admin", action="store_true", help="it may administer the others")
    create.add_argument("--language", choices=("en", "ko"), default="en", help="of its mails")
    create.add_argument(
        "--password-stdin", action="store_true", help="read its password from standard input"
    )
    add("list", "list_accounts", "list all accounts", of_one=False)
    suspend = add("suspend", "suspend_account", "stop its keys and logins, at once")
    suspend.add_argument("--reason", metavar="TEXT", help="why, for the list")
    add("unsuspend", "unsuspend_account", "let them work again")
    role = add("role", "set_role", "make it an administrator's, or a member's again")
    role.add_argument("role", choices=("admin", "member"))
    add("password", "set_password", "set its password, from standard input")
    grant = add("grant", "grant", "give it credit and print its balance")
    grant.add_argument("amount", metavar="USD", help="5.00; below zero it is taken back")
    grant.add_argument("--reason", metavar="TEXT", required=True, help="why, for the books")
    add("balance", "show_balance", "print its balance")


def _add_config_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the configuration (default: tokenferry.toml, if it is there)",
    )


def _add_data_dir_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir", metavar="DIRECTORY", help="where the data are (default: tokenferry-data)"
    )
