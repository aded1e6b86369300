"""The command that asks a running server how its providers are."""

import argparse
import os
import sys
import urllib.error
import urllib.request

import msgspec
from msgspec import Struct

from tokenferry.cli.main import EXIT_FAULT, EXIT_OK, EXIT_USAGE, print_fault
from tokenferry.cli.terminal import server_url, table
from tokenferry.domain.breaker import State

KEY_VARIABLE = "TOKENFERRY_API_KEY"
TIMEOUT_S = 10
ANSWER_BYTES_MAX = 16 * 1024 * 1024
_STATES: dict[State, str] = {"closed": "ok", "open": "left alone", "half_open": "probed"}


class _Key(Struct):
    position: int
    state: str
    rests_ms: int


class _Candidate(Struct):
    model: str
    state: State
    opens_ms: int
    calls: int
    failures: int
    under_way: int
    first_token_ms: int | None
    last_error: str | None


class _Limit(Struct):
    position: int
    model: str
    kind: str
    limit: int | None
    remaining: int
    reset_ms: int
    hold_ms: int


class _Provider(Struct):
    name: str
    keys: list[_Key]
    limits: list[_Limit]
    models: list[_Candidate]


class _Answer(Struct):
    data: list[_Provider]


def show_status(arguments: argparse.Namespace) -> int:
    """Print every model of every provider, the keys that rest, and what is left of limits.

    Raises:
        ConfigError: If the address is to be read from a configuration with faults.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        print_fault(f"set {KEY_VARIABLE} to one of your API keys: `tokenferry keys create NAME`")
        return EXIT_USAGE
    url = arguments.url or server_url(arguments.config)
    if not url.startswith(("http://", "https://")):
        print_fault("--url must begin with http:// or https://")
        return EXIT_USAGE
    try:
        answer = msgspec.json.decode(_fetch(url.rstrip("/") + "/v1/providers", key), type=_Answer)
    except urllib.error.HTTPError as exc:
        print_fault(f"{url} answers with HTTP {exc.code}: {_message(exc)}")
        return EXIT_FAULT
    except OSError as exc:
        print_fault(f"{url} cannot be reached: {getattr(exc, 'reason', exc)}")
        return EXIT_FAULT
    except msgspec.MsgspecError:
        print_fault(f"{url} answers with something else; is it a Tokenferry of this version?")
        return EXIT_FAULT
    sys.stdout.write(_page(answer))
    return EXIT_OK


def _fetch(url: str, key: str) -> bytes:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})  # noqa: S310 -- the scheme was looked at
    # Whoever administers a server reaches it; its key is no proxy's business.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=TIMEOUT_S) as response:
        body: bytes = response.read(ANSWER_BYTES_MAX)
    return body


def _message(error: urllib.error.HTTPError) -> str:
    try:
        found: object = msgspec.json.decode(error.read(ANSWER_BYTES_MAX))["error"]["message"]
    except (msgspec.MsgspecError, KeyError, TypeError, OSError):
        return str(error.reason)
    return str(found)


def _page(answer: _Answer) -> str:
    header = (
        "PROVIDER",
        "MODEL",
        "STATE",
        "CALLS",
        "FAILED",
        "RUNNING",
        "FIRST TOKEN",
        "LAST ERROR",
    )
    rows: list[tuple[str, ...]] = [header]
    rows += [_row(provider, model) for provider in answer.data for model in provider.models]
    page = table(rows)
    for provider in answer.data:
        for key in provider.keys:
            if key.rests_ms:
                rest = f"is {key.state} and rests for {_seconds(key.rests_ms)}"
                page += f"Key {key.position} of {provider.name} {rest}.\n"
    return page + _limits(answer)


def _limits(answer: _Answer) -> str:
    """Return what the providers have said of their limits; nothing if they have not."""
    header = ("PROVIDER", "KEY", "MODEL", "LEFT", "WHOLE IN", "HELD BACK")
    rows = [
        (
            provider.name,
            str(limit.position),
            limit.model,
            f"{limit.remaining} of {limit.limit or '?'} {limit.kind}",
            _seconds(limit.reset_ms),
            _seconds(limit.hold_ms) if limit.hold_ms else "-",
        )
        for provider in answer.data
        for limit in provider.limits
    ]
    return "\n" + table([header, *rows]) if rows else ""


def _row(provider: _Provider, model: _Candidate) -> tuple[str, ...]:
    state = _STATES[model.state]
    if model.opens_ms:
        state += f" for {_seconds(model.opens_ms)}"
    first_token = "-" if model.first_token_ms is None else f"{model.first_token_ms} ms"
    counts = (str(model.calls), str(model.failures), str(model.under_way))
    return (provider.name, model.model, state, *counts, first_token, model.last_error or "-")


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.1f} s"
