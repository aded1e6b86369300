"""The shortcut for events that are like one before: what it gives is what a full reading gives."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.chat_completions_stream import DONE, STOP, Feed, Recorder, chunk, raw, text
from tokenferry.errors import ProviderInvalidResponse
from tokenferry.providers.chat_completions_answer import TEMPLATES_MAX

HIGH, LOW = "\ud83d", "\ude00"
# Texts that look like what stands around them, and the escapes.
NASTY = [
    '","finish_reason":"stop","x":"', '"}}]}', '"', "\\", '\\"', "\\\\", "}", "\n\n", "data: ",
    '"content":"x"', "한", "😀", HIGH, LOW, "\x00", "/", "null", ".", "[DONE]",
]  # fmt: skip
pieces = st.sampled_from(NASTY) | st.text(max_size=3)
texts = st.lists(pieces, max_size=3).map("".join)


@dataclass(frozen=True)
class Style:
    """How a server writes JSON."""

    comma: str
    colon: str
    escapes: bool  # all that is not ASCII
    slashes: bool
    order: int
    extra: tuple[str, ...]

    def string(self, value: str) -> str:
        whole = value.encode("utf-16", "surrogatepass").decode("utf-16", "ignore")
        written = json.dumps(value, ensure_ascii=self.escapes or whole != value)
        return written.replace("/", r"\/") if self.slashes else written

    def object(self, *pairs: tuple[str, str]) -> str:
        """Write an object whose values are JSON already; keys may come twice."""
        shift = self.order % len(pairs) if pairs else 0
        turned = pairs[shift:] + pairs[:shift]
        inner = self.comma.join(f'"{key}"{self.colon}{value}' for key, value in turned)
        return "{" + inner + "}"


styles = st.builds(
    Style,
    comma=st.sampled_from([",", ", ", " ,\t"]),
    colon=st.sampled_from([":", ": ", " :  "]),
    escapes=st.booleans(),
    slashes=st.booleans(),
    order=st.integers(0, 5),
    extra=st.lists(
        st.sampled_from(
            [
                '"usage":null', '"obfuscation":"%"', '"service_tier":"default"', '"error":null',
                '"x_groq":{"id":"r"}', '"note":{"content":"~"}', '"note":{"content":"fixed"}',
                '"content":"~"', '"p":[{"reasoning":"~"}]',
            ]
        ),
        max_size=3,
    ).map(tuple),
)  # fmt: skip


def text_event(
    style: Style, number: int, key: str, value: str, more: Mapping[str, str] = MappingProxyType({})
) -> bytes:
    """Write an event with a text, beside which stands what the style and the caller want."""
    written = style.string(value)
    pairs = [(key, written)]
    if "other" in more:
        pairs.append((more["other"], more["value"]))
    delta = style.object(*pairs)
    choice = style.object(
        ("index", more.get("index", "0")),
        ("delta", delta),
        ("logprobs", more.get("logprobs", "null")),
        ("finish_reason", more.get("reason", "null")),
    )
    event = style.object(("id", '"c"'), ("choices", f"[{choice}]"), ("model", '"m"'))
    for extra in style.extra:
        filled = extra.replace("~", written[1:-1]).replace("%", "x" * (number % 3))
        event = f"{event[:-1]}{style.comma}{filled}}}"
    return event.encode("utf-8", "surrogatepass")


ONCE = [
    {"reason": '"stop"'},
    {"reason": '""'},
    {"index": "1"},
    {"index": "null"},
    {"logprobs": '{"content":[]}'},
    {"other": "role", "value": '"assistant"'},
    {"other": "reasoning", "value": '"흠"'},
    {"other": "reasoning_content", "value": "null"},
    {"other": "content", "value": '"second"'},
    {"other": "content", "value": "null"},
    {"other": "c\\u006fntent", "value": '"escaped"'},
    {"other": "refusal", "value": '"no"'},
    {"other": "tool_calls", "value": '[{"id":"a","function":{"arguments":"\\""}}]'},
    {"other": "annotations", "value": "[]"},
    {"other": "annotations", "value": '[{"content":"x"}]'},
]


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Draw a stream in which most events are alike, as they are in real ones."""
    style = draw(styles)
    key = draw(st.sampled_from(["content", "content", "reasoning_content", "reasoning"]))
    events: list[bytes] = []
    for number in range(draw(st.integers(1, 12))):
        more = draw(st.just({}) | st.just({}) | st.sampled_from(ONCE))
        events.append(text_event(style, number, key, draw(texts), more))
    if draw(st.booleans()):
        at = draw(st.integers(0, len(events)))
        events.insert(at, draw(st.sampled_from([raw(STOP), raw(chunk({"content": None}))])))
    return events


