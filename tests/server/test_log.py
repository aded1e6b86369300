"""Log lines: their two forms, and that no credential gets into either."""

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.domain.api_key import ALPHABET, format_key
from tokenferry.server import log
from tokenferry.server.log import HIDDEN, LINE_CHARACTERS_MAX, Redactor, configure

PUBLIC_ID = "AbCdEf012345"
SECRET = "0123456789ABCDEFGHIJabcdefghijZx"
KEY = format_key(PUBLIC_ID, SECRET)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in log._QUIET_LOGGERS}
    yield
    root.handlers[:], level = before
    root.setLevel(level)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def logged(log_format: str, message: str, *args: object, **more: object) -> str:
    stream = io.StringIO()
    configure("info", log_format, ["configured-secret"], stream)
    logging.getLogger("tokenferry.test").error(message, *args, **more)  # type: ignore[arg-type]
    return stream.getvalue()


def entry(message: str, *args: object, **more: object) -> dict[str, object]:
    line = logged("json", message, *args, **more)
    assert line.endswith("\n")
    assert line.count("\n") == 1
    found: dict[str, object] = json.loads(line)
    return found


def _raised(message: str) -> ValueError:
    """Return an error that has a traceback."""
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        raise ValueError(message)
    return caught.value


class TestJson:
    def test_an_entry(self) -> None:
        found = entry("안녕 %s", "세상", extra={"model": "demo", "tokens": 5, "ok": True})
        time = found.pop("time")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(time))
        assert found == {
            "level": "error",
            "logger": "tokenferry.test",
            "message": "안녕 세상",
            "model": "demo",
            "tokens": 5,
            "ok": True,
        }

    def test_korean_is_written_as_it_is(self) -> None:
        assert "안녕" in logged("json", "안녕")

    def test_a_traceback_stays_on_the_line(self) -> None:
        found = entry("failed", exc_info=_raised("Bearer configured-secret"))
        assert "ValueError: Bearer ***" in str(found["exception"])
        assert str(found["exception"]).startswith("Traceback")

    def test_extra_cannot_replace_a_field(self) -> None:
        found = entry("m", extra={"level": "fine", "time": 5, "logger": "x"})
        assert found["level"] == "error"
        assert (found["level_"], found["time_"], found["logger_"]) == ("fine", 5, "x")

    def test_any_value_can_be_written(self) -> None:
        found = entry("m", extra={"a": object, "b": float("inf"), "c": {"d": b"x"}, "e": None})
        assert found["a"] == "<class 'object'>"
        assert found["b"] == "inf"
        assert found["c"] == {"d": "b'x'"}
        assert found["e"] is None

    def test_a_lone_surrogate_is_escaped(self) -> None:
        assert entry("broken \ud800 pair")["message"] == "broken \ud800 pair"

    def test_line_breaks_are_escaped(self) -> None:
        assert entry("one\ntwo")["message"] == "one\ntwo"

    def test_the_file_is_utf_8_whatever_the_locale(self) -> None:
        raw = io.BytesIO()
        configure("info", "json", [], io.TextIOWrapper(raw, encoding="euc-kr"))
        logging.getLogger("x").error("안녕 🚢")
        logging.getLogger().handlers[0].flush()
        assert json.loads(raw.getvalue().decode("utf-8"))["message"] == "안녕 🚢"


class TestText:
    def test_a_line(self) -> None:
        line = logged("text", "안녕 %s", "세상", extra={"model": "demo"})
        time, _, rest = line.partition(" ")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time)
        assert rest == "error   tokenferry.test: 안녕 세상 model=demo\n"

    def test_nobody_forges_a_second_line(self) -> None:
        line = logged("text", "model %s", "x\r\n2026-01-01T00:00:00Z info  a: b\x1b[31m\u2028")
        assert line.count("\n") == 1
        assert "\\r\\n2026" in line
        assert "\x1b" not in line
        assert "\u2028" not in line

    def test_a_traceback_follows(self) -> None:
        line = logged("text", "failed", exc_info=_raised(KEY))
        assert line.endswith(f"ValueError: tf_{PUBLIC_ID}_{HIDDEN}\n")
        assert "Traceback (most recent call last):\n" in line


@pytest.mark.parametrize(("characters", "is_cut"), [(0, False), (1, True)])
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_long_message_is_cut(log_format: str, characters: int, *, is_cut: bool) -> None:
    empty = len(logged("text", "")) - 1 if log_format == "text" else 0
    line = logged(log_format, "x" * (LINE_CHARACTERS_MAX - empty + characters))
    assert (f"… ({LINE_CHARACTERS_MAX + 1} characters)" in line) is is_cut


def test_a_configured_secret_across_the_cut_is_hidden() -> None:
    for log_format in ("json", "text"):
        for back in range(len("configured-secret") + 60):
            message = f"{' ' * (LINE_CHARACTERS_MAX - back)}configured-secret"
            assert "conf" not in logged(log_format, message)


def test_a_key_across_the_cut_is_hidden() -> None:
    for back in range(len(KEY) + 1):
        message = f"{' ' * (LINE_CHARACTERS_MAX - back)}{KEY}"
        for log_format in ("json", "text"):
            # The public id ends as the secret begins.
            assert SECRET[:7] not in logged(log_format, message)


