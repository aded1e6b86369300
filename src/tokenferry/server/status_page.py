"""The page at /status: how each model was served, for anybody, without login and without script.

    GET /status            in the language of the browser
    GET /status?lang=ko    in that one

A state is always a word and a shape, never a colour alone: bars are the shorter the worse.

Source: RFC 9110, section 12.5.4 (Accept-Language); Content Security Policy Level 3.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from importlib import resources
from string import Template
from typing import Final

from aiohttp import web

from tokenferry.domain.service_status import (
    DAYS_SHOWN,
    MS_PER_HOUR,
    PPM,
    Day,
    Incident,
    ModelStatus,
    Report,
    State,
)
from tokenferry.engine.keys import StoreUnusable
from tokenferry.errors import Overloaded
from tokenferry.server.status_board import CACHED, StatusBoard, day_text
from tokenferry.server.status_texts import LANGUAGES, STATES, SUMMARIES, WORDS, Language

PATH: Final = "/status"
# Unknown is never 0.
UNKNOWN: Final = "\u2013"
MS_PER_S: Final = 1000
# Of one day in the bar's own units, and how high it stands by its state.
_STEP: Final = 4
_WIDTH: Final = 3
_HEIGHT: Final = 32
_HEIGHTS: Final[dict[State, int]] = {"operational": 32, "degraded": 20, "outage": 10, "unknown": 2}
_BAD: Final[tuple[State, ...]] = ("degraded", "outage")
# Shapes that are told apart without colour: a tick, a triangle, a cross, a dash.
_SHAPES: Final[dict[State, str]] = {
    "operational": '<circle cx="8" cy="8" r="7"/><path class="in" d="M4.5 8.2 7 10.7l4.5-5"/>',
    "degraded": '<path d="M8 1.2 15.4 14.5H.6z"/><path class="in" d="M8 6v4M8 12v.6"/>',
    "outage": '<rect x="1" y="1" width="14" height="14" rx="2"/>'
    '<path class="in" d="m5 5 6 6m0-6-6 6"/>',
    "unknown": '<circle class="open" cx="8" cy="8" r="6.2"/><path class="mark" d="M5 8h6"/>',
}
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Language",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class StatusPage:
    """The page.

    Args:
        board: What it shows.
    """

    def __init__(self, board: StatusBoard) -> None:
        self._board = board
        page = resources.files("tokenferry.server") / "status.html"
        self._page = Template(page.read_text(encoding="utf-8"))
        # The latest page in each language, and of which report it is.
        self._latest: dict[Language, tuple[Report, str]] = {}

    def add_to(self, app: web.Application) -> None:
        """Add the route to an application."""
        app.router.add_get(PATH, self._show)

    async def _show(self, request: web.Request) -> web.Response:
        language = language_of(request.query.get("lang"), request.headers.get("Accept-Language"))
        try:
            page = await self._current(language)
        except (StoreUnusable, Overloaded):
            body = f'<p role="status">{_word(language, "unavailable")}</p>'
            page, status, headers = self._whole(body, language), 503, {"Cache-Control": "no-store"}
        else:
            status, headers = 200, CACHED
        return web.Response(
            text=page, status=status, content_type="text/html", headers={**_HEADERS, **headers}
        )

    async def _current(self, language: Language) -> str:
        """Return the page of the latest report; with hundreds of models it takes a while."""
        made = await self._board.report()
        known, page = self._latest.get(language, (None, ""))
        if known is not made:
            page = await self._board.off_loop(lambda: self._whole(_body(made, language), language))
            self._latest[language] = (made, page)
        return page

    def _whole(self, body: str, language: Language) -> str:
        return self._page.substitute(
            language=language,
            title=_word(language, "title"),
            other=next(each for each in LANGUAGES if each != language),
            other_name=_word(language, "other"),
            body=body,
        )


def language_of(wish: str | None, accepted: str | None) -> Language:
    """Return the language to answer in: as the address says, else as the browser prefers.

    Args:
        wish: The address's `lang`.
        accepted: The header `Accept-Language`.
    """
    for language in LANGUAGES:
        if wish == language:
            return language
    best: Language = "en"
    best_weight = 0.0
    for part in (accepted or "").split(",")[:20]:
        name, _, parameter = part.partition(";")
        family = name.strip().lower().partition("-")[0]
        for language in LANGUAGES:
            weight = _weight(parameter)
            if family == language and weight > best_weight:
                best, best_weight = language, weight
    return best


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name != "q":
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0


def _word(language: Language, name: str, **values: object) -> str:
    return escape(WORDS[language][name].format(**values))


def _body(made: Report, language: Language) -> str:
    moment = datetime.fromtimestamp(made.now_ms // MS_PER_S, UTC)
    models = "".join(_model(status, language) for status in made.models)
    return (
        f'<p class="summary {made.state}">{_icon(made.state)} '
        f"<strong>{escape(SUMMARIES[language][made.state])}</strong></p>"
        f'<p class="muted">{_word(language, "as_of", moment=f"{moment:%Y-%m-%d %H:%M}")}</p>'
        f"<h2>{_word(language, 'models')}</h2>{models}"
        f"<h2>{_word(language, 'incidents')}</h2>{_incidents(made.incidents, language)}"
        f"<h2>{_word(language, 'legend')}</h2>{_legend(language)}"
    )


def _model(status: ModelStatus, language: Language) -> str:
    times = UNKNOWN
    if status.p50_ms is not None:
        times = " · ".join(
            f'<span class="whole">{_word(language, name, time=_seconds(ms, language))}</span>'
            for name, ms in (("p50", status.p50_ms), ("p95", status.p95_ms))
        )
    served = _word(language, "served", share=_share(status.served_ppm))
    return (
        f'<section class="model"><div class="row"><h3>{escape(status.model)}</h3>'
        f"{_state(status.state, language)}</div>{_bar(status, language)}"
        f'<div class="row muted scale"><span>{_word(language, "begin")}</span>'
        f"<span>{served}</span><span>{_word(language, 'today')}</span></div>"
        f'<p class="times"><span class="muted">{_word(language, "first_token")}</span> '
        f"{times}</p>{_bad_days(status.days, language)}</section>"
    )


def _bar(status: ModelStatus, language: Language) -> str:
    counts = Counter(day.state for day in status.days)
    label = _word(
        language,
        "bar",
        model=status.model,
        **{state: counts[state] for state in _HEIGHTS},
    )
    days = "".join(_plain_days(status.days, state) for state in _HEIGHTS if state not in _BAD)
    days += "".join(
        _bad_day(index, day, language) for index, day in enumerate(status.days) if day.state in _BAD
    )
    width = _STEP * DAYS_SHOWN - (_STEP - _WIDTH)
    return (
        f'<svg class="bar" role="img" aria-label="{label}" viewBox="0 0 {width} {_HEIGHT}" '
        f'preserveAspectRatio="none">{days}</svg>'
    )


def _plain_days(days: Sequence[Day], state: State) -> str:
    """Return all days of a state in one shape: there are many, and nothing is to be said of one."""
    height = _HEIGHTS[state]
    shape = f"v{height}h-{_WIDTH}z"
    path = "".join(
        f"M{index * _STEP} {_HEIGHT - height}h{_WIDTH}{shape}"
        for index, day in enumerate(days)
        if day.state == state
    )
    return f'<path class="{state}" d="{path}"/>' if path else ""


def _bad_day(index: int, day: Day, language: Language) -> str:
    height = _HEIGHTS[day.state]
    text = f"{day_text(day.day)}: {STATES[language][day.state]}, {_share(day.served_ppm)}"
    return (
        f'<rect class="{day.state}" x="{index * _STEP}" y="{_HEIGHT - height}" width="{_WIDTH}" '
        f'height="{height}"><title>{escape(text)}</title></rect>'
    )


def _bad_days(days: Sequence[Day], language: Language) -> str:
    """Return the days that were not all well as a table, the latest first."""
    bad = [day for day in reversed(days) if day.state in _BAD]
    if not bad:
        return ""
    head = "".join(
        f'<th scope="col">{_word(language, name)}</th>' for name in ("day", "state", "share")
    )
    rows = "".join(
        f'<tr><td>{day_text(day.day)}</td><td>{_state(day.state, language)}</td>'
        f'<td class="figure">{_share(day.served_ppm)}</td></tr>'
        for day in bad
    )  # fmt: skip
    return (
        f"<details><summary>{_word(language, 'bad_days', count=len(bad))}</summary>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></details>"
    )


def _incidents(incidents: Sequence[Incident], language: Language) -> str:
    if not incidents:
        return f"<p>{_word(language, 'none')}</p>"
    return f'<ul class="incidents">{"".join(_incident_items(incidents, language))}</ul>'


def _incident_items(incidents: Sequence[Incident], language: Language) -> Iterator[str]:
    for incident in incidents:
        began, ended = _hour(incident.first_hour), _hour(incident.last_hour + 1)
        name = "span" if incident.is_over else "ongoing"
        yield (
            f'<li><div class="row"><span class="name">{escape(incident.model)}</span>'
            f"{_state(incident.state, language)}</div>"
            f'<div class="muted">{_word(language, name, began=began, ended=ended)} · '
            f"{_word(language, 'failed', share=_share(incident.failed_ppm))}</div></li>"
        )


def _legend(language: Language) -> str:
    states = "".join(f"<li>{_state(state, language)}</li>" for state in _HEIGHTS)
    texts = "".join(
        f"<p>{_word(language, name)}</p>" for name in ("legend_bar", "legend_served", "legend_now")
    )
    return f'<ul class="legend">{states}</ul><div class="muted">{texts}</div>'


def _state(state: State, language: Language) -> str:
    return f'<span class="state {state}">{_icon(state)} {escape(STATES[language][state])}</span>'


def _icon(state: State) -> str:
    return (
        f'<svg class="icon {state}" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">'
        f"{_SHAPES[state]}</svg>"
    )


def _share(ppm: int | None) -> str:
    """Return a share in per cent, rounded down: what is not whole is never called 100."""
    if ppm is None:
        return UNKNOWN
    if ppm == PPM:
        return "100%"
    return f"{ppm // 10_000}.{ppm % 10_000 // 100:02}%"


def _seconds(ms: int | None, language: Language) -> str:
    if ms is None:
        return UNKNOWN
    digits = 2 if ms < 10 * MS_PER_S else 1
    return WORDS[language]["seconds"].format(seconds=f"{ms / MS_PER_S:.{digits}f}")


def _hour(hour: int) -> str:
    return f"{datetime.fromtimestamp(hour * MS_PER_HOUR // MS_PER_S, UTC):%Y-%m-%d %H:%M}"
