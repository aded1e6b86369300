"""Structured logs on the standard library's logging: text for people or JSON lines, no secret.

A line has the time (UTC, ISO 8601), the level, the logger, the message, and whatever came as
`extra`. Whatever looks like a credential is cut out of the finished line, so that a traceback or
a third party's message cannot carry one either. Prompts and answers are never logged: no call in
this code passes them, and no filter could tell them from other text.

Source: the forms of keys that OpenAI, Anthropic, Google and this project document, November 2026.
Weakness: a secret that is neither configured here nor of a known form goes unnoticed.
"""

import io
import json
import logging
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from math import isfinite
from typing import TextIO

import msgspec

HIDDEN = "***"
# A line carries ids and numbers; what is longer is somebody's body or a runaway traceback.
LINE_CHARACTERS_MAX = 16 * 1024
# Shorter texts would be cut out of ordinary words.
SECRET_CHARACTERS_MIN = 6
# Loggers of libraries whose `info` is about their own business.
_QUIET_LOGGERS = ("aiohttp.access", "asyncio")

# Between a name and its value, in a header, in JSON (once or twice quoted) or in a Python tuple.
_BETWEEN = r"\\*[\"']?\s*[:=,]\s*b?\\*[\"']?"
_VALUE = r"[^\s\"'\\,;&)\]}]+"
_FORMS = (
    # Our own keys: the public id may stay, it is what `keys list` shows.
    (re.compile(r"\btf_([0-9A-Za-z]{12})_[0-9A-Za-z]+(?:_[0-9A-Za-z]+)?"), rf"tf_\1_{HIDDEN}"),
    # OpenAI, Anthropic, DeepSeek, and most who followed them.
    (re.compile(r"(?<![0-9A-Za-z])sk-[0-9A-Za-z_-]{4,}"), f"sk-{HIDDEN}"),
    # Google.
    (re.compile(r"\bAIza[0-9A-Za-z_-]{10,}"), f"AIza{HIDDEN}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[0-9A-Za-z._~+/=-]{4,}"), rf"\1 {HIDDEN}"),
    (re.compile(rf"(?i)\b((?:x-)?(?:goog-)?api[-_]?key)({_BETWEEN}){_VALUE}"), rf"\1\2{HIDDEN}"),
    (re.compile(rf"(?i)\b(authorization)({_BETWEEN})(?:[a-z]+\s+)?{_VALUE}"), rf"\1\2{HIDDEN}"),
    # The single-use ticket in a WebSocket's list of subprotocols.
    (re.compile(r"\bticket\.[0-9A-Za-z_-]{8,}"), f"ticket.{HIDDEN}"),
    # A password in a URL, a proxy's for instance.
    (re.compile(r"(://[^\s/:@\"']*:)[^\s/@\"']+@"), rf"\1{HIDDEN}@"),
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# `extra={CLEAN: [{…}, …]}` carries the fields of several lines, each of ids, numbers and configured
# names only. They are written as they are: looking for secrets costs more than the request that a
# line tells of, and a record of its own for each costs as much as writing it.
CLEAN = "clean_fields"
_encode = msgspec.json.Encoder().encode
_OWN_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    CLEAN,
}
_OWN_FIELDS = frozenset({"time", "level", "logger", "message", "exception"})


class Redactor:
    """Cuts credentials out of text.

    Args:
        secrets: Texts to cut out wherever they are, besides whatever looks like a credential.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # In JSON a secret may stand with its quotes and backslashes escaped.
        forms = {form for secret in secrets for form in (secret, json.dumps(secret)[1:-1])}
        # The longest first, for one may be the beginning of another.
        known = sorted(
            (form for form in forms if len(form) >= SECRET_CHARACTERS_MIN), key=len, reverse=True
        )
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, text: str) -> str:
        """Return the text with every credential replaced."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        for form, replacement in _FORMS:
            text = form.sub(replacement, text)
        return text


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object on one line.

    Args:
        redactor: Cuts credentials out of every text.
    """

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; `extra` that has the name of a field of ours gets an underscore."""
        if (clean := getattr(record, CLEAN, None)) is not None:
            head = {"time": _time(record), "level": record.levelname.lower()}
            head |= {"logger": record.name, "message": record.msg}
            return b"\n".join([_encode(head | fields) for fields in clean]).decode()
        entry: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            # Redacted before it is cut: half a secret is not recognised.
            "message": _cut(self._redactor(record.getMessage())),
        }
        for name, value in _extra(record):
            field = f"{name}_" if name in _OWN_FIELDS else name
            # JSON has no infinity.
            is_writable = not isinstance(value, float) or isfinite(value)
            entry[field] = value if is_writable else str(value)
        if trace := _trace(self, record):
            entry["exception"] = _cut(self._redactor(trace))
        line = json.dumps(entry, ensure_ascii=False, default=str)
        return _writable(self._redactor(line))


class TextFormatter(logging.Formatter):
    """Formats a record as a line to read, with the traceback, if any, below it.

    Args:
        redactor: Cuts credentials out of the line.
    """

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; line breaks in it are escaped, so that nobody can forge an entry."""
        if (clean := getattr(record, CLEAN, None)) is not None:
            head = f"{_time(record)} {record.levelname.lower():7} {record.name}: {record.msg}"
            return "\n".join(
                head + "".join(f" {name}={value}" for name, value in fields.items())
                for fields in clean
            )
        line = f"{_time(record)} {record.levelname.lower():7} {record.name}: {record.getMessage()}"
        for name, value in _extra(record):
            line += f" {name}={value}"
        line = _CONTROL.sub(lambda match: repr(match[0])[1:-1], _cut(self._redactor(line)))
        if trace := _trace(self, record):
            line += f"\n{_cut(self._redactor(trace))}"
        return _writable(line)


def configure(
    level: str, log_format: str, secrets: Iterable[str], stream: TextIO | None = None
) -> None:
    """Set up logging for the process, in place of whatever was set up before.

    Args:
        level: debug, info, warning or error.
        log_format: text, json, or auto: text on a terminal, JSON elsewhere.
        secrets: See `Redactor`.
        stream: Where to write; standard error by default.
    """
    stream = sys.stderr if stream is None else stream
    redactor = Redactor(secrets)
    formatter: logging.Formatter
    if log_format == "json" or (log_format == "auto" and not stream.isatty()):
        formatter = JsonFormatter(redactor)
        if isinstance(stream, io.TextIOWrapper):
            # JSON is UTF-8, whatever the locale says.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    else:
        formatter = TextFormatter(redactor)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Who called, from which thread and process: costly to find out, and in none of our lines.
    # Source: Logging HOWTO, "Optimization".
    logging._srcfile = None  # noqa: SLF001 -- the documented switch
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    for name in _QUIET_LOGGERS:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
    # Its one warning quotes the subprotocols that a client offers: some carry their keys in them.
    logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _extra(record: logging.LogRecord) -> list[tuple[str, object]]:
    return [item for item in vars(record).items() if item[0] not in _OWN_ATTRIBUTES]


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return "\n".join(parts)


def _cut(text: str) -> str:
    if len(text) <= LINE_CHARACTERS_MAX:
        return text
    return f"{text[:LINE_CHARACTERS_MAX]}… ({len(text)} characters)"


def _writable(text: str) -> str:
    """Escape lone surrogates, which no encoding can write."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