HIDDEN_ONES = [
    KEY,
    f"Authorization: Bearer {KEY}",
    f"tf_{PUBLIC_ID}_{SECRET}",
    f"tf_{PUBLIC_ID}_{SECRET[:20]}",
    f"sk-{SECRET}",
    f"sk-proj-{SECRET}",
    f"sk-ant-api03-{SECRET}",
    f"AIzaSy{SECRET}",
    f"Bearer {SECRET}",
    f"bearer   {SECRET}==",
    f"Basic {SECRET}",
    f"x-api-key: {SECRET}",
    f"X-Api-Key={SECRET}",
    f"('x-api-key', '{SECRET}')",
    f"(b'x-api-key', b'{SECRET}')",
    f'{{"api_key": "{SECRET}"}}',
    f'{{\\"api-key\\": \\"{SECRET}\\"}}',
    f"x-goog-api-key: {SECRET}",
    f"https://host/path?api_key={SECRET}&x=1",
    f"{{'authorization': 'Token {SECRET}'}}",
    f"Authorization: Basic {SECRET}",
    f"Proxy-Authorization: Basic {SECRET}",
    f"authorization={SECRET}",
    f"Sec-WebSocket-Protocol: tokenferry.v1, ticket.{SECRET}",
    f"http://user:{SECRET}@proxy:3128",
    f"key in the middle:{KEY}, and more",
]


@pytest.mark.parametrize("text", HIDDEN_ONES)
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_what_looks_like_a_credential_is_hidden(log_format: str, text: str) -> None:
    for line in (
        logged(log_format, text),
        logged(log_format, "%s", text),
        logged(log_format, "m", extra={"field": text}),
        logged(log_format, "m", extra={"field": {"nested": [text]}}),
    ):
        assert SECRET[:20] not in line
        assert HIDDEN in line
        if log_format == "json":
            json.loads(line)


@pytest.mark.parametrize(
    "text",
    [
        "task-12345678 is done",
        "the risk-assessment",
        "a stream st_0123456789abcdef0123 of demo",
        "http://127.0.0.1:8000/v1/models",
        "model openai/gpt-4.1, 35 tokens, 12.5 ms",
        f"key {PUBLIC_ID} is revoked",
        "2026-11-23T10:56:36.709Z",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert Redactor(["configured-secret"])(text) == text


def test_the_public_id_stays_for_the_trace() -> None:
    assert Redactor()(KEY) == f"tf_{PUBLIC_ID}_{HIDDEN}"


def test_configured_secrets_are_hidden_wherever_they_are() -> None:
    redact = Redactor(["gsk_abcdef", "gsk_abcdefghi", 'quo"ted\\secret'])
    assert redact("xgsk_abcdefghix") == f"x{HIDDEN}x"
    assert redact("gsk_abcdef") == HIDDEN
    assert redact('say quo"ted\\secret') == f"say {HIDDEN}"
    assert redact(json.dumps('quo"ted\\secret')) == f'"{HIDDEN}"'


def test_short_configured_secrets_would_hide_words() -> None:
    assert Redactor(["test", ""])("a test") == "a test"
    assert Redactor(["secret"])("a secret") == f"a {HIDDEN}"


@given(
    st.text(max_size=30),
    st.text(ALPHABET, min_size=12, max_size=12),
    st.text(ALPHABET, min_size=32, max_size=32),
)
def test_a_key_of_ours_never_gets_through(before: str, public_id: str, secret: str) -> None:
    assert secret not in Redactor()(f"{before} {format_key(public_id, secret)}")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("log_format", "stream", "is_json"),
    [
        ("auto", io.StringIO(), True),
        ("auto", _Terminal(), False),
        ("json", _Terminal(), True),
        ("text", io.StringIO(), False),
    ],
)
def test_the_form_follows_the_stream(
    log_format: str, stream: io.StringIO, *, is_json: bool
) -> None:
    configure("info", log_format, [], stream)
    logging.getLogger("x").error("m")
    assert stream.getvalue().startswith("{") is is_json


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_the_level(level: str, expected: list[str]) -> None:
    stream = io.StringIO()
    configure(level, "json", [], stream)
    for name in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger("x"), name)("m")
    found = [json.loads(line)["level"] for line in stream.getvalue().splitlines()]
    assert found == expected


def test_libraries_are_quiet_and_a_second_set_up_replaces_the_first() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure("debug", "text", [], first)
    configure("debug", "text", [], second)
    logging.getLogger("aiohttp.access").info("GET /")
    logging.getLogger("x").info("m")
    assert first.getvalue() == ""
    assert second.getvalue().count("\n") == 1


def test_the_default_is_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "text", [])
    logging.getLogger("x").error("m")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith("x: m\n")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_clean_fields_are_written_as_they_are(log_format: str) -> None:
    fields = {"model": "모델-1", "prompt_tokens": 3, "error_code": None}
    written = logged(log_format, "stream settled", extra={log.CLEAN: [fields, fields]})
    lines = written.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert "stream settled" in line
        assert "모델-1" in line
        if log_format == "json":
            read = json.loads(line)
            assert {name: read[name] for name in fields} == fields