def outcome(events: list[bytes], *, templates: bool) -> Any:
    feed = Feed(templates=templates)
    try:
        feed(*events, STOP, DONE)
    except ProviderInvalidResponse as error:
        return feed.recorder.calls, error.message
    return feed.recorder.calls


@given(streams())
def test_with_and_without_it_a_stream_is_the_same(events: list[bytes]) -> None:
    assert outcome(events, templates=True) == outcome(events, templates=False)


@given(streams(), st.data())
def test_a_broken_stream_is_the_same_too(events: list[bytes], data: st.DataObject) -> None:
    """Bytes that are changed, cut out or put in anywhere in an event."""
    at = data.draw(st.integers(0, len(events) - 1))
    event = events[at]
    start = data.draw(st.integers(0, len(event)))
    end = data.draw(st.integers(start, min(len(event), start + 9)))
    new = data.draw(st.sampled_from([b"", b'"', b"\\", b"}", b"\xff", b"x", b',"content":"y"']))
    broken = event[:start] + new + event[end:]
    assume(b"\n" not in broken)
    events = [*events[:at], event, broken, event, *events[at + 1 :]]
    assert outcome(events, templates=True) == outcome(events, templates=False)


@given(styles, st.lists(texts, min_size=1, max_size=8))
def test_the_texts_are_those_that_the_standard_library_reads(
    style: Style, values: list[str]
) -> None:
    events = [text_event(style, n, "content", value) for n, value in enumerate(values)]
    expected = "".join(
        json.loads(event.decode("utf-8", "surrogatepass"))["choices"][0]["delta"]["content"]
        for event in events
    )
    joined = Feed()(*events, STOP, DONE).joined("content")
    assert joined == expected.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


# Vectors.


def fed(*events: Any) -> tuple[int, list[str]]:
    """Return how many events took the shortcut, and all texts."""
    feed = Feed()
    recorder = feed(*events)
    return feed.shortcuts, recorder.fragments("content")


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\t", " : ")])
def test_events_that_are_alike_take_it(separators: tuple[str, str]) -> None:
    values = ["안", "녕", "", '"}}]}', "\\", "\n", "😀"]
    events = [json.dumps(text(value), separators=separators).encode() for value in values]
    shortcuts, found = fed(*events)
    assert shortcuts == len(values) - 2
    assert found == [value for value in values if value]


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_reasoning_takes_it_too(key: str) -> None:
    feed = Feed()
    recorder = feed(*[chunk({key: value, "content": None}) for value in "가나다마"], text("라"))
    assert recorder.calls[1:] == [
        ("reasoning", "가"),
        ("reasoning", "나"),
        ("reasoning", "다"),
        ("reasoning", "마"),
        ("text", "라"),
    ]
    assert feed.shortcuts == 2


def test_two_events_make_a_form_if_their_texts_differ() -> None:
    assert fed(*map(text, "aaa"))[0] == 0
    assert fed(*map(text, "aaabcc")) == (2, list("aaabcc"))


def test_the_first_two_events_of_a_new_form_are_read_in_full() -> None:
    a, b = (lambda value: text(value, model="a")), (lambda value: text(value, model="b"))
    shortcuts, found = fed(a("1"), a("2"), b("3"), a("4"), b("5"), b("6"), b("7"), a("8"))
    assert (shortcuts, found) == (3, list("12345678"))


def test_padding_ends_the_search_for_a_form() -> None:
    feed = Feed()
    feed(text("a"), text("b"))
    padded = [text(str(n), obfuscation="x" * n) for n in range(3, TEMPLATES_MAX + 1)]
    feed(*padded)
    assert (feed.shortcuts, feed.decoder._templates_left) == (0, 0)
    new = [text(value, model="new") for value in "cde"]
    assert feed(*new).joined("content").endswith("cde")
    assert feed.shortcuts == 0
    assert feed(text("f")).joined("content").endswith("cdef")
    assert feed.shortcuts == 1  # the form that was found still serves


def decoy(place: str) -> Callable[[str], bytes]:
    """Return a writer of events that have the text's key, or its like, in another place as well."""
    return lambda value: place.replace("~", value).encode()


