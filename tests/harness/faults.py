"""The ways in which a provider fails, as scripts, with the error that each must give."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from harness.dialects import error_body, error_event, opening, token
from harness.providers import Exchange, Script, answer, chunk_bytes

SHOWN = ("안녕", "하세요 🙂")
# What was sent before a reset is lost unless the gateway has taken it first.
TAKEN_S = 0.05


def starts(kind: str, exchange: Exchange, *, shown: bool) -> None:
    """Begin a stream; `shown` says whether tokens come with it."""
    exchange.head()
    for part in opening(kind):
        exchange.chunk(part)
    if shown:
        for text in SHOWN:
            exchange.chunk(token(kind, text))


Trouble = Callable[[str, Exchange], None]


def ends_without_a_finish(kind: str, exchange: Exchange) -> None:
    exchange.end()


def resets(kind: str, exchange: Exchange) -> None:
    exchange.reset()


def closes_inside_a_chunk(kind: str, exchange: Exchange) -> None:
    exchange.send(chunk_bytes(token(kind, "never whole"))[:-20])
    exchange.close()


def closes_between_chunks(kind: str, exchange: Exchange) -> None:
    exchange.close()


def breaks_its_json(kind: str, exchange: Exchange) -> None:
    exchange.chunk(b'data: {"choices": [{"index": 0, "delta": {"conte\n\n')
    exchange.end()


def sends_another_kind_of_json(kind: str, exchange: Exchange) -> None:
    exchange.chunk(b"data: [1, 2, 3]\n\n")
    exchange.end()


def breaks_its_chunking(kind: str, exchange: Exchange) -> None:
    exchange.send(b"zz\r\nno chunk\r\n")


def reports_an_error(kind: str, exchange: Exchange) -> None:
    exchange.chunk(error_event(kind, "과부하입니다"))
    exchange.end()


def writes_a_plain_error(kind: str, exchange: Exchange) -> None:
    """Say what is wrong as an HTTP answer would, without a word of the event stream's."""
    exchange.chunk(error_body(kind, 503, "과부하입니다"))
    exchange.end()


def stalls(kind: str, exchange: Exchange) -> None:
    """Do nothing more."""


@dataclass(frozen=True, slots=True)
class InStream:
    """A trouble and the code of the error that it gives."""

    trouble: Trouble
    code: str
    status: int = 502

    def script(self, kind: str, *, shown: bool) -> Script:
        async def run(exchange: Exchange) -> None:
            starts(kind, exchange, shown=shown)
            if shown:
                await asyncio.sleep(TAKEN_S)
            self.trouble(kind, exchange)
            if self.trouble is stalls:
                await exchange.until_gone()

        return run


IN_A_STREAM = [
    InStream(ends_without_a_finish, "provider_cut_off"),
    InStream(resets, "provider_cut_off"),
    InStream(closes_inside_a_chunk, "provider_cut_off"),
    InStream(closes_between_chunks, "provider_cut_off"),
    InStream(breaks_its_json, "provider_invalid_response"),
    InStream(sends_another_kind_of_json, "provider_invalid_response"),
    InStream(breaks_its_chunking, "provider_invalid_response"),
    InStream(stalls, "provider_timeout", 504),
]


async def never_answers(exchange: Exchange) -> None:
    await exchange.until_gone()


async def speaks_no_http(exchange: Exchange) -> None:
    exchange.send(b"SSH-2.0-OpenSSH_9.9\r\nand so on\r\n\r\n")
    await exchange.until_gone()


async def resets_at_once(exchange: Exchange) -> None:
    exchange.reset()


async def closes_at_once(exchange: Exchange) -> None:
    exchange.close()


async def closes_inside_the_head(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Ty")
    exchange.close()


async def sends_a_page(exchange: Exchange) -> None:
    page = b"<!doctype html><title>Sign in to the hotel's network</title>"
    await answer("200 OK", page, content_type="text/html")(exchange)


@dataclass(frozen=True, slots=True)
class NoStream:
    """A script that never comes to a stream, and the code and status of the error it gives."""

    script: Script
    code: str
    status: int = 502


WITHOUT_A_STREAM = [
    NoStream(never_answers, "provider_timeout", 504),
    NoStream(speaks_no_http, "provider_invalid_response"),
    NoStream(resets_at_once, "provider_cut_off"),
    NoStream(closes_at_once, "provider_cut_off"),
    NoStream(closes_inside_the_head, "provider_cut_off"),
    NoStream(sends_a_page, "provider_invalid_response"),
]
