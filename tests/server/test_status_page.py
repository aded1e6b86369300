"""The status page as it is written: languages, words and shapes, nothing that runs."""

import re
from html.parser import HTMLParser

import pytest

from tokenferry.domain.service_status import DayCount, FirstTokens, HourCount, report
from tokenferry.server.status_page import _body, _share, language_of
from tokenferry.server.status_texts import LANGUAGES, STATES, SUMMARIES, WORDS

NOW_MS = 1_795_797_600_000
HOUR = NOW_MS // 3_600_000
EVIL = '<script>alert("1")</script>&'


@pytest.mark.parametrize(
    ("wish", "accepted", "language"),
    [
        (None, None, "en"),
        (None, "", "en"),
        (None, "ko", "ko"),
        (None, "ko-KR,ko;q=0.9,en-US;q=0.8", "ko"),
        (None, "en-US,en;q=0.9,ko;q=0.8", "en"),
        (None, "fr-FR, ko;q=0.5, en;q=0.4", "ko"),
        (None, "en;q=0.4, KO;q=0.5", "ko"),
        (None, "ko;q=0, en;q=0.1", "en"),
        (None, "ko;q=x", "en"),
        (None, "ko;q=nan", "en"),
        (None, "ko;q=9", "en"),
        (None, "korean", "en"),
        ("ko", "en", "ko"),
        ("en", "ko", "en"),
        ("fr", "ko", "ko"),
    ],
)
def test_the_language(wish, accepted, language):
    assert language_of(wish, accepted) == language


def test_both_languages_have_the_same_words():
    english, korean = (WORDS[language] for language in LANGUAGES)
    assert english.keys() == korean.keys()
    for name, text in english.items():
        assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", korean[name])), name
    assert STATES["en"].keys() == STATES["ko"].keys() == SUMMARIES["en"].keys()
    assert list(STATES["ko"].values())[:3] == ["정상", "성능 저하", "장애"]


@pytest.mark.parametrize(
    ("ppm", "text"),
    [
        (None, "\u2013"),
        (0, "0.00%"),
        (1_000_000, "100%"),
        (999_999, "99.99%"),
        (985_000, "98.50%"),
        (50_000, "5.00%"),
    ],
)
def test_a_share_is_never_called_whole_when_it_is_not(ppm, text):
    assert _share(ppm) == text


class Reader(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def read(language="en", hours=(), first_tokens=(), models=("m", "quiet")) -> Reader:
    days = [DayCount(hour // 24, *rest) for hour, *rest in hours]
    made = report(models, days, [HourCount(*each) for each in hours], first_tokens, NOW_MS)
    reader = Reader(_body(made, language))
    assert reader.open == [], "every element is closed"
    return reader


BAD = [(HOUR, "m", 1, 9), (HOUR - 24 * 40, "m", 98, 3)]


def test_a_state_is_a_word_and_a_shape():
    page = read(hours=BAD)
    # Words stand beside shapes; whoever hears the page hears the words alone.
    assert page.texts.count(" Outage") >= 3
    icons = [attrs for tag, attrs in page.tags if tag == "svg" and "icon" in attrs["class"]]
    assert all(attrs["aria-hidden"] == "true" for attrs in icons)


def test_a_bar_has_a_text_and_tells_states_by_height():
    page = read(hours=BAD)
    bars = [attrs for tag, attrs in page.tags if tag == "svg" and attrs.get("role") == "img"]
    assert bars[0]["aria-label"] == (
        "m, last 90 days: 0 days operational, 1 degraded, 1 with an outage, 88 without requests."
    )
    heights = {attrs["class"]: attrs["height"] for tag, attrs in page.tags
               if tag == "rect" and attrs.get("class")}  # fmt: skip
    assert heights == {"degraded": "20", "outage": "10"}
    paths = {attrs["class"]: attrs["d"] for tag, attrs in page.tags
             if tag == "path" and attrs.get("class") in ("operational", "unknown")}  # fmt: skip
    # The last day of the last bar, and how high it stands.
    assert paths["unknown"].endswith("M356 30h3v2h-3z")
    assert "2026-11-27: Outage, 10.00%" in page.texts


def test_days_with_failures_are_a_table():
    page = read("ko", hours=BAD)
    assert "실패가 있었던 날: 2일" in page.texts
    assert "2026-11-27" in page.texts


def test_what_is_unknown_is_a_dash():
    page = read(models=["quiet"])
    text = "".join(page.texts)
    assert "Served \u2013" in text
    assert "Time to first token \u2013" in text
    assert "0.00" not in text
    assert "None in the last 90 days." in text


def test_times_and_incidents_in_korean():
    page = read("ko", hours=BAD, first_tokens=[FirstTokens(HOUR // 24, "m", 8, 10)])
    text = " ".join(page.texts)
    assert "중앙값 0.88초" in text
    assert "진행 중" in text
    assert "요청 실패율 90.00%" in text
    assert "응답하지 않는 모델이 있습니다" in text


def test_names_are_text_and_nothing_runs():
    page = read(models=[EVIL], hours=[(HOUR, EVIL, 0, 9)])
    assert page.texts.count(EVIL) == 2
    assert not any(tag == "script" for tag, _ in page.tags)
    assert not any(name.startswith("on") or name == "style" for _, a in page.tags for name in a)