DECOYS = [
    '{"note":{"content":"~"},"choices":[{"delta":{"content" : "~"}}]}',
    '{"note":{"content":"same"},"choices":[{"delta":{"content" : "~"}}]}',
    '{"choices":[{"delta":{"content":"~","content" :"~"}}]}',
    '{"choices":[{"delta":{"content":"~","content":"same"}}]}',
    '{"choices":[{"delta":{"content":"same","c\\u006fntent":"~"}}]}',
    '{"choices":[{"delta":{"content":"~"},"message":{"content":"~"}}]}',
    '{"choices":[{"message":{"content":"same"},"delta":{"content":"~"}}]}',
    '{"a\\"content":"same","choices":[{"delta":{"content":"~"}}]}',
    '{"choices":[{"delta":{"content":"~"}}],"choices" :[{"delta":{"content":"~"}}]}',
]


@pytest.mark.parametrize("place", DECOYS)
def test_a_key_in_another_place_does_not_mislead(place: str) -> None:
    write = decoy(place)
    for values in (["same", "a", "b", "c"], ["a", "same", "b", "c"], ["same", "same", "c", "d"]):
        events = [write(value) for value in values]
        calls = Feed(templates=False)(*events).calls
        assert Feed()(*events).calls == calls


@pytest.mark.parametrize(
    "event",
    [
        chunk({"content": "b", "refusal": "no"}),
        chunk({"content": "b"}, reason="stop"),
        chunk({"content": "b"}, index=1),
        chunk({"content": "b"}, usage={"prompt_tokens": 1, "completion_tokens": 1}),
        chunk({"content": "b"}, x_groq={"usage": {"prompt_tokens": 1, "completion_tokens": 1}}),
        chunk({"content": "b"}, choice={"logprobs": {"content": []}}),
        chunk({"content": "b", "tool_calls": [{"id": "a", "function": {"name": "f"}}]}),
        chunk({"content": "b", "reasoning": "r"}),
        chunk({"content": [{"type": "text", "text": "b"}]}),
        {"choices": [{"message": {"content": "b"}}]},
        {"choices": [{"delta": {"content": "b"}}, {"index": 1, "delta": {"content": "c"}}]},
    ],
)
def test_what_says_more_than_a_text_is_no_form(event: Any) -> None:
    events = [raw(event).replace(b'"b"', b'"%d"' % number) for number in range(4)]
    feed = Feed()
    assert feed(*events).calls == Feed(templates=False)(*events).calls
    assert feed.shortcuts == 0


def test_two_events_in_one_piece_are_left_to_the_parser() -> None:
    feed = Feed()
    feed(text("a"), text("c"))
    one = b"data: %b\n\n" % raw(text("b"))
    assert not feed.quick(one + one)
    assert feed.quick(one)
    assert feed.recorder.fragments("content") == ["a", "c", "b"]


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_piece_of_an_event_is_left_to_the_parser(cut: int) -> None:
    feed = Feed()
    feed(text("a"), text("c"))
    event = b"data: %b\n\n" % raw(text("b"))
    assert not feed.quick(event[:-cut])
    assert not feed.quick(event[cut:])
    # Beginning and end overlap: the one quote cannot be both of the string's.
    template = feed.decoder.template
    assert template is not None
    data = template.prefix + template.suffix[1:]
    assert not feed.quick(data)


def test_an_event_of_several_lines_is_no_form() -> None:
    feed = Feed()
    feed(*[json.dumps(text(value), indent=1).encode() for value in "abc"])
    assert feed.decoder.template is None


def test_after_a_half_of_an_emoji_nothing_takes_it() -> None:
    feed = Feed()
    recorder = feed(*[text(value) for value in ("a", "b", "c", HIGH, f"{LOW}d", "e")], STOP, DONE)
    assert feed.shortcuts == 1
    assert recorder.joined("content") == "abc😀de"


@pytest.mark.parametrize("end", [[STOP, DONE], [{"error": "x"}], [DONE]])
def test_after_the_end_nothing_takes_it(end: list[Any]) -> None:
    feed = Feed()
    feed(text("a"), text("b"), text("d"), *end)
    before = list(feed.recorder.calls)
    feed(text("c"))
    assert (feed.shortcuts, feed.recorder.calls) == (1, before)


def test_a_long_text_full_of_quotes_is_found_in_good_time() -> None:
    long = '"' * 200_000
    feed = Feed()
    recorder: Recorder = feed(text(long), text(long[1:]), text(long))
    assert feed.shortcuts == 1
    assert len(recorder.joined("content")) == 3 * len(long) - 1
